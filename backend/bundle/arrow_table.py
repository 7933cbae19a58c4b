"""Parquet, Feather and Arrow files as columns that are read when they are asked for."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backend.bundle.arrow_cells import (
    cell_texts,
    innermost,
    is_bytes,
    is_list,
    is_number,
    plain,
    storage,
    vector,
)
from backend.bundle.csv_table import check_names
from backend.bundle.entry import LeftOut, UploadEntry
from backend.bundle.faults import parsing, refuse
from backend.bundle.ipc import BATCH_ROWS, Pieces, open_ipc
from backend.bundle.limits import (
    MAX_RATIO,
    MAX_ROWS,
    MAX_TABLE_BYTES,
    MAX_UNPACKED_BYTES,
    RATIO_FLOOR_BYTES,
)
from backend.bundle.media import IMAGE_STARTS, CellImages
from backend.bundle.names import canonical_column
from backend.core.errors import Fault

SUFFIXES = (".parquet", ".arrow", ".feather")
SAVE_TABLE = "Save the table again and upload it whole."
CLASSES_KEY = b"errorscope"
LOOKED_AT = 32
"""Filled cells that tell whether a column holds pictures."""


def read_arrow(source: Path | bytes, file: str) -> tuple[list[UploadEntry], tuple[str, ...] | None]:
    """Columns of a Parquet, Feather or Arrow file, and the class names in its schema, if any.

    Class names are taken from the metadata ``write_bundle`` leaves, or from the label feature of
    the Hugging Face layout.

    Raises
    ------
    BundleError
        If the file is damaged, has a column twice, or unpacks to more than the limits allow.
    """
    suffix = "." + file.rpartition(".")[2].lower()
    with parsing(file, "the table", SAVE_TABLE):
        if suffix == ".parquet":
            schema, rows, pieces = _open_parquet(source, file)
        else:
            schema, rows, pieces = open_ipc(source)
        names = list(schema.names)
    if rows > MAX_ROWS:
        raise refuse(
            file, "", None, f"it has {rows} rows, at most {MAX_ROWS} are read.", "Split the table."
        )
    check_names(names, file)
    entries = [
        _entry(file, name, schema.field(name).type, rows, pieces(name))
        for name in names
        if not name.startswith("__index_level_")
    ]
    return entries, _class_names(schema)


def _open_parquet(source: Path | bytes, file: str) -> tuple[pa.Schema, int, Any]:
    def opened(dictionary: list[str] | None = None, meta: Any = None) -> pq.ParquetFile:
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        return pq.ParquetFile(stream, metadata=meta, read_dictionary=dictionary)

    with opened() as parquet:
        meta, schema = parquet.metadata, parquet.schema_arrow
        packed = len(source) if isinstance(source, bytes) else source.stat().st_size
        _check_sizes(meta, packed, file)
    # Read as dictionaries, a repeated long text costs memory once; its unpacked size is checked
    # before it is spread over the rows.
    text = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_binary(field.type)
        if canonical_column(field.name) != "image"
    ]

    @cache
    def kept_open() -> pq.ParquetFile:
        return opened(text, meta)  # which takes time for every column there is

    def pieces(name: str) -> Pieces:
        def read() -> Iterator[pa.Array]:
            wide = pa.types.is_nested(schema.field(name).type) or name not in text
            for batch in kept_open().iter_batches(
                batch_size=BATCH_ROWS if wide else 16 * BATCH_ROWS, columns=[name]
            ):
                yield batch.column(batch.schema.get_field_index(name))

        return read

    return schema, meta.num_rows, pieces


def _check_sizes(meta: Any, packed: int, file: str) -> None:
    # Row groups only: asking a damaged file for its column chunks here ends the whole process,
    # because pyarrow lets that C++ exception through. Reading columns is guarded.
    unpacked = sum(max(0, meta.row_group(k).total_byte_size) for k in range(meta.num_row_groups))
    if unpacked > MAX_UNPACKED_BYTES or (
        unpacked > RATIO_FLOOR_BYTES and unpacked > MAX_RATIO * packed
    ):
        raise refuse(
            file,
            "",
            None,
            f"{packed} bytes unpack to {unpacked} bytes, like a zip bomb.",
            "Save it without compression, or import a folder of .npy files.",
        )


def _class_names(schema: pa.Schema) -> tuple[str, ...] | None:
    metadata = schema.metadata or {}
    try:
        own = json.loads(metadata.get(CLASSES_KEY, b"{}"))
        theirs = json.loads(metadata.get(b"huggingface", b"{}"))
        names = own.get("classes")
        if names is None:
            features = theirs.get("info", {}).get("features", {})
            names = next(
                features[key]["names"]
                for key in ("label", "labels")
                if features.get(key, {}).get("names")
            )
    except (ValueError, AttributeError, KeyError, TypeError, StopIteration, RecursionError):
        return None  # metadata is a hint: a table without it is read all the same
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _entry(file: str, name: str, kind: pa.DataType, rows: int, pieces: Pieces) -> UploadEntry:
    own = storage(kind)
    shape: tuple[int, ...] | None = (rows,)
    if is_list(own):
        shape = (rows, own.list_size) if pa.types.is_fixed_size_list(own) else None
    images = None
    if canonical_column(name) == "image" or _is_image(own) or is_bytes(own):

        def images() -> CellImages:
            return CellImages(lambda: _image_cells(pieces, file, name), rows, file)

    written = pa.types.is_nested(own) or pa.types.is_integer(own) or pa.types.is_decimal(own)
    return UploadEntry(
        file=file,
        name=name,
        shape=shape,
        dtype=_dtype_name(kind),
        load=lambda: _load(file, name, kind, rows, pieces),
        text=(lambda: _load(file, name, kind, rows, pieces, as_text=True)) if written else None,
        images=images,
        cells=True,
        lists=is_list(own),
        pictures=(lambda: _holds_pictures(pieces, file, name)) if images is not None else None,
    )


def _dtype_name(kind: pa.DataType) -> str:
    """numpy's name of what a column loads as, so that the same content has one name everywhere."""
    kind = innermost(kind)
    if pa.types.is_decimal(kind):
        return "float64"
    if is_number(kind) or pa.types.is_boolean(kind):
        return str(np.dtype(kind.to_pandas_dtype()).name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "str"
    return str(kind)[:80]


def _is_image(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_struct(kind)
        and {"bytes", "path"} <= {kind.field(k).name for k in range(kind.num_fields)}
    )


def _holds_pictures(pieces: Pieces, file: str, name: str) -> bool:
    """Whether at least half of the first filled cells begin like image files (or name files that would)."""
    cells = (cell for cell in _image_cells(pieces, file, name) if cell != (None, None))
    alike = [data is None or data.startswith(IMAGE_STARTS) for data, _ in islice(cells, LOOKED_AT)]
    return bool(alike) and 2 * sum(alike) >= len(alike)


def _image_cells(pieces: Pieces, file: str, name: str) -> Iterator[tuple[bytes | None, str | None]]:
    with parsing(file, "the column", SAVE_TABLE, name):
        for piece in pieces():
            for cell in plain(piece).to_pylist():
                if isinstance(cell, dict):
                    data, path = cell.get("bytes"), cell.get("path")
                    yield (
                        data if isinstance(data, bytes) and data else None,
                        path if isinstance(path, str) else None,
                    )
                elif isinstance(cell, bytes):
                    yield cell or None, None
                else:
                    yield None, None if cell is None else str(cell)


def _load(
    file: str, name: str, kind: pa.DataType, rows: int, pieces: Pieces, *, as_text: bool = False
) -> NDArray[Any]:
    with parsing(file, "the column", SAVE_TABLE, name):
        own = storage(kind)
        if not as_text and is_list(own) and is_number(innermost(own)):
            return _matrix(file, name, innermost(own), rows, pieces)
        parts = []
        spread = 0
        for piece in pieces():
            if pa.types.is_dictionary(piece.type):
                spread += _unpacked_bytes(piece)
                if spread > MAX_TABLE_BYTES:
                    raise refuse(
                        file,
                        name,
                        None,
                        f"the text unpacks to more than {MAX_TABLE_BYTES} bytes.",
                        "Shorten it, or leave the column out.",
                    )
            parts.append(plain(piece))
        column = pa.chunked_array(parts, type=parts[0].type if parts else own)
        try:
            return cell_texts(column, kind) if as_text else vector(column, kind)
        except LeftOut as error:
            advice = "Save it as text or numbers, or leave it out."
            raise LeftOut(Fault(file, name, None, f"{error}.", advice)) from error


def _unpacked_bytes(piece: Any) -> int:
    words = piece.dictionary
    if not (pa.types.is_string(words.type) or pa.types.is_binary(words.type)):
        return len(piece) * 8
    return pc.sum(pc.binary_length(words).take(piece.indices)).as_py() or 0


def _matrix(file: str, name: str, kind: pa.DataType, rows: int, pieces: Pieces) -> NDArray[Any]:
    """A list column as (n, k), filled piece by piece; every list must be as long as most are.

    A list that holds just one list of numbers is that list.
    """
    result: NDArray[Any] | None = None
    dtype = np.dtype(np.float64 if pa.types.is_decimal(kind) else kind.to_pandas_dtype())
    done = 0
    for piece in pieces():
        piece = plain(piece)
        _check_filled(piece, done, file, name, "the cell is empty.")
        piece = _one_inside(piece, done, file, name)
        lengths = np.asarray(pc.list_value_length(piece).to_numpy(zero_copy_only=False))
        if result is None and len(lengths):
            width = int(np.bincount(lengths).argmax()) if lengths.max() < 2**20 else int(lengths[0])
            if rows * width * dtype.itemsize > MAX_UNPACKED_BYTES:
                raise refuse(
                    file, name, None, "the column is too big.", "Import a folder of .npy files."
                )
            result = np.empty((rows, width), dtype)
        if result is None:
            continue
        wrong = lengths != result.shape[1]
        if wrong.any():
            row = int(wrong.argmax())
            others = "most rows have" if done + row == 0 else "the others have"
            raise refuse(
                file,
                name,
                done + row,
                f"the list has {lengths[row]} numbers where {others} {result.shape[1]}.",
                "Make all lists equally long.",
            )
        values = plain(piece.flatten())
        if values.null_count:
            hole = int(pc.index(pc.is_null(values), True).as_py())
            raise refuse(
                file,
                name,
                done + hole // max(1, result.shape[1]),
                "the list holds an empty value.",
                "Fill it, or remove the row.",
            )
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        result[done : done + len(lengths)] = values.to_numpy(zero_copy_only=False).reshape(
            len(lengths), result.shape[1]
        )
        done += len(lengths)
    if result is None:
        return np.empty((0, 0), dtype)
    return result


def _one_inside(piece: Any, done: int, file: str, name: str) -> Any:
    """Lists of numbers, out of lists that hold one such list each."""
    while is_list(storage(piece.type.value_type)):
        lengths = np.asarray(pc.list_value_length(piece).to_numpy(zero_copy_only=False))
        wrong = lengths != 1
        if wrong.any():
            row = int(wrong.argmax())
            raise refuse(
                file,
                name,
                done + row,
                f"the cell holds {lengths[row]} lists of numbers, one was needed.",
                "Flatten them to one list a row, or save the array as .npy.",
            )
        piece = plain(piece.flatten())
        _check_filled(piece, done, file, name, "the list in the cell is missing.")
    return piece


def _check_filled(piece: Any, done: int, file: str, name: str, problem: str) -> None:
    if piece.null_count:
        row = done + int(pc.index(pc.is_null(piece), True).as_py())
        raise refuse(file, name, row, problem, "Give every row a list of numbers.")
