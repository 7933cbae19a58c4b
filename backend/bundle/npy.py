"""Reading .npy safely: the header is compared with the bytes there are before memory is asked for."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from backend.bundle.entry import check_storable
from backend.bundle.faults import parsing, refuse
from backend.bundle.limits import BLOCK_BYTES, MAX_EMPTY
from backend.core.headers import one_at_a_time

SAVE_AGAIN = "Save it again with np.save(..., allow_pickle=False) and upload it whole."
MAP_FROM_BYTES = 64 * 2**20
"""Arrays in files are memory-mapped from this size on, and read below it."""


@dataclass(frozen=True)
class Header:
    """What a .npy file says about itself, checked against its size."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes], size: int, file: str, field: str = "") -> Header:
    """Header of the .npy in ``stream``, which holds ``size`` bytes in all.

    Raises
    ------
    BundleError
        If it is no .npy, is damaged, holds objects or structures, or declares other bytes than
        there are.
    """
    if size == 0:
        raise refuse(file, field, None, "the file is empty.", SAVE_AGAIN)
    with parsing(file, "the .npy header", SAVE_AGAIN, field), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers of Python 2 are slow to parse, and fine
        start = stream.tell()
        shape, fortran, dtype = one_at_a_time(lambda: _parse(stream, start))
        offset = stream.tell()
    check_storable(dtype, file, field)
    if len(shape) > 32 or any(isinstance(k, bool) or k < 0 for k in shape):
        raise refuse(file, field, None, f"the header declares the shape {shape}.", SAVE_AGAIN)
    check_empty(shape, math.prod(shape) * dtype.itemsize, file, field)
    header = Header(tuple(int(k) for k in shape), dtype, bool(fortran), offset)
    if header.nbytes != size - offset:
        word = "truncated" if header.nbytes > size - offset else "longer than its header says"
        raise refuse(
            file,
            field,
            None,
            f"the file is {word}: shape {header.shape} of {dtype} needs {header.nbytes} bytes, "
            f"{size - offset} are there.",
            SAVE_AGAIN,
        )
    return header


def _parse(stream: IO[bytes], start: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if stream.tell() != start:
        stream.seek(start)
    version = npy_format.read_magic(stream)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy_format.read_array_header_2_0(stream)
    raise ValueError(f"version {version}")


def check_empty(shape: tuple[int, ...], nbytes: int, file: str, field: str) -> None:
    """Raise ``BundleError`` for many rows of nothing: whatever is made per row costs all the same."""
    if nbytes == 0 and max(shape, default=0) > MAX_EMPTY:
        raise refuse(
            file,
            field,
            None,
            f"the header declares the shape {tuple(shape)}, which holds no numbers at all.",
            "Save one number or more for each row.",
        )


def open_file(path: Path, file: str, field: str = "") -> NDArray[Any]:
    """Array in the .npy at ``path``: memory-mapped when big, read otherwise."""
    with parsing(file, "the array", SAVE_AGAIN, field), path.open("rb") as stream:
        header = read_header(stream, os.fstat(stream.fileno()).st_size, file, field)
        if header.nbytes >= MAP_FROM_BYTES:
            return map_array(path, header)
        return read_array(stream, header, file, field)


def map_array(path: Path, header: Header) -> NDArray[Any]:
    """Read-only memory map of the array that ``header`` describes."""
    if header.nbytes == 0:
        return np.empty(header.shape, header.dtype)
    return np.memmap(
        path,
        dtype=header.dtype,
        mode="r",
        offset=header.offset,
        shape=header.shape,
        order="F" if header.fortran else "C",
    )


def read_array(stream: IO[bytes], header: Header, file: str, field: str = "") -> NDArray[Any]:
    """The array behind ``header``, read from ``stream`` in blocks."""
    raw = np.empty(header.nbytes, np.uint8)
    view = raw.data
    done = 0
    while done < header.nbytes:
        chunk = stream.read(min(BLOCK_BYTES, header.nbytes - done))
        if not chunk:
            raise refuse(
                file, field, None, f"the file is truncated after {done} bytes of data.", SAVE_AGAIN
            )
        view[done : done + len(chunk)] = chunk
        done += len(chunk)
    if header.nbytes == 0:
        return np.empty(header.shape, header.dtype)
    array = raw.view(header.dtype)
    if header.fortran:
        return array.reshape(header.shape[::-1]).T
    return array.reshape(header.shape)
