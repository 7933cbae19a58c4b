"""Columns of an Arrow table as arrays: numbers for computing, and the text of each cell."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backend.bundle.entry import LeftOut, exact_in_float64

types = pa.types


def is_list(kind: pa.DataType) -> bool:
    """Whether a cell of this type is a list of any kind."""
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Whether a cell is one number, of any width."""
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a cell is bytes that nothing says the meaning of."""
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def storage(kind: pa.DataType) -> pa.DataType:
    """What cells of this type are, without dictionary, run lengths or an extension around them."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def innermost(kind: pa.DataType) -> pa.DataType:
    """Type of the values in a list, or in a list of lists."""
    kind = storage(kind)
    while is_list(kind):
        kind = storage(kind.value_type)
    return kind


def plain(piece: Any) -> Any:
    """``piece`` without encodings, extension types and views: each the plain type it stands for."""
    while True:
        kind = piece.type
        if isinstance(kind, pa.BaseExtensionType):
            piece = piece.storage
        elif types.is_run_end_encoded(kind):
            piece = pc.run_end_decode(piece)
        elif types.is_dictionary(kind):
            words = plain(piece.dictionary)
            piece = pa.DictionaryArray.from_arrays(piece.indices, words).dictionary_decode()
        elif types.is_string_view(kind):
            piece = piece.cast(pa.large_string())
        elif types.is_binary_view(kind):
            piece = piece.cast(pa.large_binary())
        elif types.is_list_view(kind) or types.is_large_list_view(kind):
            piece = _in_order(piece)
        else:
            return piece


def _in_order(piece: Any) -> Any:
    """A list view as a list: its cells may lie in any order, and share values."""
    lengths = pc.fill_null(pc.list_value_length(piece), 0).cast(pa.int64())
    ends = np.concatenate([[0], np.cumsum(lengths.to_numpy())])
    missing = pc.is_null(piece) if piece.null_count else None
    return pa.LargeListArray.from_arrays(pa.array(ends), piece.flatten(), mask=missing)


def vector(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any]:
    """Numbers in their own width and booleans; everything else as text, missing cells empty.

    Parameters
    ----------
    column : ChunkedArray
        Of ``plain`` pieces.
    kind : DataType
        Type of the column before it was made plain.

    Notes
    -----
    Whole numbers that a float64 cannot tell apart (ids, mostly) are text where a cell is missing.
    """
    own = column.type
    if types.is_decimal(own):
        return _decimals(column)
    if types.is_floating(own):
        if column.null_count:
            width = own.to_pandas_dtype()
            return np.array(
                [math.nan if value is None else value for value in column.to_pylist()], dtype=width
            )
        return np.asarray(column.to_numpy())
    if types.is_integer(own):
        if not column.null_count:
            return np.asarray(column.to_numpy())
        values = [value for value in column.to_pylist() if value is not None]
        if not exact_in_float64(values):
            return cell_texts(column, kind)
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    if types.is_boolean(own) and not column.null_count:
        return np.asarray(column.to_numpy(), dtype=bool)
    return cell_texts(column, kind)


def _decimals(column: pa.ChunkedArray) -> NDArray[Any]:
    cells = column.to_pylist()
    filled = [cell for cell in cells if cell is not None]
    whole = all(cell == cell.to_integral_value() for cell in filled)
    if whole and not exact_in_float64(filled):
        if len(filled) < len(cells) or max(map(abs, filled)) >= 2**63:
            return cell_texts(column, column.type)
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    return np.array([math.nan if cell is None else float(cell) for cell in cells])


def cell_texts(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any]:
    """Every cell as text, (n,) objects of ``str``; a missing one is the empty text.

    Raises
    ------
    LeftOut
        If cells hold bytes that are not text, or cannot be written as text.
    """
    own = column.type
    if types.is_string(own) or types.is_large_string(own):
        return _objects(column.to_pylist(), str)
    if types.is_decimal(own):
        return _objects(column.to_pylist(), lambda cell: format(cell, "f"))
    if isinstance(kind, pa.UuidType):
        return _objects(column.to_pylist(), lambda cell: str(uuid.UUID(bytes=cell)))
    if is_bytes(own):
        return _objects(column.to_pylist(), _decoded)
    try:
        if types.is_nested(own):
            if _holds_bytes(own):
                raise LeftOut("cells hold bytes, which are neither numbers nor text")
            return _objects(
                column.to_pylist(), lambda cell: json.dumps(cell, default=str, ensure_ascii=False)
            )
        if types.is_temporal(own) and not types.is_duration(own) and not types.is_interval(own):
            return _times(column)
        return _objects(column.to_pylist(), str)
    except (ValueError, OverflowError, TypeError, ArithmeticError, LookupError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise LeftOut(f"cells of type {str(own)[:80]} cannot be shown ({reason})") from error


def _objects(cells: list[Any], told: Callable[[Any], str]) -> NDArray[Any]:
    result = np.empty(len(cells), dtype=object)
    result[:] = ["" if cell is None else told(cell) for cell in cells]
    return result


def _decoded(cell: bytes) -> str:
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LeftOut("cells hold bytes that are not text") from error


def _holds_bytes(kind: pa.DataType) -> bool:
    kind = storage(kind)
    inner = [kind.field(k).type for k in range(kind.num_fields)]
    return is_bytes(kind) or any(_holds_bytes(one) for one in inner)


def _times(column: pa.ChunkedArray) -> NDArray[Any]:
    """Dates and times as ISO 8601, also those that Python's own types do not reach."""
    own = column.type
    if not (types.is_time(own) and own.unit == "ns"):  # Python's times of day end at microseconds
        try:
            return _objects(column.to_pylist(), lambda cell: cell.isoformat())
        except (ValueError, OverflowError, LookupError):
            pass
    if types.is_time(own):
        values = column.cast(pa.int32() if own.bit_width == 32 else pa.int64()).to_pylist()
        return _objects(values, lambda value: _time_of_day(value, own.unit))
    unit = "D" if types.is_date32(own) else "ms" if types.is_date64(own) else own.unit
    zone = "+00:00" if types.is_timestamp(own) and own.tz else ""
    wide = column.cast(pa.int32()) if types.is_date32(own) else column
    values = wide.cast(pa.int64()).to_pylist()
    day = "D" if types.is_date(own) else unit

    def told(value: int) -> str:
        text = str(np.datetime_as_string(np.array(value, f"M8[{unit}]").astype(f"M8[{day}]")))
        return re.sub(r"(T[0-9:]+)\.0+$", r"\1", text) + zone

    return _objects(values, told)


def _time_of_day(value: int, unit: str) -> str:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    seconds, rest = divmod(value, per_second)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{rest:0{len(str(per_second)) - 1}d}" if rest else text
