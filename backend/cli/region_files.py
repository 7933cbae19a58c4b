"""Reading the files that ``fit --out`` and ``regions --out`` write."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from backend.bundle import Bundle
from backend.cache import Entry
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.tasks.results import padded_rows

_OTHER_FILE = "is not a file that 'fit --out' or 'regions --out' wrote"


def read_regions(bundle: Bundle, path: str) -> Entry:
    """What ``fit --out`` or ``regions --out`` wrote, in the form of a kept result.

    ``members`` are those of the file, or else the heaviest of the weights; ``meta["regions"]`` says
    of each region what the file says of it, and is missing where that is nothing.
    """
    from backend.spotlight import members  # plain numpy

    try:
        with np.load(Path(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        weights, ids, totals = arrays["weights"], arrays["ids"], arrays["total_weights"]
        meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
        key = str(arrays.get("key", ""))
    except (
        OSError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
        MemoryError,
        RecursionError,
    ) as error:
        raise InputError(f"{path} {_OTHER_FILE}: {str(error)[:120]}") from error
    if weights.ndim != 2 or len(weights) != len(totals) or not len(weights):
        raise InputError(f"{path} {_OTHER_FILE}: it holds no regions.")
    if not np.array_equal(ids, bundle.ids) or weights.shape[1] != bundle.n:
        raise InputError(
            f"{path} must belong to bundle '{bundle.name}': its ids are others. "
            "Fit this bundle, or name the one it was fitted on."
        )
    if "members" not in arrays:
        arrays["members"] = padded_rows(
            [members(one, float(total)) for one, total in zip(weights, totals, strict=True)]
        )
    rows = arrays["members"]
    whole = rows.ndim == 2 and len(rows) == len(weights) and rows.dtype.kind == "i"
    if not whole or rows.min(initial=-1) < -1 or rows.max(initial=-1) >= bundle.n:
        raise InputError(f"{path} {_OTHER_FILE}: its members are no rows of the bundle.")
    names = arrays.get("names")
    if names is not None and (names.shape != (len(rows),) or names.dtype.kind != "U"):
        raise InputError(f"{path} {_OTHER_FILE}: its names are not one text per region.")
    if meta and not _says_of_each(meta, len(rows)):
        raise InputError(f"{path} {_OTHER_FILE}: what it says of its regions cannot be read.")
    return Entry(key, meta, arrays)


def _says_of_each(meta: Any, count: int) -> bool:
    """Whether meta is what ``regions --out`` writes of so many regions."""
    needed = {"number", "name", "kind", "scope", "bound", "cell", "p", "effect"}
    try:
        for fact in meta["regions"]:
            Effect.from_dict(fact["effect"])
            if not needed <= set(fact):
                return False
        return len(meta["regions"]) == count and {"notes", "n_candidates"} <= set(meta)
    except (KeyError, TypeError, ValueError):
        return False
