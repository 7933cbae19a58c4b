"""Names of results: what they were computed from, spelled in one way."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.core.errors import InputError

KEY = re.compile(r"[0-9a-f]{64}")
_OWNER_DIGITS = 16


def key_of(task: str, digest: str, options: Mapping[str, Any], version: int) -> str:
    """Name of the result of one task on one bundle.

    Parameters
    ----------
    task : str
        Name of the task.
    digest : str
        Digest of the bundle, or of whatever else the task reads.
    options : mapping
        Everything else that changes the result: None, booleans, numbers, text, lists and mappings
        of those. Order does not matter; 1, 1.0 and ``np.int64(1)`` are one value.
    version : int
        Raised whenever the task starts to compute something else.

    Returns
    -------
    str
        64 hex digits. Keys of one digest share their first 16.

    Raises
    ------
    InputError
        If an option is of another type, or not finite.
    """
    text = dump([task, digest, canonical(options), int(version)])
    return owner_of(digest) + hashlib.sha256(text.encode()).hexdigest()[_OWNER_DIGITS:]


def canonical(value: Any, where: str = "options") -> Any:
    """``value`` in plain JSON types, one spelling per value; ``where`` names it in errors."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where} must be finite: got {value}.")
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [canonical(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InputError(f"{where} must have text as names: got {name!r}.")
        return {name: canonical(item, f"{where}[{name!r}]") for name, item in value.items()}
    raise InputError(
        f"{where} must be None, a boolean, a number, text, or a list or mapping of those: "
        f"got {type(value).__name__}."
    )


def owner_of(digest: str) -> str:
    """How all keys of one bundle begin."""
    return hashlib.sha256(digest.encode()).hexdigest()[:_OWNER_DIGITS]


def dump(value: Any) -> str:
    """``value`` as JSON, one text per value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
