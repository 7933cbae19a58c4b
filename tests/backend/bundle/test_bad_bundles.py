"""Every kind of bad bundle gets a sentence: which file, which field, which row, what to do next."""

from __future__ import annotations

import io
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.lib import format as npy_format
from PIL import Image

from backend.bundle import import_bundle, inspect_upload, list_bundles, read_bundle, write_bundle
from backend.core.errors import BundleError
from backend.core.home import PROJECT

N = 6
X = np.arange(N * 3, dtype=np.float32).reshape(N, 3)
LOSSES = np.linspace(0.1, 2.0, N)

CASES: dict[str, tuple[Callable[[Path], Path], str, str, int | None, str]] = {}
Build = Callable[[Path], Path]


def case(file: str, field: str, row: int | None, words: str) -> Callable[[Build], Build]:
    """Register a bad bundle with the fault it must be refused for."""

    def register(build: Build) -> Build:
        name = build.__name__.replace("_", " ").strip()
        assert name not in CASES
        CASES[name] = (build, file, field, row, words)
        return build

    return register


def npz(folder: Path, *, drop: str = "", **changed: Any) -> Path:
    arrays = {"embeddings": X, "losses": LOSSES, **changed}
    arrays.pop(drop, None)
    path = folder / "run.npz"
    np.savez(path, **arrays)
    return path


def with_(values: np.ndarray, row: Any, value: Any) -> np.ndarray:
    result = np.array(values)
    result[row] = value
    return result


def tree(folder: Path, **files: Any) -> Path:
    """A folder of .npy files, texts and bytes; double underscores in names are slashes."""
    root = folder / "run"
    for name, value in files.items():
        path = root / name.replace("__", "/")
        if isinstance(value, np.ndarray):
            path = path.with_name(path.name + ".npy")
        else:
            path = path.with_name(path.name.replace("_dot_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, np.ndarray):
            np.save(path, value)
        else:
            path.write_bytes(value if isinstance(value, bytes) else value.encode())
    return root


def zipped(folder: Path, members: dict[Any, bytes], **options: Any) -> Path:
    path = folder / "run.zip"
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "run.parquet"
    pq.write_table(pa.table({"embedding": pa.array(X.tolist()), "loss": LOSSES, **columns}), path)
    return path


def png(width: int = 4, height: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def with_images(folder: Path, *images: bytes | None) -> Path:
    cells = [{"bytes": image, "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return parquet(folder, image=pa.array([*cells, *[None] * (N - len(cells))], kind))


def table(folder: Path, text: str | bytes, **files: Any) -> Path:
    return tree(folder, embeddings=X, losses=LOSSES, examples_dot_csv=text, **files)


# ---------------------------------------------------------------- numbers


@case("run.npz", "losses", 3, "1 of 6 values are NaN")
def nan_loss(folder: Path) -> Path:
    return npz(folder, losses=with_(LOSSES, 3, np.nan))


@case("run.npz", "losses", 4, "losses reach 5e+307: squares of losses beyond 1e+150")
def losses_whose_sum_is_no_number(folder: Path) -> Path:
    return npz(folder, losses=with_(LOSSES, 4, -5e307))


@case("run.npz", "predictions", 1, "losses reach 1e+160")
def squared_differences_whose_squares_are_no_number(folder: Path) -> Path:
    numbers = np.linspace(0.5, 3.5, N)
    return npz(folder, drop="losses", targets=numbers, predictions=with_(numbers, 1, 1e80))


@case("run.npz", "losses", 2, "NaN, infinite")
def infinite_loss(folder: Path) -> Path:
    return npz(folder, losses=with_(LOSSES, 2, np.inf))


@case("run.npz", "embeddings", 4, "Remove or repair")
def nan_in_embeddings(folder: Path) -> Path:
    return npz(folder, embeddings=with_(X, (4, 1), np.nan))


@case("run.npz", "embeddings", 0, "2 of 18 values")
def infinities_in_embeddings(folder: Path) -> Path:
    return npz(folder, embeddings=with_(X, (0, slice(0, 2)), -np.inf))


@case("run.npz", "losses", 5, "got 5 losses and 6 embeddings")
def too_few_losses(folder: Path) -> Path:
    return npz(folder, losses=LOSSES[:5])


@case("run.npz", "losses", 6, "got 7 losses and 6 embeddings")
def too_many_losses(folder: Path) -> Path:
    return npz(folder, losses=np.zeros(7))


@case("run.npz", "losses", None, "got shape (6, 2)")
def losses_in_two_columns(folder: Path) -> Path:
    return npz(folder, losses=np.zeros((N, 2)))


@case("run.npz", "losses", None, "numbers were needed")
def losses_as_text(folder: Path) -> Path:
    return npz(folder, losses=LOSSES.astype(str))


@case("run.npz", "embeddings", None, "got shape (6,)")
def flat_embeddings(folder: Path) -> Path:
    return npz(folder, embeddings=X[:, 0])


@case("run.npz", "embeddings", None, "reshape(len(x), -1)")
def embeddings_of_feature_maps(folder: Path) -> Path:
    return npz(folder, embeddings=X.reshape(N, 3, 1))


@case("run.npz", "embeddings", None, "no rows")
def no_rows(folder: Path) -> Path:
    return npz(folder, embeddings=X[:0], losses=LOSSES[:0])


@case("run.npz", "embeddings", None, "no dimensions")
def no_dimensions(folder: Path) -> Path:
    return npz(folder, embeddings=X[:, :0])


@case("run.npz", "embeddings", None, "got shape ()")
def embeddings_a_single_number(folder: Path) -> Path:
    return npz(folder, embeddings=np.float32(1))


@case("run.npz", "embeddings", None, "complex")
def complex_embeddings(folder: Path) -> Path:
    return npz(folder, embeddings=X.astype(complex))


@case("run.npz", "embeddings", None, "dtype str came")
def embeddings_as_text(folder: Path) -> Path:
    return npz(folder, embeddings=X.astype(str))


@case("run.npz", "embeddings", None, "numbers were needed")
def embeddings_as_dates(folder: Path) -> Path:
    return npz(folder, embeddings=X.astype("M8[s]"))


@case("run.npz", "embeddings", None, "structured")
def structured_embeddings(folder: Path) -> Path:
    return npz(folder, embeddings=np.zeros(N, [("x", "f4"), ("y", "f4")]))


@case("run.npz", "embeddings", None, "it holds loss")
def missing_embeddings(folder: Path) -> Path:
    return npz(folder, drop="embeddings")


@case("run.npz", "losses", None, "nothing to make them from")
def nothing_to_make_a_loss_from(folder: Path) -> Path:
    return npz(folder, drop="losses", labels=np.arange(N))


# ---------------------------------------------------------------- labels and probabilities


@case("run.npz", "labels", 5, "'7' is not one of the 2 classes")
def label_outside_the_classes(folder: Path) -> Path:
    return npz(folder, labels=[0, 1, 0, 1, 0, 7], classes=["cat", "dog"])


@case("run.npz", "labels", 1, "'-1' is not one of the 2 classes")
def negative_label(folder: Path) -> Path:
    return npz(folder, labels=[0, -1, 0, 1, 0, 1], classes=["cat", "dog"])


@case("run.npz", "predictions", 2, "'emu' is not one of")
def predicted_name_outside_the_classes(folder: Path) -> Path:
    return npz(
        folder, predictions=["cat", "dog", "emu", "cat", "cat", "cat"], classes=["cat", "dog"]
    )


@case("run.npz", "labels", 2, "whole numbers or names: got 0.5")
def labels_that_are_not_whole(folder: Path) -> Path:
    return npz(folder, labels=[0.0, 1.0, 0.5, 1.0, 0.0, 1.0])


@case("run.npz", "labels", 2, "1 of the labels are empty")
def empty_label(folder: Path) -> Path:
    return npz(folder, labels=["a", "b", "", "a", "b", "a"])


@case("run.npz", "labels", 3, "NaN, infinite or empty")
def nan_label(folder: Path) -> Path:
    return npz(folder, labels=[0, 1, 0, np.nan, 0, 1])


@case("run.npz", "labels", None, "take argmax")
def one_hot_labels(folder: Path) -> Path:
    return npz(folder, labels=np.eye(N))


@case("run.npz", "predictions", 0, "predictions are numbers (0) and labels are names ('cat')")
def names_against_codes(folder: Path) -> Path:
    return npz(folder, labels=["cat", "dog"] * 3, predictions=[0, 1] * 3)


@case("run.npz", "classes", None, "classes are missing")
def names_and_probabilities_without_classes(folder: Path) -> Path:
    return npz(folder, labels=["cat", "dog"] * 3, probabilities=np.full((N, 2), 0.5))


@case("run.npz", "probabilities", 4, "must not be negative: got -0.5")
def negative_probability(folder: Path) -> Path:
    return npz(folder, probabilities=with_(np.full((N, 2), 0.5), 4, [-0.5, 1.5]))


@case("run.npz", "probabilities", 1, "this row sums to 0.9")
def probabilities_that_do_not_sum_to_one(folder: Path) -> Path:
    return npz(folder, probabilities=with_(np.full((N, 2), 0.5), 1, [0.4, 0.5]))


@case("run.npz", "probabilities", None, "3 columns where classes have 2")
def more_probabilities_than_classes(folder: Path) -> Path:
    return npz(folder, probabilities=np.full((N, 3), 1 / 3), classes=["cat", "dog"])


@case("run.npz", "probabilities", None, "np.stack([1 - p, p]")
def probabilities_of_one_class_only(folder: Path) -> Path:
    return npz(folder, drop="losses", labels=np.zeros(N, int), probabilities=np.full(N, 0.5))


@case("run.npz", "logits", 3, "NaN")
def nan_logit(folder: Path) -> Path:
    return npz(folder, logits=with_(np.zeros((N, 2)), 3, np.nan))


@case("run.npz", "classes", 1, "'cat' occurs twice")
def class_named_twice(folder: Path) -> Path:
    return npz(folder, labels=[0] * N, classes=["cat", "cat"])


# ---------------------------------------------------------------- the examples table


@case("run.npz", "examples/id", 4, "'a' occurs twice, first in row 0")
def duplicate_id(folder: Path) -> Path:
    return npz(folder, **{"examples/id": list("abcdae")})


@case("examples.csv", "id", 2, "the id is empty")
def empty_id(folder: Path) -> Path:
    return table(folder, "id,age\na,1\nb,2\n,3\nd,4\ne,5\nf,6\n")


@case("examples.csv", "age", 3, "got 3 values and 6 embeddings")
def table_that_is_too_short(folder: Path) -> Path:
    return table(folder, "age\n1\n2\n3\n")


@case("examples.csv", "", 1, "is not UTF-8")
def csv_in_latin_1(folder: Path) -> Path:
    return table(folder, "text\nplain\ncaf\xe9\n".encode("latin-1"))


@case("examples.csv", "", None, "UTF-16")
def csv_in_utf_16(folder: Path) -> Path:
    return table(folder, "text\nplain\n".encode("utf-16"))


@case("examples.csv", "", None, "no text file")
def csv_of_bytes(folder: Path) -> Path:
    return table(folder, b"a,b\n\0\0,1\n")


@case("examples.csv", "age", None, "occurs twice (columns 1 and 3)")
def csv_column_twice(folder: Path) -> Path:
    return table(folder, "age,sex,age\n" + "1,f,2\n" * N)


@case("examples.csv", "", 1, "line 3 has 3 cells where the header has 2")
def ragged_csv(folder: Path) -> Path:
    return table(folder, "age,sex\n1,f\n2,f,9\n3,m\n")


@case("examples.csv", "", 0, "line 2 has 1 cells where the header has 2")
def csv_row_too_short(folder: Path) -> Path:
    return table(folder, "age,sex\n1\n2,f\n")


@case("examples.csv", "", None, "the file is empty")
def empty_csv(folder: Path) -> Path:
    return table(folder, "")


@case("examples.csv", "text", 0, "got 0")
def csv_with_a_header_only(folder: Path) -> Path:
    return table(folder, "text\n")


@case("examples.csv", "", 0, "opens a cell in line 2 and is never closed")
def csv_with_an_unclosed_quote(folder: Path) -> Path:
    return table(folder, 'text,age\n"never closed,1\nb,2\n')


@case("losses.csv", "losses", 1, "'oops' came")
def losses_csv_with_a_word(folder: Path) -> Path:
    return tree(folder, embeddings=X, losses_dot_csv="loss\n0.1\noops\n3\n4\n5\n6\n")


@case("losses.csv", "losses", 2, "NaN, infinite or empty")
def losses_csv_with_an_empty_cell(folder: Path) -> Path:
    return tree(folder, embeddings=X, losses_dot_csv="id,loss\na,1\nb,2\nc,\nd,3\ne,4\nf,5\n")


@case("losses.csv", "id", 1, "the id is 'c' here and 'b' in examples.csv")
def separate_files_in_another_order(folder: Path) -> Path:
    return tree(
        folder,
        embeddings=X,
        losses_dot_csv="id,loss\na,1\nc,2\nb,1\nd,3\ne,4\nf,5\n",
        examples_dot_csv="id\na\nb\nc\nd\ne\nf\n",
    )


@case("run.parquet", "a", None, "occurs twice")
def parquet_column_twice(folder: Path) -> Path:
    path = folder / "run.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    return path


@case("run.parquet", "embedding", 2, "the list has 2 numbers where the others have 3")
def ragged_embeddings(folder: Path) -> Path:
    return parquet(folder, embedding=pa.array([[1.0, 2, 3]] * 2 + [[1.0, 2]] + [[1.0, 2, 3]] * 3))


@case("run.parquet", "embedding", 1, "the cell is empty")
def missing_embedding(folder: Path) -> Path:
    return parquet(folder, embedding=pa.array([[1.0], None, [1.0], [1.0], [1.0], [1.0]]))


@case("run.parquet", "embedding", 2, "the list holds an empty value")
def hole_in_an_embedding(folder: Path) -> Path:
    return parquet(folder, embedding=pa.array([[1.0, 2.0]] * 2 + [[1.0, None]] + [[1.0, 2.0]] * 3))


@case("run.parquet", "embedding", 0, "'[1 2 ... 3]' came")
def embedding_column_of_text(folder: Path) -> Path:
    return parquet(folder, embedding=pa.array(["[1 2 ... 3]"] * N))


@case("run.parquet", "label", 4, "NaN, infinite or empty")
def null_label(folder: Path) -> Path:
    return parquet(folder, label=pa.array([0, 1, 0, 1, None, 0]))


@case("run.parquet", "label", 1, "1 of the labels are empty")
def null_label_name(folder: Path) -> Path:
    return parquet(folder, label=pa.array(["a", None, "b", "a", "b", "a"]))


@case("run.parquet", "text", None, "bytes that are not text")
def bytes_that_are_no_text(folder: Path) -> Path:
    return parquet(folder, text=pa.array([b"a", b"b", b"c", b"d\xff", b"e", b"f"]))


@case("run.npz", "examples/name", 2, "code points that are not characters")
def text_that_is_not_unicode(folder: Path) -> Path:
    text = np.array(list("abcdef"))
    text.view(np.uint32)[2] = 0xD800
    return npz(folder, **{"examples/name": text})


@case("run.npz", "age", None, "chosen as losses")
def mapping_to_a_column_that_is_not_there(folder: Path) -> Path:
    return npz(folder)


@case("run.npz", "predictions", 0, "must be numbers: got 'cat'")
def names_predicted_for_targets(folder: Path) -> Path:
    return npz(folder, drop="losses", targets=LOSSES, predictions=["cat"] * N)


@case("run.npz", "embeddings2", None, "not a field of a bundle")
def mapping_of_an_unknown_field(folder: Path) -> Path:
    return npz(folder)


MAPPINGS = {
    "mapping to a column that is not there": {"losses": "age"},
    "mapping of an unknown field": {"embeddings2": "losses"},
}


@case("run.parquet", "text", None, "unpacks to more than")
def parquet_repeating_one_long_text(folder: Path) -> Path:
    text = pa.DictionaryArray.from_arrays(np.zeros(10**5, np.int32), pa.array(["x" * 10**6]))
    path = folder / "run.parquet"
    pq.write_table(pa.table({"embedding": text.indices, "loss": text.indices, "text": text}), path)
    return path


@case("run.parquet", "", None, "200000000 rows, at most")
def parquet_with_endless_rows(folder: Path) -> Path:
    path = folder / "run.parquet"
    column = pa.array(np.zeros(10**7, np.int8))
    with pq.ParquetWriter(path, pa.schema([("loss", pa.int8())])) as writer:
        for _ in range(20):
            writer.write_table(pa.table({"loss": column}), row_group_size=10**7)
    return path


# ---------------------------------------------------------------- nested parts


@case("run.npz", "populations/int8", None, "predictions[None, :]")
def population_of_one_model(folder: Path) -> Path:
    return npz(folder, **{"populations/int8": np.zeros(N, int)})


@case("run.npz", "populations/int8", 2, "looks transposed")
def transposed_population(folder: Path) -> Path:
    return npz(folder, **{"populations/int8": np.zeros((N, 2), int)})


@case("run.npz", "populations/int8", 4, "'[0, 9]' is not one of the 2 classes")
def population_predicting_an_unknown_class(folder: Path) -> Path:
    bad = np.zeros((2, N), int)
    bad[1, 4] = 9
    return npz(folder, labels=[0] * N, classes=["a", "b"], **{"populations/int8": bad})


@case("run.npz", "populations/a/b", None, "path separator")
def population_named_like_a_path(folder: Path) -> Path:
    return npz(folder, **{"populations/a/b": np.zeros((2, N), int)})


@case("run.npz", "populations/", None, "the name is empty")
def population_without_a_name(folder: Path) -> Path:
    return npz(folder, **{"populations/": np.zeros((2, N), int)})


@case("run.npz", "msp/none", 1, "must lie in [0, 1]: got 1.5")
def msp_above_one(folder: Path) -> Path:
    return npz(folder, **{"msp/none": with_(np.full((N, 4), 0.5), (1, 2), 1.5)})


@case("run.npz", "msp/targeted", None, "equally many epochs")
def variants_of_other_length(folder: Path) -> Path:
    return npz(folder, **{"msp/none": np.ones((N, 4)), "msp/targeted": np.ones((N, 5))})


@case("run.npz", "train/labels", 3, "training fields must agree in length")
def training_fields_of_other_lengths(folder: Path) -> Path:
    return npz(folder, **{"train/embeddings": X[:4], "train/labels": np.zeros(3, int)})


@case("run.npz", "train/embeddings", None, "2 dimensions, the embeddings 3")
def training_embeddings_of_another_layer(folder: Path) -> Path:
    return npz(folder, **{"train/embeddings": X[:, :2]})


@case("run.npz", "gradients", 2, "(t, n, ...) with n = 6")
def gradients_in_another_order(folder: Path) -> Path:
    return npz(folder, gradients=np.zeros((N, 2, 5)))


@case("run.npz", "attribution", None, "must be (n_train, n)")
def attribution_of_one_example(folder: Path) -> Path:
    return npz(folder, attribution=np.zeros(N))


@case("run.npz", "vog", 5, "got 5 vog and 6 embeddings")
def too_few_vog(folder: Path) -> Path:
    return npz(folder, vog=np.ones(5))


@case("run.npz", "stress/iid", 1, "equally long")
def stress_columns_of_other_lengths(folder: Path) -> Path:
    return npz(folder, **{"stress/model": ["a", "b"], "stress/iid": [0.5]})


# ---------------------------------------------------------------- images


@case("examples.csv", "image", 1, "'b.png' is not in the upload")
def missing_image(folder: Path) -> Path:
    return table(
        folder, "image\na.png\nb.png\nc.png\n\n" + '""\n' * (N - 3), images__a_dot_png=png()
    )


@case("examples.csv", "image", 0, "climbs out")
def image_outside_the_folder(folder: Path) -> Path:
    (folder / "secret.png").write_bytes(png())
    return table(folder, "image\n" + "../secret.png\n" * N)


@case("run.parquet", "image", 0, "not in the upload")
def image_path_without_the_image(folder: Path) -> Path:
    return parquet(folder, image=pa.array(["gone.png"] * N))


@case("run.parquet", "image", 1, "the image is broken")
def truncated_image(folder: Path) -> Path:
    whole = png(64, 64)
    return with_images(folder, whole, *[whole[: len(whole) // 2]] * 2)


@case("run.parquet", "image", 0, "an SVG or XML document")
def svg(folder: Path) -> Path:
    return with_images(folder, b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")


@case("run.parquet", "image", 0, "not an image")
def text_for_an_image(folder: Path) -> Path:
    return with_images(folder, b"hello")


@case("run.parquet", "image", 2, "PostScript")
def postscript(folder: Path) -> Path:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    return with_images(folder, png(), None, *[script] * 2)


def declaring(width: int, height: int) -> bytes:
    """A tiny PNG whose header declares other sides; the checksum is right."""
    data = bytearray(png())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zipfile.crc32(data[12:29]))
    return bytes(data)


@case("run.parquet", "image", 0, "8000 x 8000 pixels")
def image_bomb(folder: Path) -> Path:
    return with_images(folder, declaring(8000, 8000))


@case("run.parquet", "image", 0, "more than 50000000 pixels")
def huge_image_bomb(folder: Path) -> Path:
    return with_images(folder, declaring(60000, 60000))


@case("run.npz", "images", None, "uint8 (n, h, w)")
def pixels_as_floats(folder: Path) -> Path:
    return npz(folder, images=np.zeros((N, 4, 4)))


@case("run.npz", "images/offsets", None, "offsets must rise")
def image_offsets_that_point_outside(folder: Path) -> Path:
    ends = np.array([0, 1, 2, 3, 4, 5, 99])
    return npz(folder, **{"images/bytes": np.zeros(6, np.uint8), "images/offsets": ends})


# ---------------------------------------------------------------- archives and files


@case("run.zip", "", None, "like a zip bomb")
def zip_bomb(folder: Path) -> Path:
    path = folder / "run.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("embeddings.npy", "w") as stream,
    ):
        for _ in range(120):
            stream.write(bytes(2**20))
    return path


@case("run.zip", "", None, "unpacks to")
def zip_that_declares_a_terabyte(folder: Path) -> Path:
    path = zipped(folder, {"embeddings.npy": npy(X)})
    return patched_directory(path, 24, struct.pack("<I", 0xFFFFFFF0), copies=5)


def patched_directory(path: Path, offset: int, value: bytes, copies: int = 1) -> Path:
    """Overwrite a field of every record of the central directory, after adding members."""
    with zipfile.ZipFile(path, "a") as archive:
        for k in range(copies - 1):
            archive.writestr(f"extra{k}.npy", b"")
    data = bytearray(path.read_bytes())
    place = data.find(b"PK\x01\x02")
    while place >= 0:
        data[place + offset : place + offset + len(value)] = value
        place = data.find(b"PK\x01\x02", place + 4)
    path.write_bytes(data)
    return path


@case("run.zip", "../evil.npy", None, "climbs out")
def zip_that_climbs_out(folder: Path) -> Path:
    return zipped(folder, {"embeddings.npy": npy(X), "../evil.npy": npy(X)})


@case("run.zip", "/etc/evil.npy", None, "absolute path")
def zip_with_an_absolute_name(folder: Path) -> Path:
    return zipped(folder, {"/etc/evil.npy": npy(X)})


@case("run.zip", "C:/evil.npy", None, "absolute path")
def zip_with_a_drive_letter(folder: Path) -> Path:
    return zipped(folder, {"C:/evil.npy": npy(X)})


@case("run.zip", "a\\evil.npy", None, "backslash")
def zip_with_a_backslash(folder: Path) -> Path:
    return zipped(folder, {"a\\evil.npy": npy(X)})


@case("run.zip", "link.npy", None, "symbolic link")
def zip_with_a_link(folder: Path) -> Path:
    info = zipfile.ZipInfo("link.npy")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped(folder, {info: b"/etc/passwd", "losses.npy": npy(LOSSES)})


@case("run.zip", "embeddings.npy", None, "encrypted")
def encrypted_zip(folder: Path) -> Path:
    return patched_directory(zipped(folder, {"embeddings.npy": npy(X)}), 8, b"\x01\x00")


@case("run.zip", "losses.npy", None, "occurs twice")
def zip_with_a_name_twice(folder: Path) -> Path:
    path = zipped(folder, {"losses.npy": npy(LOSSES), "losse2.npy": npy(LOSSES)})
    path.write_bytes(path.read_bytes().replace(b"losse2", b"losses"))
    return path


@case("run.zip", "", None, "Upload inner.zip by itself")
def zip_inside_a_zip(folder: Path) -> Path:
    inner = zipped(folder, {"embeddings.npy": npy(X)}).read_bytes()
    return zipped(folder, {"inner.zip": inner})


@case("run.npz", "", None, "20001 arrays, at most 16384")
def npz_of_countless_arrays(folder: Path) -> Path:
    path = folder / "run.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("embeddings.npy", npy(X))
        for k in range(20_000):
            archive.writestr(f"{k}.npy", b"")
    return path


@case("run.zip", "", None, "the archive is empty")
def empty_zip(folder: Path) -> Path:
    return zipped(folder, {})


@case("run.zip", "", None, "cannot be read")
def truncated_zip(folder: Path) -> Path:
    path = zipped(folder, {"embeddings.npy": npy(X), "losses.npy": npy(LOSSES)})
    path.write_bytes(path.read_bytes()[:-30])
    return path


@case("run.zip/embeddings.npy", "embeddings", None, "Bad CRC-32")
def zip_with_flipped_bits(folder: Path) -> Path:
    path = zipped(folder, {"embeddings.npy": npy(X), "losses.npy": npy(LOSSES)})
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    return path


@case("run.zip", "", None, "cannot be read")
def text_called_zip(folder: Path) -> Path:
    path = folder / "run.zip"
    path.write_text("hello")
    return path


@case("run.npz", "", None, "cannot be read")
def truncated_npz(folder: Path) -> Path:
    path = npz(folder)
    path.write_bytes(path.read_bytes()[:300])
    return path


@case("run.npz", "readme.txt", None, "only .npy members")
def npz_with_other_files(folder: Path) -> Path:
    path = npz(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    return path


@case("run.npz", "losses", None, "Python objects")
def pickle_inside_npz(folder: Path) -> Path:
    path = folder / "run.npz"
    np.savez(path, embeddings=X, losses=np.array([Bomb()] * N, dtype=object))
    return path


class Bomb:
    """Unpickling this makes a file, so that a test can tell that nobody did."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


@case("embeddings.npy", "embeddings", None, "Python objects")
def pickle_inside_npy(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(npy(np.array([Bomb()], dtype=object)))
    return root


@case("run.pkl", "", None, "np.savez")
def pickle_file(folder: Path) -> Path:
    path = folder / "run.pkl"
    path.write_bytes(pickle.dumps({"embeddings": Bomb()}))
    return path


@case("losses.joblib", "", None, "pickles are not opened")
def joblib_in_a_folder(folder: Path) -> Path:
    return tree(folder, embeddings=X, losses_dot_joblib=pickle.dumps(LOSSES))


@case("run.pt", "", None, "Save plain tensors")
def torch_file_with_code(folder: Path) -> Path:
    path = folder / "run.pt"
    torch.save({"embeddings": Bomb()}, path)
    return path


@case("run.pt", "", None, "Save plain tensors")
def plain_pickle_called_pt(folder: Path) -> Path:
    path = folder / "run.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    return path


@case("run.pt", "", None, "a dictionary of tensors was needed")
def torch_file_of_one_tensor(folder: Path) -> Path:
    path = folder / "run.pt"
    torch.save(torch.zeros(3), path)
    return path


@case("run.pt", "embeddings", None, "that were saved")
def torch_view_that_repeats_one_number(folder: Path) -> Path:
    path = folder / "run.pt"
    torch.save({"embeddings": torch.zeros(1).expand(10**6, 10**6)}, path)
    return path


EMBEDDINGS = '"embeddings":{"dtype":"F32","shape":[6,3],"data_offsets":[0,72]}'


def tensors(folder: Path, described: str, data: int) -> Path:
    """A .safetensors file that describes these tensors, and so many bytes of data."""
    header = f"{{{described}}}".encode()
    path = folder / "run.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(data))
    return path


@case("run.safetensors", "", None, "cannot be read")
def safetensors_with_a_wild_header(folder: Path) -> Path:
    path = folder / "run.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    return path


@case("run.safetensors", "embeddings", None, "truncated or damaged")
def truncated_safetensors(folder: Path) -> Path:
    return tensors(folder, EMBEDDINGS, 20)


@case("run.safetensors", "embeddings", None, "does not end where this tensor should")
def safetensors_with_bytes_left_over(folder: Path) -> Path:
    return tensors(folder, EMBEDDINGS, 73)


@case("run.safetensors", "", None, "invalid offset for tensor `losses`")
def safetensors_that_share_bytes(folder: Path) -> Path:
    losses = '"losses":{"dtype":"F32","shape":[6],"data_offsets":[60,84]}'
    return tensors(folder, f"{EMBEDDINGS},{losses}", 84)


@case("run.safetensors", "embeddings", None, "2 tensors have this name")
def safetensors_of_one_name(folder: Path) -> Path:
    # The same bytes in another shape, under the same name in other letters: all offsets fit.
    turned = EMBEDDINGS.replace("[6,3]", "[3,6]").replace("emb", "\\u0065mb")
    return tensors(folder, f"{EMBEDDINGS},{turned}", 72)


@case("run.safetensors", "embeddings", None, "the element type F8_E5M2 is not read")
def safetensors_of_eight_bits(folder: Path) -> Path:
    return tensors(folder, EMBEDDINGS.replace("F32", "F8_E5M2").replace("[6,3]", "[6,12]"), 72)


@case("run.parquet", "", None, "cannot be read")
def truncated_parquet(folder: Path) -> Path:
    path = parquet(folder)
    path.write_bytes(path.read_bytes()[:-20])
    return path


@case("run.feather", "", None, "cannot be read")
def text_called_feather(folder: Path) -> Path:
    path = folder / "run.feather"
    path.write_text("not a table at all")
    return path


def lying_npy(shape: str, data: bytes) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return npy_format.magic(1, 0) + struct.pack("<H", len(header)) + header.encode() + data


@case("embeddings.npy", "embeddings", None, "truncated: shape (1000000000000, 512)")
def npy_declaring_a_petabyte(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(lying_npy("(1000000000000, 512)", bytes(72)))
    return root


@case("run.zip/embeddings.npy", "embeddings", None, "truncated: shape (6, 300000)")
def npy_declaring_too_much_in_a_zip(folder: Path) -> Path:
    return zipped(folder, {"embeddings.npy": lying_npy("(6, 300000)", bytes(72))})


@case("embeddings.npy", "embeddings", None, "longer than its header says")
def npy_with_more_bytes_than_declared(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(lying_npy("(6, 3)", bytes(100)))
    return root


@case("embeddings.npy", "embeddings", None, "the header declares the shape")
def npy_with_a_negative_shape(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(lying_npy("(-6, 3)", bytes(72)))
    return root


@case("embeddings.npy", "embeddings", None, "cannot be read")
def npy_with_a_wild_header(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(lying_npy("(" * 60, bytes(72)))
    return root


@case("embeddings.npy", "embeddings", None, "may not be safe to load securely.)")
def npy_with_a_long_header(folder: Path) -> Path:
    return tree(folder, embeddings_dot_npy=lying_npy("(6, 3)" + " " * 60_000, b""), losses=LOSSES)


@case("embeddings.npy", "embeddings", None, "the file is empty")
def empty_npy(folder: Path) -> Path:
    root = tree(folder, losses=LOSSES)
    (root / "embeddings.npy").write_bytes(b"")
    return root


@case("run.npz", "", None, "the file is empty")
def empty_file(folder: Path) -> Path:
    path = folder / "run.npz"
    path.write_bytes(b"")
    return path


@case("run.xlsx", "", None, "the file type .xlsx is not known")
def unknown_file_type(folder: Path) -> Path:
    path = folder / "run.xlsx"
    path.write_bytes(b"PK")
    return path


@case("run", "", None, "without suffix is not known")
def file_without_a_suffix(folder: Path) -> Path:
    path = folder / "run"
    path.write_text("hello")
    return path


@case("gone.npz", "", None, "the file is not there")
def file_that_is_not_there(folder: Path) -> Path:
    return folder / "gone.npz"


@case("run", "", None, "no file that belongs to a bundle")
def empty_folder(folder: Path) -> Path:
    (folder / "run").mkdir()
    return folder / "run"


@case("run", "", None, "only notes.md")
def folder_without_a_usable_file(folder: Path) -> Path:
    return tree(folder, notes_dot_md="hello")


@case("losses.npy", "", None, "symbolic link that leads out")
def link_out_of_the_folder(folder: Path) -> Path:
    root = tree(folder, embeddings=X)
    np.save(folder / "elsewhere.npy", LOSSES)
    (root / "losses.npy").symlink_to(folder / "elsewhere.npy")
    return root


@case("images", "", None, "symbolic link that leads out")
def linked_folder(folder: Path) -> Path:
    root = tree(folder, embeddings=X, losses=LOSSES)
    (folder / "elsewhere").mkdir()
    (root / "images").symlink_to(folder / "elsewhere")
    return root


@case("run", "", None, "cannot be read")
def links_in_a_circle(folder: Path) -> Path:
    root = tree(folder, embeddings=X)
    (root / "losses.npy").symlink_to(root / "losses.npy")
    return root


@case("examples.csv", "", None, "5000 columns, at most 4096")
def endless_columns(folder: Path) -> Path:
    header = ",".join(f"c{k}" for k in range(5000))
    return table(folder, header + "\n")


@case("run.npz", "", None, "neither a file nor a folder")
def named_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "run.npz")
    return folder / "run.npz"


@case("embedding.npy", "embedding", None, "given twice, also as 'embeddings' of embeddings.npy")
def field_given_twice(folder: Path) -> Path:
    return tree(folder, embeddings=X, embedding=X, losses=LOSSES)


# ---------------------------------------------------------------- the tests


def test_enough_kinds_are_covered() -> None:
    assert len(CASES) >= 35


@pytest.mark.parametrize("name", CASES)
def test_bad_bundle_gives_file_field_row_and_next_step(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, file, field, row, words = CASES[name]
    monkeypatch.chdir(tmp_path)
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    path = build(source)
    before = sorted(source.rglob("*"))
    columns = MAPPINGS.get(name)

    with pytest.raises(BundleError) as read:
        read_bundle(path, columns=columns)
    with pytest.raises(BundleError) as imported:
        import_bundle(path, home, columns=columns)

    assert imported.value.faults == read.value.faults
    fault = next(
        (
            fault
            for fault in read.value.faults
            if (fault.file, fault.field, fault.row) == (file, field, row) and words in str(fault)
        ),
        None,
    )
    assert fault is not None, f"{[fault.to_dict() for fault in read.value.faults]}"
    assert fault.problem.endswith(".") and fault.advice.endswith(".")
    assert list_bundles(home) == []
    assert [
        found for found in home.rglob("*") if found.name not in ("bundles", "bundles.lock")
    ] == []
    assert sorted(source.rglob("*")) == before
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("name", CASES)
def test_inspecting_a_bad_bundle_lists_it_or_says_why_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = CASES[name][0](tmp_path)
    try:
        found = inspect_upload(path)
    except BundleError as error:
        assert error.faults
    else:
        assert found
    assert not (tmp_path / "unpickled").exists()


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    path = npz(
        tmp_path,
        losses=with_(LOSSES, 1, np.nan),
        labels=np.zeros(4, int),
        **{"examples/id": list("aabcde")},
    )
    with pytest.raises(BundleError) as error:
        read_bundle(path)
    assert {fault.field for fault in error.value.faults} == {"losses", "labels", "examples/id"}


def test_good_bundle_of_the_table_is_good(tmp_path: Path) -> None:
    assert read_bundle(npz(tmp_path)).n == N


@pytest.mark.parametrize("suffix", [".npz", ".zip", ".parquet", ".safetensors", ".pt", ".feather"])
def test_damaged_bytes_never_give_a_traceback(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"run{suffix}"
    fields = {"embeddings": X, "losses": LOSSES, "labels": np.array(list("ababab"))}
    if suffix == ".safetensors":
        import safetensors.numpy

        safetensors.numpy.save_file({"embeddings": X, "losses": LOSSES}, path)
    elif suffix == ".pt":
        torch.save({"embeddings": torch.tensor(X), "losses": torch.tensor(LOSSES)}, path)
    elif suffix == ".feather":
        pd.DataFrame({"embedding": X.tolist(), "loss": LOSSES}).to_feather(path)
    else:
        write_bundle(path, **fields)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.integers(0, 256)
        if random.random() < 0.3:
            data = data[: random.integers(1, len(data))]
        path.write_bytes(data)
        try:
            read_bundle(path)
        except BundleError as error:
            refused += 1
            assert error.faults[0].problem
    assert refused > 5


def test_damaged_parquet_footers_do_not_end_the_process(tmp_path: Path) -> None:
    # pyarrow ends the process, instead of raising, when some calls meet damaged column metadata
    code = (
        "import sys, random; from pathlib import Path; "
        "from backend.bundle import inspect_upload, read_bundle; "
        "from backend.core.errors import BundleError\n"
        "path = Path(sys.argv[1]); whole = path.read_bytes(); draw = random.Random(0)\n"
        "footer = len(whole) - int.from_bytes(whole[-8:-4], 'little') - 8\n"
        "for place in range(footer, len(whole) - 8):\n"
        "    data = bytearray(whole); data[place] = draw.choice([0, 1, 25, 255, data[place] ^ 4])\n"
        "    path.write_bytes(data)\n"
        "    for read in (inspect_upload, read_bundle):\n"
        "        try: read(path)\n"
        "        except BundleError: pass\n"
    )
    path = parquet(tmp_path, label=pa.array(list("ababab")))
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
