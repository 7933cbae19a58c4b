"""Reading .safetensors: a JSON header, then plain numbers. Nothing is trusted but the bytes there are."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.entry import Entry
from backend.bundle.faults import parsing, refuse

SAVE_AGAIN = "Save it again with safetensors.numpy.save_file and upload it whole."
MAX_HEADER_BYTES = 100_000_000  # the limit of the format itself
DTYPES = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
}


def read_safetensors(path: Path, file: str) -> tuple[list[Entry], dict[str, str]]:
    """Tensors of the file as lazily mapped entries, and its free-text metadata.

    bfloat16 becomes float32, which holds every one of its values.

    Raises
    ------
    BundleError
        If the header is damaged, a tensor points outside the file or its bytes do not fit its shape.
    """
    with parsing(file, "the header", SAVE_AGAIN):
        size = path.stat().st_size
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(MAX_HEADER_BYTES, size - 8):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = json.loads(stream.read(length))
        if not isinstance(header, dict):
            raise ValueError("the header is no object")
        metadata = header.pop("__metadata__", None) or {}
        start = 8 + length
        entries = [_entry(path, file, name, spec, start, size) for name, spec in header.items()]
    return entries, {str(key): str(value) for key, value in metadata.items()}


def _entry(path: Path, file: str, name: str, spec: Any, start: int, size: int) -> Entry:
    kind, shape = str(spec["dtype"]), tuple(spec["shape"])
    first, last = spec["data_offsets"]
    if kind not in DTYPES:
        raise refuse(file, name, None, f"the element type {kind} is not read.", "Save it as F32.")
    if not all(type(k) is int and k >= 0 for k in (*shape, first, last)):
        raise ValueError(f"{name}: shape {shape}, offsets {first}, {last}")
    dtype = np.dtype(DTYPES[kind])
    needed = math.prod(shape) * dtype.itemsize
    if last - first != needed or start + last > size:
        raise refuse(
            file,
            name,
            None,
            f"the file is truncated or damaged: {kind} of shape {shape} needs {needed} bytes, "
            f"{max(0, min(last, size - start) - first)} are there.",
            SAVE_AGAIN,
        )

    def load() -> NDArray[Any]:
        with parsing(file, "the tensor", SAVE_AGAIN, name):
            if needed == 0:
                return np.empty(shape, dtype)
            array = np.memmap(path, dtype, "r", offset=start + first, shape=shape)
            if kind == "BF16":
                return (array.astype(np.uint32) << 16).view(np.float32)
            return array

    return Entry(file, name, shape, "bfloat16" if kind == "BF16" else dtype.name, load)
