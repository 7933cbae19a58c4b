"""Training the demo again, small: from images that ship in the demo itself."""

import gzip

import numpy as np
import pytest
import torch

from backend.bundle import read_bundle
from backend.core.errors import InputError, JobCancelled
from backend.core.progress import ignore_progress
from backend.demo import fashion
from backend.demo.images import encode_png, image_attributes, read_idx, read_split
from backend.demo.networks import Network, Recipe, input_gradients, train_network
from backend.difficulty import variance_of_gradients
from tests.backend.demo.pictures import decode_png

SMALL = {"n_train": 150, "n_models": 2, "epochs": 2, "workers": 1}


@pytest.fixture(scope="module")
def built(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "small.zip"
    return path, fashion.build(path, data=data, **SMALL)


def test_the_small_demo_is_a_bundle_with_the_numbers_it_reports(built, data):
    path, measured = built
    bundle = read_bundle(path)
    images, labels = read_split(data, "t10k")
    assert (bundle.n, bundle.d, measured["n"]) == (80, 64, 80)
    assert np.array_equal(bundle.labels, labels)
    assert np.array_equal(decode_png(bundle.image(3)), images[3])
    assert bundle.accuracy == measured["accuracy"]
    assert bundle.losses.mean() == pytest.approx(measured["mean_loss"])
    assert np.array_equal(bundle.populations["baseline"][0], bundle.predictions)
    for name in ("baseline", "pruned"):
        population = bundle.populations["baseline" if name == "baseline" else "pruned-90"]
        assert population.shape == (2, 80)
        assert (population == labels).mean() == pytest.approx(measured[f"{name}_accuracy"])
    assert bundle.train["embeddings"].shape == (150, 64)
    assert path.stat().st_size == measured["size_bytes"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_arguments_give_the_same_bytes(built, data, tmp_path, workers):
    torch.manual_seed(99)  # what the process did before plays no part
    again = tmp_path / "again.zip"
    fashion.build(again, data=data, **SMALL | {"workers": workers})
    assert again.read_bytes() == built[0].read_bytes()


def test_another_seed_is_another_demo(built, data, tmp_path):
    other = tmp_path / "other.zip"
    fashion.build(other, data=data, seed=1, **SMALL)
    assert not np.array_equal(read_bundle(other).embeddings, read_bundle(built[0]).embeddings)


def test_building_leaves_the_random_state_and_the_threads_alone(data, tmp_path):
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fashion.build(tmp_path / "once.zip", data=data, **SMALL | {"n_models": 1})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_vog_is_that_of_the_epochs(data, tmp_path, monkeypatch):
    seen = []

    def watched(network, images, labels):
        seen.append(input_gradients(network, images, labels))
        return seen[-1]

    monkeypatch.setattr(fashion, "input_gradients", watched)
    fashion.build(tmp_path / "vog.zip", data=data, **SMALL)
    wanted = variance_of_gradients(np.stack(seen)).raw
    assert len(seen) == 2
    assert np.allclose(read_bundle(tmp_path / "vog.zip").extras["vog"], wanted, rtol=1e-9)


def test_gradients_agree_with_finite_differences():
    torch.manual_seed(0)
    network, images = Network().double(), torch.rand(3, 1, 28, 28, dtype=torch.float64)
    labels = torch.tensor([3, 0, 9])
    found = input_gradients(network, images, labels)
    for row, column in ((5, 7), (14, 14), (0, 27)):
        step = torch.zeros_like(images)
        step[:, 0, row, column] = 1e-6
        with torch.no_grad():
            change = network(images + step) - network(images - step)
        wanted = change[range(3), labels].numpy() / 2e-6
        assert np.allclose(found[:, row, column], wanted, atol=1e-6)


def test_pruned_networks_are_sparse_and_dense_ones_are_not():
    images, labels = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
    for sparsity in (0.0, 0.9):
        network = train_network(images, labels, Recipe(0, 1, sparsity, 1))
        weights = torch.cat([p.flatten() for n, p in network.named_parameters() if "weight" in n])
        assert float((weights == 0).float().mean()) == pytest.approx(sparsity, abs=1e-4)


def test_progress_never_falls_and_can_stop_the_work(built, data, tmp_path):
    told = []
    fashion.build(
        tmp_path / "a.zip", data=data, progress=lambda share, what: told.append((share, what)),
        **SMALL,
    )  # fmt: skip
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert told[0][1] == "Training network 1 of 4."

    def stop(share, what):
        if share > 0.3:
            raise JobCancelled

    kept = tmp_path / "a.zip"
    before = kept.read_bytes()
    with pytest.raises(JobCancelled):
        fashion.build(kept, data=data, progress=stop, seed=3, **SMALL)
    assert kept.read_bytes() == before
    assert list(tmp_path.iterdir()) == [kept]


def test_attributes_worked_by_hand():
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, 1:3, 1] = 204, 102  # column 1: mean 0.3; 0.8 above 0.4
    image[0, 3, 3] = 51  # column 3: mean 0.05, too little ink; 0.2 alone
    found = image_attributes(image)
    assert found["width"].tolist() == [0.25]
    assert found["brightness"].tolist() == [round((0.8 + 0.4 + 0.2) / 3, 4)]
    assert found["texture"].tolist() == [0.4]
    empty = image_attributes(np.zeros((1, 4, 4), np.uint8))
    assert empty["width"].tolist() == [0]
    assert np.isnan([empty["brightness"][0], empty["texture"][0]]).all()


def test_png_keeps_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    assert np.array_equal(decode_png(encode_png(image)), image)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "apt-get install dataset-fashion-mnist"),
        (b"nonsense", "is not a gzip file"),
        (gzip.compress(b"\0\0\x0d\x01", mtime=0), "is not an IDX file of bytes"),
        (
            gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc", mtime=0),
            r"promises shape \(5,\) and holds 3 values",
        ),
    ],
)
def test_unreadable_images(tmp_path, content, message):
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 201}, "at most the 200 images"),
        ({"n_models": 0}, "n_models must be 1 or more: got 0"),
        ({"workers": 0}, "workers must be 1 or more: got 0"),
    ],
)
def test_wrong_options(data, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        fashion.build(tmp_path / "x.zip", data=data, progress=ignore_progress, **SMALL | options)


def test_the_data_folder_is_named_when_absent(tmp_path):
    with pytest.raises(InputError, match="apt-get install dataset-fashion-mnist"):
        fashion.build(tmp_path / "x.zip", data=tmp_path)
