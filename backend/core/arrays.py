"""Array checks shared by every public function: convert once, complain by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.blocks import row_blocks
from backend.core.errors import InputError


def as_numpy(value: Any) -> NDArray[Any]:
    """Array-like or tensor (any device) as a numpy array; no copy where none is needed."""
    if hasattr(value, "detach"):  # a torch tensor, recognised without importing torch
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return np.asarray(value.numpy())
    return np.asarray(value)


def check_finite(name: str, values: NDArray[Any]) -> None:
    """Raise ``InputError`` naming the first NaN or infinite entry of ``values``."""
    finite = np.isfinite(values)
    if finite.all():
        return
    row = int(np.argwhere(~finite)[0][0])
    bad = int((~finite).sum())
    raise InputError(
        f"{name} must be finite: {bad} of {values.size} values are NaN or infinite, "
        f"the first in row {row}. Remove or repair those rows."
    )


def check_matrix(name: str, value: Any) -> NDArray[Any]:
    """``value`` as a finite, non-empty float array of shape (n, d), in its own float width.

    Integers become float32. Finiteness is checked in blocks of rows, so a memory-mapped file is
    never read into memory whole.
    """
    array = as_numpy(value)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{name} must be a non-empty (n, d) array: got shape {array.shape}.")
    if array.dtype.kind in "biu":
        array = array.astype(np.float32)
    if array.dtype.kind != "f":
        raise InputError(f"{name} must be numeric: got dtype {array.dtype}.")
    for start, block in row_blocks(array):
        if not np.isfinite(block).all():
            row = start + int(np.argwhere(~np.isfinite(block))[0][0])
            raise InputError(
                f"{name} must be finite: row {row} holds NaN or infinity. "
                "Remove or repair that row."
            )
    return array


def check_vector(
    name: str, value: Any, n: int | None = None, *, of: str = "embedding"
) -> NDArray[np.float64]:
    """``value`` as a finite float64 array of shape (n,); ``of`` names what there must be one per."""
    array = as_numpy(value)
    if array.ndim != 1:
        raise InputError(f"{name} must be one-dimensional: got shape {array.shape}.")
    if n is not None and len(array) != n:
        raise InputError(f"{name} must be one per {of}: got {len(array)} {name} and {n} {of}s.")
    if len(array) == 0:
        raise InputError(f"{name} must not be empty.")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numeric: got dtype {array.dtype}.")
    array = array.astype(np.float64)
    check_finite(name, array)
    return array


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """``value`` if it is one of ``allowed``; else an error that lists them."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}: got {value!r}.")
    return str(value)
