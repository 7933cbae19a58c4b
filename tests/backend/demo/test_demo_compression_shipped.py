"""The compression demo that ships: whole, small, and with the numbers its README states."""

import zipfile
from io import BytesIO

import numpy as np
import pytest

from backend.bundle import read_bundle
from backend.demo import DEMOS, demo_path
from backend.demo.compression import POPULATIONS
from backend.demo.images import CLASSES, image_attributes
from backend.demo.shifts import SHIFTS
from backend.populations import pie_accuracy, select_pies, stress_report

PATH = demo_path("compression")
LIMIT = 5_000_000  # bytes


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(PATH)


@pytest.fixture(scope="module")
def readme():
    return (PATH.parent / "README.md").read_text()


@pytest.fixture(scope="module")
def accuracies(bundle):
    """Accuracy of each network (rows in order) on each test, by population."""
    table = bundle.stress
    return {
        name: table[table["population"] == name].pivot(
            index="model", columns="test", values="accuracy"
        )
        for name in bundle.populations
    }


def test_it_is_small_and_undated():
    assert PATH.stat().st_size < LIMIT
    with zipfile.ZipFile(PATH) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert DEMOS["compression"].shipped


def test_it_holds_what_the_pages_show(bundle):
    assert (bundle.n, bundle.d) == (6_000, 32)
    assert bundle.class_names == CLASSES
    assert bundle.has_images
    assert np.bincount(bundle.labels).tolist() == [600] * 10
    assert list(bundle.populations) == list(POPULATIONS)
    models = {len(population) for population in bundle.populations.values()}
    assert len(models) == 1 and min(models) >= 7
    assert bundle.extras["stress_scores"].shape == (min(models), bundle.n)
    assert bundle.stress["test"].tolist() == list(SHIFTS) * 4 * min(models)
    assert bundle.notes == ()


def test_no_network_is_there_twice(bundle):
    everything = np.concatenate(list(bundle.populations.values()))
    assert len({row.tobytes() for row in everything}) == len(everything)


def test_the_stress_table_agrees_with_the_predictions(bundle, accuracies):
    for name, population in bundle.populations.items():
        own = (population == bundle.labels).mean(1)
        assert np.allclose(accuracies[name]["iid"], own)


def test_the_readme_states_what_the_arrays_say(bundle, readme):
    baseline, labels = bundle.populations["baseline"], bundle.labels
    for name, population in bundle.populations.items():
        own = (population == labels).mean(1)
        line = f"| `{name}` | {own.mean():.4f} ({own.min():.4f} to {own.max():.4f}) |"
        if name != "baseline":
            pies = select_pies(baseline, population, labels)
            table = pie_accuracy(baseline, population, labels, pies.mask)
            on_pie = table[table["subset"] == "pie"].set_index("population")["accuracy"]
            line += f" {pies.n_pies} ({pies.n_tied}) |"
            line += f" {on_pie['baseline']:.3f} | {on_pie['compressed']:.3f} |"
        assert line in readme


def test_the_readme_states_the_spread_over_seeds(accuracies, readme):
    wide = accuracies["baseline"]
    spread = stress_report(wide["iid"], wide.drop(columns="iid")).spread.set_index("metric")
    for name in SHIFTS:
        row = spread.loc[name]
        assert (
            f"| {name} | {row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f}) "
            f"| {row['sd']:.4f} |"
        ) in readme


def test_attributes_are_those_of_the_images(bundle):
    with zipfile.ZipFile(PATH) as archive:
        pixels = np.load(BytesIO(archive.read("images.npy")))
    for name, values in image_attributes(pixels).items():
        assert np.array_equal(bundle.examples[name], values, equal_nan=True)
        shares = bundle.examples[f"{name}_level"].value_counts(normalize=True)
        assert len(shares) == 3
        assert shares.between(0.3, 0.37).all()


def test_seeds_differ_far_more_on_spoiled_images_than_on_the_test_set(accuracies):
    wide = accuracies["baseline"]
    assert wide["contrast"].std() > 10 * wide["iid"].std()
