"""The demo bundle that ships: whole, small, and with the numbers its README states."""

import subprocess
import sys
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from backend.bundle import import_bundle, read_bundle
from backend.core.errors import InputError
from backend.demo import demo_path
from backend.demo.images import CLASSES, image_attributes
from backend.describe import describe_group
from backend.populations import pie_accuracy, select_pies
from tests.backend.demo.pictures import decode_png


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(demo_path())


@pytest.fixture(scope="module")
def readme():
    return (demo_path().parent / "README.md").read_text()


def test_it_is_small_and_undated():
    assert demo_path().stat().st_size < 10 * 2**20
    with zipfile.ZipFile(demo_path()) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "Zalando SE" in (demo_path().parent / "LICENSE").read_text()


def test_it_holds_what_the_pages_show(bundle):
    assert (bundle.n, bundle.d) == (10_000, 64)
    assert bundle.classes == CLASSES
    assert bundle.attributes == ["width", "brightness", "texture"]
    assert bundle.has_images
    assert bundle.ids[:2].tolist() == ["test-00000", "test-00001"]
    assert bundle.extras["vog"].shape == (10_000,)
    assert bundle.train["embeddings"].shape == (30_000, 64)
    assert np.bincount(bundle.labels).tolist() == [1000] * 10


def test_the_readme_states_what_the_arrays_say(bundle, readme):
    accuracy = (bundle.predictions == bundle.labels).mean()
    assert accuracy == bundle.accuracy
    assert f"| accuracy | {accuracy:.4f} |" in readme
    assert f"| mean loss | {bundle.losses.mean():.4f} nats |" in readme
    for name, population in bundle.populations.items():
        assert population.shape == (7, 10_000)
        mean, low, high = (
            f((population == bundle.labels).mean(1)) for f in (np.mean, np.min, np.max)
        )
        assert f"| `{name}` accuracy | {mean:.4f} ({low:.4f} to {high:.4f}) |" in readme
    pies = select_pies(*bundle.populations.values(), bundle.labels)
    assert f"| PIEs | {pies.n_pies} |" in readme


def test_losses_are_the_cross_entropy_of_the_probabilities(bundle):
    p = bundle.probabilities.astype(np.float64)
    own = p[np.arange(bundle.n), bundle.labels]
    assert np.allclose(-np.log(own), bundle.losses, rtol=1e-5, atol=1e-6)
    assert np.array_equal(p.argmax(1), bundle.predictions)
    assert np.abs(p.sum(1) - 1).max() < 1e-6


def test_the_first_baseline_network_is_the_one_shown(bundle):
    assert np.array_equal(bundle.populations["baseline"][0], bundle.predictions)


def test_attributes_are_those_of_the_images(bundle):
    with zipfile.ZipFile(demo_path()) as archive:
        images = pd.read_parquet(BytesIO(archive.read("examples.parquet")))["image"]
    assert [bundle.image(row) for row in (0, 5, 9999)] == images.iloc[[0, 5, 9999]].tolist()
    pixels = np.stack([decode_png(image) for image in images])
    for name, values in image_attributes(pixels).items():
        assert np.array_equal(bundle.examples[name], values, equal_nan=True)


def test_the_head_is_linear_in_the_embeddings(bundle):
    """Logits up to a constant per row are a linear map of the last hidden layer."""
    design = np.column_stack([bundle.embeddings, np.ones(bundle.n)]).astype(np.float64)
    sure = bundle.probabilities.min(1) > 1e-30
    log_p = np.log(bundle.probabilities[sure].astype(np.float64))
    centered = log_p - log_p.mean(1, keepdims=True)
    fit = np.linalg.lstsq(design[sure], centered, rcond=None)[0]
    assert np.abs(design[sure] @ fit - centered).max() < 1e-3


def test_compression_costs_most_where_networks_disagree(bundle):
    baseline, pruned = bundle.populations["baseline"], bundle.populations["pruned-90"]
    pies = select_pies(baseline, pruned)
    table = pie_accuracy(baseline, pruned, bundle.labels, pies.mask)
    accuracy = table.set_index(["population", "subset"])["accuracy"]
    assert accuracy["baseline", "pie"] < accuracy["baseline", "all"] - 0.2


def test_known_failures_get_their_name(bundle):
    names = np.array(bundle.classes)
    labels, predictions = names[bundle.labels], names[bundle.predictions]
    confused = (labels == "Shirt") & (predictions == "T-shirt/top")
    assert confused.sum() > 30
    phrase = describe_group(
        confused, labels=labels, predictions=predictions, examples=bundle.examples
    )
    assert phrase == "label Shirt, predicted T-shirt/top"


def test_it_can_be_imported(tmp_path, bundle):
    imported = import_bundle(demo_path(), tmp_path)
    assert imported.digest == bundle.digest
    assert np.array_equal(imported.embeddings, bundle.embeddings)
    assert imported.image(7) == bundle.image(7)


def test_finding_it_loads_no_torch():
    code = "import sys; from backend.demo import demo_path; demo_path(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=demo_path().parents[2])


def test_an_unknown_demo_is_refused():
    with pytest.raises(
        InputError,
        match=r"demo must be one of 'fashion', .*: got 'cars'",
    ):
        demo_path("cars")
