"""One array or column of an upload, known by shape and dtype before it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.faults import refuse
from backend.bundle.limits import BLOCK_BYTES
from backend.core.errors import BundleError

EXACT = 2**53
"""Whole numbers up to this size are told apart by a float64."""


class LeftOut(BundleError):
    """Cells that are neither numbers nor text. A column that is only an attribute does without."""


def exact_in_float64(values: Iterable[Any]) -> bool:
    """Whether a float64 tells all these whole numbers apart from their neighbours."""
    return all(-EXACT <= value <= EXACT for value in values)


@dataclass(frozen=True)
class FoundField:
    """What ``inspect_upload`` tells about one array or column.

    Parameters
    ----------
    file : str
        File inside the upload, or the upload itself.
    name : str
        Name in that file; nested names with slashes. What ``columns={field: name}`` refers to.
    shape : tuple of int or None
        None where only reading the whole file would tell.
    dtype : str
        numpy's or the file format's name of the element type.
    """

    file: str
    name: str
    shape: tuple[int, ...] | None
    dtype: str


@dataclass(frozen=True)
class UploadEntry:
    """A found array with the way to read it.

    ``load`` gives numbers in their own dtype, or text as an object array of ``str``; it raises
    ``BundleError``. ``text`` gives the cells as they were written, where the file has such a
    thing. ``images`` gives image cells. ``cells`` marks columns of a table, ``lists`` those with
    several values a row. ``pictures`` tells whether the cells of a column of any name are images.
    ``remark`` is a note to make when the column is kept as an attribute.
    """

    file: str
    name: str
    shape: tuple[int, ...] | None
    dtype: str
    load: Callable[[], NDArray[Any]]
    text: Callable[[], NDArray[Any]] | None = None
    images: Callable[[], Any] | None = None
    cells: bool = False
    lists: bool = False
    pictures: Callable[[], bool] | None = None
    remark: str = ""

    @property
    def found(self) -> FoundField:
        return FoundField(self.file, self.name, self.shape, self.dtype)

    @property
    def field(self) -> str:
        """Name shown in faults."""
        return self.name


def dtype_name(dtype: np.dtype[Any]) -> str:
    """numpy's name of an element type, without byte order or the width of text."""
    return {"U": "str", "S": "bytes"}.get(dtype.kind, dtype.name)


def blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Consecutive pieces of about ``BLOCK_BYTES``, together all of ``array`` in C order.

    A memory-mapped file is then never in memory whole. Pieces are slices of rows, or flat slices
    when the array is one contiguous run and its rows are big.
    """
    if array.ndim > 1 and array.flags.c_contiguous and array.size:
        row = array.nbytes // len(array)
        if row > BLOCK_BYTES:
            array = array.reshape(-1)
    if array.ndim == 0:
        array = array.reshape(1)
    row = max(1, array.nbytes // max(1, len(array)))
    step = max(1, BLOCK_BYTES // row)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def check_storable(dtype: np.dtype[Any], file: str, field: str) -> None:
    """Raise ``BundleError`` for element types that a bundle cannot hold."""
    if dtype.hasobject:
        raise refuse(
            file,
            field,
            None,
            "it holds Python objects, which only unpickling could read, and that can run code.",
            "Save it as a numeric or text array: np.asarray(values, dtype=float) or dtype=str.",
        )
    if dtype.names is not None or dtype.subdtype is not None or dtype.kind == "V":
        raise refuse(
            file,
            field,
            None,
            f"it is structured (dtype {str(dtype)[:80]}), one plain array was needed.",
            "Save each of its fields as an array of its own.",
        )
    if dtype.kind == "c":
        raise refuse(
            file,
            field,
            None,
            f"it is complex (dtype {dtype}), real numbers were needed.",
            "Save the real part, or real and imaginary part side by side.",
        )


def text_of(array: NDArray[Any], file: str, field: str) -> NDArray[Any]:
    """Any one-dimensional array as an object array of ``str``.

    Integers and whole floats are written as integers, NaN and missing cells as the empty string,
    dates as ISO text, bytes as UTF-8.

    Raises
    ------
    BundleError
        If bytes are not UTF-8 or text holds code points that are not characters.
    """
    kind = array.dtype.kind
    if kind == "U":
        return _checked_unicode(array, file, field)
    if kind == "S":
        return _decoded(array, file, field)
    result = np.empty(len(array), dtype=object)
    if kind == "O":
        result[:] = array
        return result
    if kind == "b":
        result[:] = np.where(array, "True", "False").tolist()
    elif kind in "iu":
        result[:] = [str(value) for value in array.tolist()]
    elif kind == "f":
        whole = bool(np.all(np.isnan(array) | (np.floor(array) == array) & np.isfinite(array)))
        result[:] = [
            "" if value != value else str(int(value)) if whole else repr(value)
            for value in array.astype(np.float64).tolist()
        ]
    elif kind == "M":
        result[:] = [
            "" if text == "NaT" else text for text in np.datetime_as_string(array).tolist()
        ]
    else:
        result[:] = [str(value) for value in array]
    return result


def _checked_unicode(array: NDArray[Any], file: str, field: str) -> NDArray[Any]:
    result = np.empty(len(array), dtype=object)
    if array.dtype.itemsize and len(array):
        # A file can hold any 32-bit number where numpy expects a character.
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        codes = native.view(np.uint32).reshape(len(array), -1)
        bad = ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any(axis=1)
        if bad.any():
            raise refuse(
                file,
                field,
                int(bad.argmax()),
                "the text holds code points that are not characters.",
                "Save it again as Unicode text.",
            )
        array = native
    result[:] = array.tolist()
    return result


def _decoded(array: NDArray[Any], file: str, field: str) -> NDArray[Any]:
    result = np.empty(len(array), dtype=object)
    for row, value in enumerate(array.tolist()):
        try:
            result[row] = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise refuse(
                file,
                field,
                row,
                f"the bytes are not UTF-8 text (byte {error.start}).",
                "Decode them before saving: [value.decode(...) for value in values].",
            ) from error
    return result
