"""Every accepted form of a bundle is read, and the same content is the same bundle in each."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.bundle import inspect_upload, read_bundle, write_bundle
from backend.bundle.safetensors_file import read_safetensors
from backend.core.errors import BundleError, InputError
from tests.bundles import picture

N = 5
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
LOSSES = np.array([0.5, 1.0, 0.0, 2.0, 0.25])
FIELDS: dict[str, Any] = {
    "embeddings": X,
    "losses": LOSSES,
    "labels": np.array(["cat", "dog", "cat", "dog", "cat"]),
    "predictions": np.array(["cat", "cat", "cat", "dog", "cat"]),
    "classes": ["cat", "dog"],
    "probabilities": np.array([[0.5, 0.5], [1, 0], [0.25, 0.75], [0, 1], [1, 0]], np.float16),
    "examples": pd.DataFrame(
        {
            "id": ["007", "NA", "c", "d e", "é"],
            "text": ["a, b", 'say "hi"', "two\nlines", "", "null"],
            "age": [1, 2, 3, 4, 5],
            "height": [1.5, np.nan, 0.1, -3.0, 1e300],
            "urban": [True, False, True, False, True],
            "city": ["Rome", "", "NaN", "Oslo", "None"],
        }
    ),
}
NESTED: dict[str, Any] = {
    "populations": {"baseline": np.zeros((2, N), int), "int8": np.array([["cat"] * N] * 3)},
    "msp": {"none": np.full((N, 4), 0.5), "targeted": np.full((N, 4), 0.25)},
    "train": {"embeddings": np.ones((7, 3)), "labels": np.arange(7) % 2},
    "stress": {"model": ["a", "b"], "iid": [0.5, 0.75]},
    "gradients": np.arange(2.0 * N * 3).reshape(2, N, 3),
    "vog": np.linspace(0, 1, N),
    "attribution": np.ones((7, N)),
}


def same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype.kind == other.dtype.kind and np.array_equal(
        one, other, equal_nan=one.dtype.kind == "f"
    )


@pytest.mark.parametrize("name", ["run.npz", "run.zip", "run"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    fields = {**FIELDS, **NESTED}
    bundle = read_bundle(write_bundle(tmp_path / name, **fields))
    assert bundle.name == "run" and bundle.path is None
    for field in ("embeddings", "losses", "labels", "predictions", "probabilities"):
        assert same(getattr(bundle, field), FIELDS[field]), field
    assert bundle.embeddings.dtype == np.float32 and bundle.probabilities.dtype == np.float16
    assert bundle.classes == ("cat", "dog")
    for column in FIELDS["examples"]:
        assert same(bundle.examples[column].to_numpy(), FIELDS["examples"][column]), column
    assert bundle.ids.tolist() == ["007", "NA", "c", "d e", "é"]
    assert set(bundle.attributes) == {"age", "height", "urban", "city"}
    for group in ("populations", "msp", "train"):
        stored = getattr(bundle, group)
        assert stored.keys() == NESTED[group].keys()
        assert all(same(stored[key], NESTED[group][key]) for key in stored)
    assert same(bundle.extras["gradients"], NESTED["gradients"])
    assert bundle.stress is not None and bundle.stress["iid"].tolist() == [0.5, 0.75]
    assert bundle.notes == ()


def test_table_is_written_and_read(tmp_path: Path) -> None:
    images = [picture(k) for k in range(N)]
    path = write_bundle(tmp_path / "run.parquet", **FIELDS, vog=NESTED["vog"], images=images)
    bundle = read_bundle(path)
    assert same(bundle.embeddings, X) and same(bundle.labels, FIELDS["labels"])
    assert bundle.classes == ("cat", "dog")
    assert same(bundle.extras["vog"], NESTED["vog"])
    assert [bundle.image(row) for row in range(N)] == images
    assert same(bundle.examples["text"].to_numpy(), FIELDS["examples"]["text"])


def test_one_content_has_one_digest_in_every_form(tmp_path: Path) -> None:
    names = ["a.npz", "b.zip", "c", "d.parquet"]
    digests = {read_bundle(write_bundle(tmp_path / name, **FIELDS)).digest for name in names}
    assert len(digests) == 1
    again = write_bundle(tmp_path / "elsewhere.npz", **FIELDS)
    assert read_bundle(again).digest in digests


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": X.astype(np.float64)},
        {"embeddings": X + np.float32(1e-3)},
        {"embeddings": np.hstack([X, X])},
        {"losses": LOSSES[::-1]},
        {"losses": LOSSES.astype(np.float16)},
        {"labels": np.array(["cat", "dog", "cat", "dog", "dog"])},
        {"classes": ["cat", "dog "]},
        {"examples": FIELDS["examples"].rename(columns={"age": "years"})},
        {"examples": FIELDS["examples"].assign(city="Bern")},
        {"vog": np.zeros(N)},
        {"images": np.zeros((N, 2, 2), np.uint8)},
    ],
)
def test_other_content_has_another_digest(change: dict[str, Any], tmp_path: Path) -> None:
    one = read_bundle(write_bundle(tmp_path / "one.npz", **FIELDS)).digest
    fields = {**FIELDS, **change}
    if "classes" in change:
        fields["labels"] = fields["predictions"] = np.array([0, 1, 0, 1, 0])
        one = read_bundle(
            write_bundle(tmp_path / "base.npz", **{**fields, "classes": ["cat", "dog"]})
        ).digest
    assert read_bundle(write_bundle(tmp_path / "other.npz", **fields)).digest != one


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": X.astype(">f4")},
        {"embeddings": np.asfortranarray(X)},
        {"examples": FIELDS["examples"][FIELDS["examples"].columns[::-1]]},
        {"labels": FIELDS["labels"].astype("U40")},
    ],
)
def test_layout_in_memory_does_not_change_the_digest(
    change: dict[str, Any], tmp_path: Path
) -> None:
    one = read_bundle(write_bundle(tmp_path / "one.npz", **FIELDS))
    other = read_bundle(write_bundle(tmp_path / "other.npz", **{**FIELDS, **change}))
    assert other.digest == one.digest
    assert same(other.embeddings, X)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(deadline=None, max_examples=15)
@given(
    embeddings=hnp.arrays(
        st.sampled_from(["<f2", "<f4", ">f8"]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
        elements=st.floats(-8, 8, width=16),
    ),
    data=st.data(),
)
def test_round_trips(embeddings: np.ndarray, data: st.DataObject, tmp_path_factory: Any) -> None:
    n = len(embeddings)
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
    losses = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    ids = data.draw(
        st.lists(words.filter(lambda word: word.strip()), min_size=n, max_size=n, unique=True)
    )
    note = data.draw(st.lists(words, min_size=n, max_size=n))
    folder = tmp_path_factory.mktemp("round")
    fields = {"embeddings": embeddings, "losses": losses, "examples": {"id": ids, "note": note}}
    digests = set()
    for name in ("a.npz", "b.zip", "c", "d.parquet"):
        bundle = read_bundle(write_bundle(folder / name, **fields))
        assert bundle.embeddings.dtype == embeddings.dtype.newbyteorder("=")
        assert np.array_equal(bundle.embeddings, embeddings)
        assert bundle.losses.tolist() == losses.tolist()
        assert bundle.ids.tolist() == ids
        assert bundle.examples["note"].tolist() == note
        digests.add(bundle.digest)
    assert len(digests) == 1


# ---------------------------------------------------------------- tables


def test_hugging_face_layout(tmp_path: Path) -> None:
    feature = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": picture(k), "path": f"{k}.png"} for k in range(N)],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            "label": pa.array([0, 1, 0, 1, 1]),
            "embeddings": pa.array(X.tolist(), pa.list_(pa.float32(), 3)),
            "probs": pa.array([[0.5, 0.5]] * N),
            "when": pa.array(pd.date_range("2020-01-01", periods=N)),
            "kind": pa.array(["a", "b", None, "a", "b"]).dictionary_encode(),
            "box": pa.array([[1, 2], [3], [], None, [4]]),
            "count": pa.array([1, None, 3, 4, 5]),
            "sure": pa.array([True, None, False, True, True]),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
    pq.write_table(table, tmp_path / "train.parquet")
    bundle = read_bundle(tmp_path / "train.parquet")
    assert bundle.classes == ("cat", "dog") and bundle.label_codes is not None
    assert same(bundle.embeddings, X)
    assert bundle.image(2) == picture(2)
    assert bundle.losses == pytest.approx(np.log(2) * np.ones(N))
    assert bundle.examples["image"].tolist() == [f"{k}.png" for k in range(N)]
    assert bundle.examples["when"][1] == "2020-01-02T00:00:00"
    assert bundle.examples["kind"].tolist() == ["a", "b", "", "a", "b"]
    assert bundle.examples["box"].tolist() == ["[1, 2]", "[3]", "[]", "", "[4]"]
    assert same(bundle.examples["count"].to_numpy(), [1, np.nan, 3, 4, 5])
    assert bundle.examples["sure"].tolist() == ["True", "", "False", "True", "True"]


@pytest.mark.parametrize("form", ["feather", "arrow stream", "half precision"])
def test_arrow_forms(form: str, tmp_path: Path) -> None:
    embedding = pa.array(list(X), pa.list_(pa.float32()))
    if form == "half precision":
        embedding = pa.array(list(X.astype(np.float16)), pa.list_(pa.float16()))
    table = pa.table({"embedding": embedding, "loss": LOSSES, "name": list("abcde")})
    path = tmp_path / ("run.arrow" if "stream" in form else "run.feather")
    if "stream" in form:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=2)
    else:
        pyarrow.feather.write_feather(table, path)
    bundle = read_bundle(path)
    assert np.array_equal(bundle.embeddings, X.astype(bundle.embeddings.dtype))
    assert bundle.embeddings.dtype == (np.float16 if "half" in form else np.float32)
    assert bundle.examples["name"].tolist() == list("abcde")


def test_images_beside_a_table(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(picture(1))
    table = pa.table({"embedding": X.tolist(), "loss": LOSSES, "image": ["a.png", "", *"   "]})
    table = table.set_column(2, "image", pa.array(["a.png", None, None, None, "images/a.png"]))
    pq.write_table(table, tmp_path / "run.parquet")
    bundle = read_bundle(tmp_path / "run.parquet")
    assert bundle.image(0) == bundle.image(4) == picture(1)
    assert bundle.image(1) is None and bundle.thumbnail(1) is None


# ---------------------------------------------------------------- folders and archives


def csv_folder(root: Path) -> Path:
    root.mkdir(parents=True)
    np.save(root / "embedding.npy", X)
    (root / "metadata.csv").write_text(
        "﻿ID,Age,zip,note,label,prediction\n"
        '007,3,01234,"a ""b"", c",1,1\n'
        "NA,4,00001,,1,0\n"
        "x,,12345,N/A,0,0\n"
        "null,6,99999,nan,0,0\n"
        "y,7,00000,1,1,1\n",
        encoding="utf-8",
    )
    (root / "loss.csv").write_text("0.5\n1\n0\n2\n.25\n")
    return root


def test_separate_files_matched_by_name(tmp_path: Path) -> None:
    bundle = read_bundle(csv_folder(tmp_path / "run"))
    assert bundle.ids.tolist() == ["007", "NA", "x", "null", "y"]
    assert bundle.losses.tolist() == LOSSES.tolist()
    assert same(bundle.labels, [1, 1, 0, 0, 1])
    assert bundle.accuracy == pytest.approx(0.8)
    assert same(bundle.examples["Age"].to_numpy(), [3, 4, np.nan, 6, 7])
    assert bundle.examples["zip"].tolist() == ["01234", "00001", "12345", "99999", "00000"]
    assert bundle.examples["note"].tolist() == ['a "b", c', "", "N/A", "nan", "1"]


@pytest.mark.parametrize("top", ["", "my run/", "a/"])
def test_zip_with_one_folder_around_everything(top: str, tmp_path: Path) -> None:
    root = csv_folder(tmp_path / "run")
    (root / "populations").mkdir()
    np.save(root / "populations" / "int8.npy", np.zeros((2, N), int))
    (root / "images").mkdir()
    for k, name in enumerate(["007", "NA", "x", "null", "y"]):
        (root / "images" / f"{name}.png").write_bytes(picture(k))
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        for path in root.rglob("*"):
            archive.write(path, top + path.relative_to(root).as_posix())
        archive.writestr("__MACOSX/._run", b"\0")
        archive.writestr(f"{top}.DS_Store", b"\0")
    bundle = read_bundle(tmp_path / "run.zip")
    assert bundle.digest == read_bundle(root).digest
    assert list(bundle.populations) == ["int8"]
    assert [bundle.image(row) for row in range(N)] == [picture(row) for row in range(N)]
    assert "images: matched with ids by file name." in bundle.notes


def test_images_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_bundle(tmp_path / "run", embeddings=X, losses=LOSSES)
    (tmp_path / "run" / "images").mkdir()
    for k in range(N):
        (tmp_path / "run" / "images" / f"photo-{k}.png").write_bytes(picture(k))
    bundle = read_bundle(tmp_path / "run")
    assert [bundle.image(row) for row in range(N)] == [picture(row) for row in range(N)]
    assert any("order of their file names" in note for note in bundle.notes)


@pytest.mark.parametrize("named", ["{}.png", "{}", "images/{}.png"])
def test_a_column_that_names_every_picture_goes_before_their_order(
    named: str, tmp_path: Path
) -> None:
    root = csv_folder(tmp_path / "run")
    (root / "images").mkdir()
    own = [3, 0, 4, 1, 2]  # the file of each row
    for k in range(N):
        (root / "images" / f"p{k}.png").write_bytes(picture(k))
    table = pd.read_csv(root / "metadata.csv", dtype=str, keep_default_na=False)
    table.insert(1, "photo", [named.format(f"p{k}") for k in own])
    table.to_csv(root / "metadata.csv", index=False)
    bundle = read_bundle(root)
    assert [bundle.image(row) for row in range(N)] == [picture(k) for k in own]
    assert "images: those that column 'photo' names." in bundle.notes
    table["photo"] = ["p0.png", "p0.png", "", "p1.png", "p2.png"]  # names no picture in one row
    table.to_csv(root / "metadata.csv", index=False)
    bundle = read_bundle(root)
    assert [bundle.image(row) for row in range(N)] == [picture(k) for k in range(N)]


def test_matrices_and_names_as_csv(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    np.savetxt(root / "embeddings.csv", X, delimiter=",")
    (root / "probabilities.csv").write_text("cat,dog\n" + "0.25,0.75\n" * N)
    (root / "labels.csv").write_text("label\n" + "dog\n" * N)
    (root / "classes.txt").write_text("cat\ndog\n")
    bundle = read_bundle(root)
    assert np.allclose(bundle.embeddings, X)
    assert bundle.losses == pytest.approx(-np.log(0.75) * np.ones(N))
    assert bundle.predictions.tolist() == ["dog"] * N


def test_folder_around_one_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "download").mkdir()
    path = write_bundle(tmp_path / "download" / "run.npz", **FIELDS)
    assert read_bundle(tmp_path / "download").digest == read_bundle(path).digest


def test_semicolons_and_tabs(tmp_path: Path) -> None:
    for suffix, mark in ((".csv", ";"), (".tsv", "\t")):
        root = tmp_path / suffix[1:]
        write_bundle(root, embeddings=X, losses=LOSSES)
        rows = [f"{k}{mark}a,b" for k in range(N)]
        (root / f"examples{suffix}").write_text("\n".join([f"age{mark}note", *rows]))
        assert read_bundle(root).examples["note"].tolist() == ["a,b"] * N


# ---------------------------------------------------------------- tensors


def test_torch_and_safetensors(tmp_path: Path) -> None:
    tensors = {
        "embeddings": torch.tensor(X),
        "loss": torch.tensor(LOSSES, requires_grad=True),
        "populations/int8": torch.zeros(2, N, dtype=torch.int16),
    }
    torch.save(
        {**tensors, "train": {"embeddings": torch.ones(2, 3)}, "classes": ["a", "b"]},
        tmp_path / "run.pt",
    )
    bundle = read_bundle(tmp_path / "run.pt")
    assert same(bundle.embeddings, X) and same(bundle.losses, LOSSES)
    assert bundle.classes == ("a", "b") and list(bundle.train) == ["embeddings"]
    safetensors.torch.save_file(
        {key: tensor.detach() for key, tensor in tensors.items()}, tmp_path / "run.safetensors"
    )
    bundle = read_bundle(tmp_path / "run.safetensors")
    assert same(bundle.embeddings, X) and same(bundle.losses, LOSSES)
    assert list(bundle.populations) == ["int8"]


def test_safetensors_stay_in_their_file_whatever_the_order(tmp_path: Path) -> None:
    tensors = {
        "losses": LOSSES,
        "train/losses": np.zeros(0),
        "labels": np.arange(N, dtype=np.int8),
        "embeddings": X,
    }
    header, at = {"__metadata__": {"by": "hand"}}, 0
    for name, array in tensors.items():
        kind = {"f": "F", "i": "I"}[array.dtype.kind] + str(8 * array.itemsize)
        place = [at, at + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        at += array.nbytes
    said = json.dumps(dict(reversed(header.items()))).encode() + b"  "
    path = tmp_path / "run.safetensors"
    data = b"".join(array.tobytes() for array in tensors.values())
    path.write_bytes(struct.pack("<Q", len(said)) + said + data)
    entries, metadata = read_safetensors(path, path.name)
    assert [entry.name for entry in entries] == list(tensors) and metadata == {"by": "hand"}
    for entry, array in zip(entries, tensors.values(), strict=True):
        loaded = entry.load()
        assert same(loaded, array) and entry.dtype == array.dtype.name
        assert isinstance(loaded, np.memmap) or array.size == 0


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    tensor = torch.tensor(X).bfloat16()
    fields = {"embeddings": tensor, "losses": torch.tensor(LOSSES)}
    safetensors.torch.save_file(fields, tmp_path / "run.safetensors")
    torch.save(fields, tmp_path / "run.pt")
    for name in ("run.safetensors", "run.pt"):
        bundle = read_bundle(tmp_path / name)
        assert bundle.embeddings.dtype == np.float32
        assert np.array_equal(bundle.embeddings, tensor.float().numpy())


# ---------------------------------------------------------------- names


def test_columns_under_other_names(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "run.npz",
        hidden=X,
        nll=LOSSES,
        gold=np.zeros(N, int),
        label=np.ones(N, int),
        **{"examples/key": list("vwxyz"), "examples/body": ["1"] * N, "preds_q": np.ones((2, N))},
    )
    with pytest.raises(BundleError, match="embeddings are missing; it holds hidden"):
        read_bundle(tmp_path / "run.npz")
    names = {
        "embeddings": "hidden",
        "losses": "nll",
        "labels": "gold",
        "id": "examples/key",
        "text": "examples/body",
        "populations/int8": "preds_q",
    }
    bundle = read_bundle(tmp_path / "run.npz", columns=names)
    assert same(bundle.embeddings, X) and same(bundle.labels, np.zeros(N, int))
    assert bundle.ids.tolist() == list("vwxyz") and bundle.has_text
    assert list(bundle.populations) == ["int8"]


def test_one_column_may_serve_twice(tmp_path: Path) -> None:
    path = write_bundle(
        tmp_path / "run", embeddings=X, losses=LOSSES, examples={"k": list("abcde")}
    )
    bundle = read_bundle(path, columns={"id": "k", "text": "k"})
    assert bundle.ids.tolist() == bundle.examples["text"].tolist() == list("abcde")


def test_field_wins_over_column_and_says_so(tmp_path: Path) -> None:
    examples = {"label": ["spam"] * N, "weight": [1.0] * N}
    path = write_bundle(tmp_path / "run", **{**FIELDS, "examples": examples})
    bundle = read_bundle(path)
    assert same(bundle.labels, FIELDS["labels"])
    assert bundle.examples["label"].tolist() == ["spam"] * N
    assert any("column 'label'" in note for note in bundle.notes)


def test_arrays_that_are_no_field(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", embeddings=X, losses=LOSSES, age=np.arange(N), odd=np.eye(2))
    bundle = read_bundle(tmp_path / "run.npz")
    assert bundle.attributes == ["age"]
    assert any("'odd'" in note and "left out" in note for note in bundle.notes)


def test_inspect_lists_arrays_and_columns(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", hidden=X, names=np.array(list("abc")))
    found = inspect_upload(tmp_path / "run.npz")
    assert [(one.file, one.name, one.shape, one.dtype) for one in found] == [
        ("run.npz", "hidden", (5, 3), "float32"),
        ("run.npz", "names", (3,), "str"),
    ]
    found = inspect_upload(csv_folder(tmp_path / "run"))
    assert ("metadata.csv", "Age", (5,), "float64") in [
        (one.file, one.name, one.shape, one.dtype) for one in found
    ]


# ---------------------------------------------------------------- writing


def test_writer_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fields must be among"):
        write_bundle(tmp_path / "run.npz", embedings=X)
    with pytest.raises(InputError, match="numbers or text"):
        write_bundle(tmp_path / "run.npz", embeddings=np.array([[object()]]))
    with pytest.raises(InputError, match="populations/int8 has no row per example"):
        write_bundle(tmp_path / "run.parquet", **FIELDS, populations={"int8": np.zeros((2, N))})
    with pytest.raises(InputError, match=r"\.npz, \.parquet or \.zip"):
        write_bundle(tmp_path / "run.csv", **FIELDS)
    with pytest.raises(InputError, match="path separator"):
        write_bundle(tmp_path / "run.zip", **FIELDS, populations={"../x": np.zeros((2, N))})
    with pytest.raises(InputError, match="equally long"):
        write_bundle(tmp_path / "run.parquet", embeddings=X, losses=LOSSES[:2])
    write_bundle(tmp_path / "run", **FIELDS)
    with pytest.raises(InputError, match="new or empty folder"):
        write_bundle(tmp_path / "run", **FIELDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_images_travel_as_bytes_and_as_pixels(tmp_path: Path) -> None:
    images = [picture(0), None, picture(2), picture(3), None]
    for name in ("a.npz", "b.zip", "c", "d.parquet"):
        path = write_bundle(tmp_path / name, embeddings=X, losses=LOSSES, images=images)
        bundle = read_bundle(path)
        assert [bundle.image(row) for row in range(N)] == images, name
    pixels = np.random.default_rng(0).integers(0, 255, (N, 6, 7, 3), dtype=np.uint8)
    for name in ("e.npz", "f.zip", "g", "h.parquet"):
        path = write_bundle(tmp_path / name, embeddings=X, losses=LOSSES, images=pixels)
        image = read_bundle(path).image(2)
        from PIL import Image

        assert np.array_equal(np.asarray(Image.open(io.BytesIO(image))), pixels[2]), name
