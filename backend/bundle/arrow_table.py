"""Parquet, Feather and Arrow files as columns that are read when they are asked for."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backend.bundle.csv_table import check_names
from backend.bundle.entry import UploadEntry
from backend.bundle.faults import parsing, refuse
from backend.bundle.ipc import BATCH_ROWS, Pieces, open_ipc
from backend.bundle.limits import (
    MAX_RATIO,
    MAX_ROWS,
    MAX_TABLE_BYTES,
    MAX_UNPACKED_BYTES,
    RATIO_FLOOR_BYTES,
)
from backend.bundle.media import CellImages
from backend.bundle.names import canonical_column

SUFFIXES = (".parquet", ".arrow", ".feather")
SAVE_TABLE = "Save the table again and upload it whole."
CLASSES_KEY = b"errorscope"


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

    def pieces(name: str) -> Pieces:
        def read() -> Iterator[pa.Array]:
            with opened([name] if name in text else None, meta) as parquet:
                wide = pa.types.is_nested(schema.field(name).type) or name not in text
                for batch in parquet.iter_batches(
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
    shape: tuple[int, ...] | None = (rows,)
    if _is_list(kind):
        shape = (rows, kind.list_size) if pa.types.is_fixed_size_list(kind) else None
    nested = pa.types.is_nested(kind)
    images = None
    if canonical_column(name) == "image" or _is_image(kind):

        def images() -> CellImages:
            return CellImages(lambda: _image_cells(pieces, file, name), rows, file)

    return UploadEntry(
        file=file,
        name=name,
        shape=shape,
        dtype=_dtype_name(kind),
        load=lambda: _load(file, name, kind, rows, pieces),
        text=(lambda: _load(file, name, kind, rows, pieces, as_text=True)) if nested else None,
        images=images,
        cells=True,
    )


def _dtype_name(kind: pa.DataType) -> str:
    """numpy's name of what a column loads as, so that the same content has one name everywhere."""
    if _is_list(kind):
        kind = kind.value_type
    if _is_number(kind) or pa.types.is_boolean(kind):
        return str(np.dtype(kind.to_pandas_dtype()).name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "str"
    return str(kind)[:80]


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_image(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_struct(kind)
        and {"bytes", "path"} <= {kind.field(k).name for k in range(kind.num_fields)}
    )


def _image_cells(pieces: Pieces, file: str, name: str) -> Iterator[tuple[bytes | None, str | None]]:
    with parsing(file, "the column", SAVE_TABLE, name):
        for piece in pieces():
            for cell in _plain(piece).to_pylist():
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
        if not as_text and _is_list(kind) and _is_number(kind.value_type):
            return _matrix(file, name, kind.value_type, rows, pieces)
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
            parts.append(_plain(piece))
        column = pa.chunked_array(parts, type=parts[0].type if parts else kind)
        return _vector(column, file, name)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _unpacked_bytes(piece: Any) -> int:
    words = piece.dictionary
    if not (pa.types.is_string(words.type) or pa.types.is_binary(words.type)):
        return len(piece) * 8
    return pc.sum(pc.binary_length(words).take(piece.indices)).as_py() or 0


def _plain(piece: Any) -> Any:
    """``piece`` without dictionary encoding or an extension type around it."""
    if isinstance(piece.type, pa.BaseExtensionType):
        piece = piece.storage
    if pa.types.is_dictionary(piece.type):
        piece = piece.dictionary_decode()
    return piece


def _vector(column: pa.ChunkedArray, file: str, name: str) -> NDArray[Any]:
    kind = column.type
    types = pa.types
    if types.is_decimal(kind):
        column, kind = column.cast(pa.float64()), pa.float64()
    if types.is_floating(kind) or (types.is_integer(kind) and not column.null_count):
        if column.null_count:
            width = kind.to_pandas_dtype()
            return np.array(
                [math.nan if value is None else value for value in column.to_pylist()], dtype=width
            )
        return np.asarray(column.to_numpy())
    if types.is_integer(kind):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    if types.is_boolean(kind) and not column.null_count:
        return np.asarray(column.to_numpy(), dtype=bool)
    result = np.empty(len(column), dtype=object)
    cells: list[Any] = column.to_pylist()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        cells = [_decoded(cell, row, file, name) for row, cell in enumerate(cells)]
    if types.is_temporal(kind) and not types.is_duration(kind):
        cells = [None if cell is None else cell.isoformat() for cell in cells]
    elif types.is_nested(kind):
        cells = [None if cell is None else json.dumps(cell, default=str) for cell in cells]
    result[:] = ["" if cell is None else str(cell) for cell in cells]
    return result


def _decoded(cell: bytes | None, row: int, file: str, name: str) -> str:
    try:
        return (cell or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse(
            file,
            name,
            row,
            f"the bytes are not UTF-8 text (byte {error.start}).",
            "Decode the column before saving, or leave it out.",
        ) from error


def _matrix(file: str, name: str, kind: pa.DataType, rows: int, pieces: Pieces) -> NDArray[Any]:
    """A list column as (n, k), filled piece by piece; every list must be as long as the first."""
    result: NDArray[Any] | None = None
    dtype = np.dtype(kind.to_pandas_dtype())
    done = 0
    for piece in pieces():
        piece = _plain(piece)
        if piece.null_count:
            row = done + int(pc.index(pc.is_null(piece), True).as_py())
            raise refuse(file, name, row, "the cell is empty.", "Give every row a list of numbers.")
        lengths = np.asarray(pc.list_value_length(piece).to_numpy(zero_copy_only=False))
        if result is None and len(lengths):
            if rows * int(lengths[0]) * dtype.itemsize > MAX_UNPACKED_BYTES:
                raise refuse(
                    file, name, None, "the column is too big.", "Import a folder of .npy files."
                )
            result = np.empty((rows, int(lengths[0])), dtype)
        if result is None:
            continue
        wrong = lengths != result.shape[1]
        if wrong.any():
            row = int(wrong.argmax())
            raise refuse(
                file,
                name,
                done + row,
                f"the list has {lengths[row]} numbers where row 0 has {result.shape[1]}.",
                "Make all lists equally long.",
            )
        values = piece.flatten()
        if values.null_count:
            hole = int(pc.index(pc.is_null(values), True).as_py())
            raise refuse(
                file,
                name,
                done + hole // max(1, result.shape[1]),
                "the list holds an empty value.",
                "Fill it, or remove the row.",
            )
        result[done : done + len(lengths)] = values.to_numpy(zero_copy_only=False).reshape(
            len(lengths), result.shape[1]
        )
        done += len(lengths)
    if result is None:
        return np.empty((0, 0), dtype)
    return result
