"""Reading .safetensors: its own library checks the file, tensors stay in it until they are read."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from backend.bundle.entry import UploadEntry
from backend.bundle.faults import check_count, parsing, refuse
from backend.bundle.npy import check_empty

SAVE_AGAIN = "Save it again with safetensors.numpy.save_file and upload it whole."
DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def read_safetensors(path: Path, file: str) -> tuple[list[UploadEntry], dict[str, str]]:
    """Tensors of the file as lazily mapped entries, in the order of their bytes, and its metadata.

    bfloat16 becomes float32, which holds every one of its values.

    Raises
    ------
    BundleError
        If the header is damaged, tensors have a name or bytes in common, or there are more or
        fewer bytes than they need.
    """
    with parsing(file, "the file", SAVE_AGAIN):
        path.open("rb").close()  # of a file that may not be read, the library says: not there
        try:
            with safe_open(path, "numpy") as opened:
                metadata = opened.metadata() or {}
                names = opened.offset_keys()
                check_count(len(names), file)
                slices = [(name, opened.get_slice(name)) for name in names]
                tensors = [(name, one.get_dtype(), tuple(one.get_shape())) for name, one in slices]
        except SafetensorError as error:
            if "not fully covered" not in str(error):
                raise
            last = max(_header(path), key=lambda item: item[1]["data_offsets"][1])[0]
            problem = "the file is truncated or damaged: it does not end where this tensor should."
            raise refuse(file, last, None, problem, SAVE_AGAIN) from error
        # Of several tensors with one name the library takes the last.
        for name, count in Counter(name for name, _ in _header(path)).items():
            if count > 1:
                advice = "Give every tensor a name of its own."
                raise refuse(file, name, None, f"{count} tensors have this name.", advice)
        _check_ranges(path, file)
        start = path.stat().st_size
    entries = []
    # The library made sure that tensors follow one another up to the end of the file.
    for name, kind, shape in reversed(tensors):
        if kind not in DTYPES:
            problem = f"the element type {kind} is not read."
            raise refuse(file, name, None, problem, "Save it as F32.")
        check_empty(shape, math.prod(shape), file, name)
        start -= math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
        entries.append(_entry(path, file, name, kind, shape, start))
    return entries[::-1], metadata


def _check_ranges(path: Path, file: str) -> None:
    """Raise ``BundleError`` when two tensors share bytes, or bytes belong to none."""
    end = 0
    for name, said in sorted(_header(path), key=lambda item: item[1]["data_offsets"]):
        first, last = said["data_offsets"]
        if first != end:
            word = "share bytes" if first < end else "leave bytes out"
            problem = f"its bytes start at {first} where {end} was due: tensors {word}."
            raise refuse(file, name, None, problem, SAVE_AGAIN)
        end = last


def _header(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each tensor's name and description, as they stand in a file that the library can read."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length), object_pairs_hook=list)
    return [(name, dict(said)) for name, said in header if name != "__metadata__"]


def _entry(
    path: Path, file: str, name: str, kind: str, shape: tuple[int, ...], start: int
) -> UploadEntry:
    dtype = np.dtype(DTYPES[kind])

    def load() -> NDArray[Any]:
        with parsing(file, "the tensor", SAVE_AGAIN, name):
            if 0 in shape:
                return np.empty(shape, dtype)
            array = np.memmap(path, dtype, "r", offset=start, shape=shape)
            if kind == "BF16":
                return (array.astype(np.uint32) << 16).view(np.float32)
            return array

    return UploadEntry(file, name, shape, "bfloat16" if kind == "BF16" else dtype.name, load)
