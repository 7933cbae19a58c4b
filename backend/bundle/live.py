"""Bundles of arrays that are already in memory, checked like any upload."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.assemble import assemble
from backend.bundle.bundle import Bundle
from backend.bundle.canonical import bundle_of, write_folder
from backend.bundle.entry import UploadEntry, dtype_name
from backend.bundle.faults import Faults
from backend.bundle.upload import Upload
from backend.bundle.write import npz_arrays
from backend.core.progress import ignore_progress


def bundle_from(name: str, notes: tuple[str, ...] = (), **fields: Any) -> Bundle:
    """The bundle of these fields, as ``write_bundle`` and ``read_bundle`` would make it.

    Raises
    ------
    BundleError
        Listing every fault; the file is called ``name``.
    InputError
        If a field is unknown or not made of numbers or text.
    """
    entries = [_entry(name, key, array) for key, array in npz_arrays(fields).items()]
    upload = Upload(name, entries, notes=notes)
    contents, column = assemble(upload, None, Faults())
    return bundle_of(contents, name, write_folder(None, contents, name, column, ignore_progress))


def _entry(file: str, name: str, array: NDArray[Any]) -> UploadEntry:
    array = np.asarray(array)
    return UploadEntry(file, name, array.shape, dtype_name(array.dtype), lambda: array)
