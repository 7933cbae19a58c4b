"""Everything one evaluation produced: read it, check it, keep it, open it again.

>>> from backend.bundle import import_bundle
>>> bundle = import_bundle("run.npz")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from backend.bundle.bundle import Bundle, BundleInfo
from backend.bundle.entry import FoundField
from backend.bundle.home import (
    TIMED_FROM,
    bundle_stamp,
    delete_bundle,
    import_bundle,
    inspect_upload,
    list_bundles,
    open_bundle,
    owner_of,
    read_bundle,
    rename_bundle,
)
from backend.bundle.names import SAVED
from backend.bundle.removed import (
    RemovedBundle,
    delete_removed,
    give_to,
    remove_bundle,
    removed_bundles,
    restore_bundle,
    sweep_removed,
)
from backend.bundle.same import (
    UNCHANGED,
    SameExamples,
    SharedRows,
    made_from,
    same_examples,
    shared_rows,
)
from backend.bundle.write import write_bundle

if TYPE_CHECKING:
    from backend.bundle.live_model import collect

__all__ = [
    "SAVED",
    "TIMED_FROM",
    "UNCHANGED",
    "Bundle",
    "BundleInfo",
    "FoundField",
    "RemovedBundle",
    "SameExamples",
    "SharedRows",
    "bundle_stamp",
    "collect",
    "delete_bundle",
    "delete_removed",
    "give_to",
    "import_bundle",
    "inspect_upload",
    "list_bundles",
    "made_from",
    "open_bundle",
    "owner_of",
    "read_bundle",
    "remove_bundle",
    "removed_bundles",
    "rename_bundle",
    "restore_bundle",
    "same_examples",
    "shared_rows",
    "sweep_removed",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name == "collect":  # needs torch, which pages must not load
        return importlib.import_module("backend.bundle.live_model").collect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
