"""Writing bundles that every reader here accepts: .npz, .parquet, .zip or a folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backend.bundle.arrow_table import CLASSES_KEY
from backend.bundle.entry import text_of
from backend.bundle.media import ArrayImages, image_array_problem
from backend.bundle.names import PER_ROW, SYNONYMS, canonical_field, name_problem
from backend.core.arrays import as_numpy
from backend.core.errors import InputError

GROUPS = ("populations", "layers", "msp", "train")
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}


@dataclass(frozen=True)
class Parts:
    """Fields sorted by how they are written."""

    arrays: dict[str, NDArray[Any]]
    examples: pd.DataFrame | None
    stress: pd.DataFrame | None
    images: NDArray[np.uint8] | list[bytes | None] | None
    classes: tuple[str, ...] | None


def write_bundle(path: str | os.PathLike[str], **fields: Any) -> Path:
    """Write the fields of an evaluation as one file or folder that ``read_bundle`` reads.

    Parameters
    ----------
    path : path-like
        ``.npz``, ``.parquet`` or ``.zip``; without a suffix, a folder, which must be new or empty.
    **fields
        ``embeddings`` (n, d), ``losses``, ``labels``, ``predictions``, ``probabilities``,
        ``logits``, ``targets``, ``classes``, ``vog``, ``gradients``, ``attribution``,
        ``train_features``, ``target_features``, ``train_residuals``, ``stress_scores``, ``made_from`` (texts: the digest of the bundle it was made
        from, then how, then ``unchanged`` for a control, else the digest of its control, if it has one);
        ``examples`` (DataFrame, or dict of columns); ``images``, a list of image files as bytes
        (None where there is none) or uint8 pixels (n, h, w) or (n, h, w, 1 | 3 | 4);
        ``populations``, ``layers``, ``msp`` and ``train``, dicts of arrays; ``stress`` (DataFrame or dict).
        Arrays may be tensors. None means not given.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        If a field is unknown, is not made of numbers or text, or does not go into this kind of
        file: a ``.parquet`` holds only what has one row per example.

    Notes
    -----
    Fields are written as they are; ``read_bundle`` checks them. A column of ``examples`` called
    like a field (``label``) is read as that field unless the field itself is given too.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from backend.bundle import read_bundle, write_bundle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_bundle(folder + "/run.npz", embeddings=np.eye(3), losses=[0.1, 2.0, 0.3])
    ...     read_bundle(file).n
    3
    """
    path = Path(path)
    parts = _parts(fields)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        _replace_file(path, lambda target: _write_zip(target, _npz_members(parts)))
    elif suffix == ".zip":
        _replace_file(path, lambda target: _write_zip(target, _folder_members(parts)))
    elif suffix == ".parquet":
        table = _table(parts)
        _replace_file(path, lambda target: pq.write_table(table, target))
    elif suffix == "":
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"path must be a new or empty folder: {path.name!r} is not.")
        for name, data in _folder_members(parts).items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_bytes(data))
    else:
        raise InputError(
            f"path must end in .npz, .parquet or .zip, or be a folder: got suffix {suffix!r}."
        )
    return path


def npz_arrays(fields: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz of these fields, by the names they have in it."""
    members = _npz_members(_parts(fields))
    return {name.removesuffix(".npy"): array for name, array in members.items()}


def _parts(fields: Mapping[str, Any]) -> Parts:
    arrays: dict[str, NDArray[Any]] = {}
    given = {name: value for name, value in fields.items() if value is not None}
    allowed = (*SYNONYMS, *GROUPS, "examples", "stress", "images")
    for name, value in given.items():
        if name not in allowed:
            raise InputError(f"fields must be among {', '.join(allowed)}: got {name!r}.")
        if name in SYNONYMS and name != "classes":
            arrays[name] = _array(name, value)
        elif name in GROUPS:
            for inner, array in dict(value).items():
                if problem := name_problem(str(inner)):
                    raise InputError(f"{name}: {problem}: got {inner!r}.")
                arrays[f"{name}/{inner}"] = _array(f"{name}/{inner}", array)
    classes = given.get("classes")
    return Parts(
        arrays=arrays,
        examples=_frame("examples", given.get("examples")),
        stress=_frame("stress", given.get("stress")),
        images=_images(given.get("images")),
        classes=None
        if classes is None
        else tuple(str(name) for name in as_numpy(classes).tolist()),
    )


def _array(name: str, value: Any) -> NDArray[Any]:
    array = as_numpy(value)
    if array.dtype.kind == "O" or array.dtype.kind == "T":
        cells = array.reshape(-1).tolist()
        if not all(isinstance(cell, str) for cell in cells):
            raise InputError(f"{name} must hold numbers or text: got dtype {array.dtype}.")
        array = np.asarray(cells, dtype=np.str_).reshape(array.shape)
    if array.dtype.kind not in "biufcUSM" or array.dtype.hasobject:
        raise InputError(f"{name} must hold numbers or text: got dtype {array.dtype}.")
    return array


def _frame(name: str, value: Any) -> pd.DataFrame | None:
    if value is None:
        return None
    frame = value if isinstance(value, pd.DataFrame) else pd.DataFrame(dict(value))
    columns = {}
    for column in frame.columns:
        series = frame[column]
        if not isinstance(series, pd.Series):
            raise InputError(f"{name}: column {column!r} occurs twice.")
        columns[str(column)] = _column(f"{name}/{column}", series)
    return pd.DataFrame(columns, index=range(len(frame)))


def _column(name: str, series: pd.Series) -> NDArray[Any]:
    """Numbers, booleans and dates as they are; everything else as text, missing cells empty."""
    if series.dtype.kind in "iufb" and isinstance(series.dtype, np.dtype):
        return np.asarray(series.to_numpy())
    if series.dtype.kind == "M" and isinstance(series.dtype, np.dtype):
        return text_of(series.to_numpy(), name, name)
    result = np.empty(len(series), dtype=object)
    for row, (cell, missing) in enumerate(zip(series, series.isna(), strict=True)):
        if isinstance(cell, bytes):
            raise InputError(f"{name} must hold numbers or text: row {row} holds bytes.")
        result[row] = "" if missing else str(cell)
    return result


def _images(value: Any) -> NDArray[np.uint8] | list[bytes | None] | None:
    if value is None:
        return None
    if isinstance(value, Sequence) and all(
        item is None or isinstance(item, (bytes, bytearray)) for item in value
    ):
        return [None if item is None else bytes(item) for item in value]
    pixels = as_numpy(value)
    if problem := image_array_problem(pixels):
        raise InputError(f"images must be a list of bytes or an array of pixels: got {problem}")
    return np.asarray(pixels)


def _text_array(column: NDArray[Any]) -> NDArray[Any]:
    """Object columns as numpy text, for files that have no other."""
    return np.asarray(column.tolist(), dtype=np.str_) if column.dtype.kind == "O" else column


def _npz_members(parts: Parts) -> dict[str, Any]:
    members: dict[str, Any] = {f"{name}.npy": array for name, array in parts.arrays.items()}
    for group, frame in (("examples", parts.examples), ("stress", parts.stress)):
        for name in () if frame is None else frame.columns:
            if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
                raise InputError(
                    f"column {name!r} cannot be a name in .npz: write .zip or .parquet."
                )
            members[f"{group}/{name}.npy"] = _text_array(frame[name].to_numpy())  # type: ignore[index]
    if parts.classes is not None:
        members["classes.npy"] = np.asarray(parts.classes, dtype=np.str_)
    if isinstance(parts.images, list):
        ends = np.cumsum([0, *(len(image or b"") for image in parts.images)])
        members["images/bytes.npy"] = np.frombuffer(
            b"".join(i or b"" for i in parts.images), np.uint8
        )
        members["images/offsets.npy"] = ends.astype(np.int64)
    elif parts.images is not None:
        members["images.npy"] = parts.images
    return members


def _folder_members(parts: Parts) -> dict[str, Any]:
    members: dict[str, Any] = {f"{name}.npy": array for name, array in parts.arrays.items()}
    if parts.classes is not None:
        members["classes.npy"] = np.asarray(parts.classes, dtype=np.str_)
    examples = parts.examples
    if isinstance(parts.images, list):
        names = _image_names(parts.images, examples)
        examples = (pd.DataFrame(index=range(len(names))) if examples is None else examples).copy()
        if len(examples) != len(names):
            raise InputError(f"images must be one per example: {len(names)} and {len(examples)}.")
        examples["image"] = names
        members |= {
            f"images/{name}" if not name.startswith("images/") else name: image
            for name, image in zip(names, parts.images, strict=True)
            if name and image is not None
        }
    elif parts.images is not None:
        members["images.npy"] = parts.images
    if examples is not None:
        members["examples.parquet"] = _parquet(examples)
    if parts.stress is not None:
        members["stress.parquet"] = _parquet(parts.stress)
    return members


def _image_names(images: list[bytes | None], examples: pd.DataFrame | None) -> list[str]:
    """File names from the ``image`` column where it is there and plain, else from row numbers."""
    if examples is not None and "image" in examples and len(examples) == len(images):
        names = [str(name) for name in examples["image"]]
        filled = [name for name, image in zip(names, images, strict=True) if image is not None]
        if len(set(filled)) == len(filled) and not any(
            not name or name.startswith("/") or "\\" in name or ".." in name.split("/")
            for name in filled
        ):
            return [
                name if image is not None else "" for name, image in zip(names, images, strict=True)
            ]
    width = len(str(len(images)))
    return [
        f"images/{row:0{width}d}{_image_suffix(image)}" if image is not None else ""
        for row, image in enumerate(images)
    ]


def _image_suffix(image: bytes) -> str:
    starts = {
        b"\x89PNG": ".png",
        b"\xff\xd8": ".jpg",
        b"RIFF": ".webp",
        b"GIF8": ".gif",
        b"BM": ".bmp",
    }
    return next((suffix for start, suffix in starts.items() if image.startswith(start)), ".bin")


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _table(parts: Parts) -> pa.Table:
    """The Hugging Face layout: one row per example, vectors as lists, images as {bytes, path}."""
    columns: dict[str, Any] = {}
    examples = parts.examples
    for name in () if examples is None else examples.columns:
        if canonical_field(name) is None or canonical_field(name) not in parts.arrays:
            columns[name] = pa.array(examples[name].to_numpy().tolist())  # type: ignore[index]
    for name, array in parts.arrays.items():
        if name not in ("embeddings", *PER_ROW) and not name.startswith(("msp/", "layers/")):
            raise InputError(
                f"{name} has no row per example and does not go into .parquet: "
                "write .npz, .zip or a folder."
            )
        columns["embedding" if name == "embeddings" else name] = _column_of(name, array)
    if parts.stress is not None:
        raise InputError("stress does not go into .parquet: write .npz, .zip or a folder.")
    if parts.images is not None:
        columns["image"] = _image_cells(parts)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"a table needs equally long columns: got {lengths}.")
    metadata = {CLASSES_KEY: json.dumps({"classes": parts.classes})} if parts.classes else None
    table = pa.table(columns)
    return table.replace_schema_metadata(metadata)


def _column_of(name: str, array: NDArray[Any]) -> pa.Array:
    array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 1:
        return pa.array(array.tolist(), pa.string()) if array.dtype.kind == "U" else pa.array(array)
    if array.ndim != 2:
        raise InputError(f"{name} must be (n,) or (n, k) in .parquet: got shape {array.shape}.")
    values = pa.array(np.ascontiguousarray(array).reshape(-1))
    ends = np.arange(0, array.size + 1, max(1, array.shape[1]))[: len(array) + 1]
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), values)


def _image_cells(parts: Parts) -> pa.Array:
    images = parts.images
    if images is None:
        return pa.nulls(0)
    if not isinstance(images, list):
        pixels = ArrayImages(images)
        images = [pixels.read(row) for row in range(len(pixels))]
    paths = _image_names(images, parts.examples)
    return pa.array(
        [{"bytes": image, "path": path or None} for image, path in zip(images, paths, strict=True)],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )


def _bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, data, allow_pickle=False)
    return buffer.getvalue()


def _write_zip(target: Path, members: Mapping[str, Any]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # one fixed date: the same fields give the same file
            with archive.open(info, "w", force_zip64=True) as stream:
                if isinstance(data, bytes):
                    stream.write(data)
                else:
                    np.lib.format.write_array(stream, data, allow_pickle=False)


def _replace_file(path: Path, write: Any) -> None:
    """Write beside ``path`` and rename, so that a half-written file never has its name."""
    folder = Path(tempfile.mkdtemp(prefix=".write-", dir=path.parent))
    try:
        target = folder / path.name
        write(target)
        target.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
