"""Bundles of arrays that are already in memory, checked like any upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from backend.bundle.assemble import assemble
from backend.bundle.bundle import Bundle
from backend.bundle.canonical import bundle_of, write_folder
from backend.bundle.entry import UploadEntry, dtype_name
from backend.bundle.faults import Faults
from backend.bundle.upload import Upload
from backend.core.progress import ignore_progress


def bundle_from(name: str, arrays: Mapping[str, NDArray[Any]]) -> Bundle:
    """The bundle of these arrays, called as in an .npz, as ``read_bundle`` would make it.

    Raises
    ------
    BundleError
        Listing every fault; the file is called ``name``.
    """
    upload = Upload(name, [_entry(name, key, array) for key, array in arrays.items()])
    contents, column = assemble(upload, None, Faults())
    return bundle_of(contents, name, write_folder(None, contents, name, column, ignore_progress))


def _entry(file: str, name: str, array: NDArray[Any]) -> UploadEntry:
    return UploadEntry(file, name, array.shape, dtype_name(array.dtype), lambda: array)
