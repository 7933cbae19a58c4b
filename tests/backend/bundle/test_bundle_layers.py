"""Several embedding layers in one bundle: every form keeps them, one is chosen at a time."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from torch import nn

from backend.bundle import collect, import_bundle, open_bundle, read_bundle, write_bundle
from backend.core.errors import BundleError, InputError

N = 6
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 3)).astype(np.float32)
LAYERS = {
    "layer4.1.conv2": RNG.normal(size=(N, 5)).astype(np.float16),
    "früh, mit Leerzeichen": RNG.normal(size=(N, 2)),
}
OLD_DIGEST = "1340c5b70f6b1df94387b78e132089521b2191e6f40cc35b82b887a0cfd99c64"
FIELDS: dict[str, Any] = {
    "embeddings": X,
    "losses": np.linspace(0, 1, N),
    "labels": np.arange(N) % 2,
}


def same_layers(found: Any) -> bool:
    return sorted(found) == sorted(LAYERS) and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array)
        for name, array in LAYERS.items()
    )


@pytest.mark.parametrize("name", ["run.npz", "run.zip", "run", "run.parquet"])
def test_layers_are_written_and_read_in_every_form(name: str, tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path / name, **FIELDS, layers=LAYERS))
    assert same_layers(bundle.layers)
    assert bundle.layer == "" and np.array_equal(bundle.embeddings, X)


def test_layers_of_tensor_files(tmp_path: Path) -> None:
    flat = {f"layers/{name}": array for name, array in LAYERS.items()}
    safetensors.numpy.save_file({**FIELDS, **flat}, tmp_path / "run.safetensors")
    nested = {name: torch.from_numpy(array) for name, array in LAYERS.items()}
    plain = {name: torch.from_numpy(array) for name, array in FIELDS.items()}
    torch.save({**plain, "layers": nested}, tmp_path / "run.pt")
    digests = set()
    for name in ("run.safetensors", "run.pt"):
        bundle = read_bundle(tmp_path / name)
        assert same_layers(bundle.layers), name
        digests.add(bundle.digest)
    digests.add(read_bundle(write_bundle(tmp_path / "a.npz", **FIELDS, layers=LAYERS)).digest)
    digests.add(read_bundle(write_bundle(tmp_path / "a.parquet", **FIELDS, layers=LAYERS)).digest)
    assert len(digests) == 1


def test_the_digest_covers_layers_and_is_the_old_one_without(tmp_path: Path) -> None:
    def digest(name: str, **more: Any) -> str:
        return read_bundle(write_bundle(tmp_path / f"{name}.npz", **FIELDS, **more)).digest

    first = LAYERS["layer4.1.conv2"]
    digests = [
        digest("plain"),
        digest("one", layers={"a": first}),
        digest("renamed", layers={"b": first}),
        digest("changed", layers={"a": first + np.float16(1)}),
        digest("two", layers={"a": first, "b": first}),
    ]
    assert len(set(digests)) == len(digests)
    assert digest("empty", layers={}) == digests[0]
    # Written before there were layers: what was imported then is still the same bundle.
    assert digests[0] == OLD_DIGEST


def test_imported_layers_are_mapped_and_one_is_chosen(tmp_path: Path, home: Path) -> None:
    made = import_bundle(write_bundle(tmp_path / "run.npz", **FIELDS, layers=LAYERS))
    bundle = open_bundle(made.digest)
    assert same_layers(bundle.layers)
    assert all(isinstance(layer, np.memmap) for layer in bundle.layers.values())
    assert bundle.ids.tolist() == [str(row) for row in range(N)]
    other = bundle.at_layer("layer4.1.conv2")
    assert (other.layer, other.d, other.n) == ("layer4.1.conv2", 5, N)
    assert np.array_equal(other.embeddings, LAYERS["layer4.1.conv2"])
    assert other.digest == bundle.digest and other.losses is bundle.losses
    assert other.ids is bundle.ids, "what was made once is shared"
    assert bundle.layer == "" and bundle.d == 3, "the bundle itself is unchanged"
    assert other.at_layer(other.layer) is other
    back = other.at_layer("früh, mit Leerzeichen").at_layer("")
    assert back.layer == "" and back.embeddings is bundle.embeddings and back.main is None


def test_a_bundle_at_a_layer_is_written_whole(tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path / "run.npz", **FIELDS, layers=LAYERS))
    chosen = bundle.at_layer("layer4.1.conv2")
    again = read_bundle(write_bundle(tmp_path / "again.npz", **chosen.fields()))
    assert np.array_equal(again.embeddings, X) and same_layers(again.layers)


@pytest.mark.parametrize("name", ["conv9", "../layer4.1.conv2", "layers/layer4.1.conv2", 3, None])
def test_an_unknown_layer_is_refused_by_name(name: Any, tmp_path: Path) -> None:
    bundle = read_bundle(write_bundle(tmp_path / "run.npz", **FIELDS, layers=LAYERS))
    if name is None:
        name = "\0"
    with pytest.raises(InputError, match=r"there is no layer .*'layer4\.1\.conv2'"):
        bundle.at_layer(name)
    bare = read_bundle(write_bundle(tmp_path / "bare.npz", **FIELDS))
    with pytest.raises(InputError, match="none besides the embeddings"):
        bare.at_layer("conv")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (np.zeros((N + 1, 2)), rf"must be one per embedding: got {N + 1} .* and {N} embeddings"),
        (np.zeros((2, N)), rf"got 2 rows of a layer and {N}"),
        (np.where(np.arange(2 * N) == 5, np.nan, 1.0).reshape(N, 2), "row 2: 1 of 12 values"),
        (np.full((N, 2), np.inf), "12 of 12 values are NaN"),
        (np.zeros((N, 2, 2)), r"must be \(n, d\): got shape \(6, 2, 2\)"),
        (np.zeros(N), r"must be \(n, d\): got shape \(6,\)"),
        (np.zeros((N, 0)), "no dimensions"),
        (np.full((N, 2), "x"), "numbers were needed"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layer: Any, words: str, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "run.npz", **FIELDS, layers={"conv": layer})
    with pytest.raises(BundleError, match=words) as caught:
        read_bundle(path)
    assert {fault.field for fault in caught.value.faults} == {"layers/conv"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("layers/../embeddings", "climbs out"),
        ("layers/a/b", "path separator"),
        ("layers/", "name is empty"),
        ("layers/ ", "name is empty"),
        ("layers/" + "x" * 201, "201 characters"),
        ("layers/a\nb", "cannot be printed"),
    ],
)
def test_names_that_are_tricks_are_refused(name: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member, array in {**FIELDS, name: X}.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{member}.npy", buffer.getvalue())
    with pytest.raises(BundleError, match=words):
        read_bundle(path)


def test_writing_refuses_names_that_are_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="layers: the name holds a path separator"):
        write_bundle(tmp_path / "run.npz", **FIELDS, layers={"a/b": X})


def test_a_column_of_single_numbers_is_no_layer(tmp_path: Path) -> None:
    table = pa.table(
        {
            "embedding": X.tolist(),
            "loss": FIELDS["losses"],
            "layers/count": np.arange(N),
            "layers/conv": X[:, :2].tolist(),
        }
    )
    pq.write_table(table, tmp_path / "run.parquet")
    bundle = read_bundle(tmp_path / "run.parquet")
    assert list(bundle.layers) == ["conv"] and bundle.layers["conv"].shape == (N, 2)
    assert bundle.attributes == ["layers/count"]


def test_a_field_is_mapped_to_a_layer(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", **FIELDS, early=X[:, :2])
    bundle = read_bundle(tmp_path / "run.npz", columns={"layers/early": "early"})
    assert np.array_equal(bundle.layers["early"], X[:, :2])


def test_a_folder_of_layers_alone_beside_the_arrays(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "layers").mkdir(parents=True)
    for name, array in FIELDS.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "layers" / "layer4.1.conv2.npy", LAYERS["layer4.1.conv2"])
    assert list(read_bundle(folder).layers) == ["layer4.1.conv2"]


def test_a_stored_layer_that_was_cut_is_damage(tmp_path: Path, home: Path) -> None:
    made = import_bundle(write_bundle(tmp_path / "run.npz", **FIELDS, layers={"conv": X}))
    (stored,) = made.path.glob("layers-*.npy")
    stored.write_bytes(stored.read_bytes()[:-4])
    with pytest.raises(BundleError, match="damaged"):
        open_bundle(made.digest)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))
        self.head = nn.Linear(5, 2)
        self.unused = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).relu())


def test_collect_keeps_the_outputs_of_named_submodules() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x, y = Net().eval(), torch.randn(7, 1, 4, 4), torch.arange(7) % 2
    batches = list(zip(x.split(3), y.split(3), strict=True))
    bundle = collect(model, batches, layers=["body.0", "body.3"], device="cpu")
    maps = model.body[0](x).detach().numpy()
    assert np.allclose(bundle.layers["body.0"], maps.mean((2, 3)), atol=1e-6)
    assert np.allclose(bundle.layers["body.3"], model.body(x).detach().numpy(), atol=1e-6)
    assert np.allclose(bundle.embeddings, model.body(x).relu().detach().numpy(), atol=1e-6)
    assert not model.body[0]._forward_hooks
    with pytest.raises(InputError, match="layer 'unused' did not run"):
        collect(model, batches, layers=["unused"], device="cpu")
    with pytest.raises(InputError, match="must be a module of the model: got 'conv'"):
        collect(model, batches, layers=["conv"], device="cpu")
    with pytest.raises(InputError, match="must be a list of names"):
        collect(model, batches, layers="body.0", device="cpu")
