"""Reading .pt files of plain tensors with torch's own unpickler of weights. Reached lazily."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.bundle.entry import UploadEntry, dtype_name
from backend.bundle.faults import check_count, parsing, refuse
from backend.bundle.members import open_zip
from backend.bundle.npy import check_empty
from backend.core.arrays import as_numpy

SAVE_AGAIN = (
    "Save plain tensors: torch.save({'embeddings': x, 'losses': y}, path), "
    "or better safetensors.torch.save_file."
)


def read_torch(path: Path, file: str) -> list[UploadEntry]:
    """Tensors of a .pt file, nested dictionaries joined by slashes.

    Lists of numbers or of text become arrays. Only ``weights_only=True`` is ever used, so code in
    the file does not run.

    Raises
    ------
    BundleError
        If the file holds anything but tensors, numbers, text and containers of them.
    """
    with parsing(file, "the archive in it", SAVE_AGAIN):
        is_archive = zipfile.is_zipfile(path)
    if is_archive:
        with open_zip(path, file) as archive:
            packed = [one.filename for one in archive.infolist() if one.compress_type]
        if packed:  # torch reads each member into memory whole, as large as it says it is
            raise refuse(
                file, packed[0], None, "it is compressed, which torch.save never does.", SAVE_AGAIN
            )
    what = "the file (only plain tensors are read, code is not run)"
    with parsing(file, what, SAVE_AGAIN), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise refuse(
            file,
            "",
            None,
            f"it holds a {type(loaded).__name__}, a dictionary of tensors was needed.",
            SAVE_AGAIN,
        )
    entries = _entries(loaded, file, "")
    check_count(len(entries), file)
    return entries


def _entries(values: Mapping[Any, Any], file: str, prefix: str) -> list[UploadEntry]:
    entries = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if prefix.count("/") < 3:
                entries += _entries(value, file, f"{name}/")
            continue
        if value is not None:
            entries.append(_entry(value, file, name))
    return entries


def _entry(value: Any, file: str, name: str) -> UploadEntry:
    if isinstance(value, torch.Tensor):
        with parsing(file, "the tensor", SAVE_AGAIN, name):
            if value.layout != torch.strided or value.is_quantized:
                raise ValueError("sparse or quantized")
            # A saved view may repeat one number over any shape; its storage is what was uploaded.
            held = value.untyped_storage().nbytes()
            needed = value.numel() * value.element_size()
            if needed > max(held, 2**20):
                raise ValueError(f"{needed} bytes from {held} that were saved")
            check_empty(tuple(value.shape), needed, file, name)
            array = as_numpy(value.contiguous())
    elif isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        array = np.array(value, dtype=np.str_)
    else:
        with parsing(file, "the value", SAVE_AGAIN, name):
            array = np.asarray(value)
    if array.dtype.hasobject:
        raise refuse(file, name, None, "it is not made of numbers or text only.", SAVE_AGAIN)
    return UploadEntry(file, name, array.shape, dtype_name(array.dtype), lambda: array)
