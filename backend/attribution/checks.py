"""What several functions of attribution ask of their arguments."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_finite, check_matrix, check_vector
from backend.core.blocks import row_blocks
from backend.core.errors import InputError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_TOLERANCE = 1e-6


def check_features(name: str, value: Any, of: str) -> NDArray[Any]:
    """``value`` as a finite float array (t, n, k) in its own width, read in blocks."""
    array = as_numpy(value)
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"{name} must be a non-empty (t, {of}, k) array, checkpoints by examples by features: "
            f"got shape {array.shape}."
        )
    if array.dtype.kind in "biu":
        array = array.astype(np.float32)
    if array.dtype.kind != "f":
        raise InputError(f"{name} must be numeric: got dtype {array.dtype}.")
    for checkpoint, rows in enumerate(array):
        for start, block in row_blocks(rows):
            if not np.isfinite(block).all():
                row = start + int(np.argwhere(~np.isfinite(block))[0][0])
                raise InputError(
                    f"{name} must be finite: row {row} of checkpoint {checkpoint} holds NaN or "
                    "infinity. Remove or repair that row."
                )
    return array


def check_attribution(value: Any) -> NDArray[Any]:
    """``value`` as a finite float array (n_train, n); a memory map is checked in blocks."""
    return check_matrix("attribution", value)


def check_codes(name: str, value: Any, n: int, n_classes: int | None = None) -> Codes:
    """``value`` as class codes (n,), each 0 or more and below ``n_classes``."""
    codes = as_numpy(value)
    if codes.shape != (n,):
        raise InputError(f"{name} must be one per example: got shape {codes.shape} for {n}.")
    if codes.dtype.kind not in "iu":
        raise InputError(f"{name} must be whole numbers: got dtype {codes.dtype}.")
    if codes.min() < 0 or (n_classes is not None and codes.max() >= n_classes):
        bound = "0 or more" if n_classes is None else f"columns 0 to {n_classes - 1}"
        raise InputError(f"{name} must be {bound}: got {codes.min()} to {codes.max()}.")
    return codes.astype(np.int64)


def check_losses(value: Any, n: int) -> Floats:
    """Losses of n targets (n,): the mean where those of several models (m, n) are given."""
    array = as_numpy(value)
    if array.ndim == 2:
        if array.shape[1] != n or not len(array):
            raise InputError(
                f"losses of several models must be (m, {n}), one column per target: got shape "
                f"{array.shape}."
            )
        array = array.astype(np.float64)
        check_finite("losses", array)
        array = array.mean(axis=0)
    return check_vector("losses", array, n, of="target")


def check_values(name: str, value: Any, n: int, of: str) -> NDArray[Any]:
    """Values of any hashable kind, one per example (n,), none of them missing."""
    array = as_numpy(value)
    if array.ndim != 1:
        array = np.empty(len(value), dtype=object)
        array[:] = list(map(_hashable, value))
    if len(array) != n:
        raise InputError(f"{name} must be one per {of}: got {len(array)} {name} and {n} {of}s.")
    missing = np.asarray([one is None or one != one for one in array.tolist()], bool)
    if missing.any():
        raise InputError(
            f"{name} must all be given: row {int(missing.argmax())} is missing. Give it a name "
            "of its own, or leave that example out."
        )
    return array


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | np.ndarray) else value


def check_share_of_one(name: str, values: Floats) -> Floats:
    """Numbers in [0, 1]; rounding beyond an end is cut off."""
    if values.min() < -_TOLERANCE or values.max() > 1 + _TOLERANCE:
        raise InputError(
            f"{name} must be in [0, 1]: got {values.min():.6g} to {values.max():.6g}. They are "
            "1 less the probability of the true class."
        )
    return values.clip(0, 1)


def check_out(out: Any, shape: tuple[int, int]) -> NDArray[Any]:
    """Where scores go: ``out``, or a new float64 array."""
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype.kind != "f":
        kind = getattr(out, "dtype", type(out).__name__)
        raise InputError(
            f"out must be a float array of shape {shape}: got {kind} of shape "
            f"{getattr(out, 'shape', None)}."
        )
    return out


def ordered_codes(values: NDArray[Any]) -> tuple[list[Any], Codes]:
    """Different values, sorted where they can be, and the place of each."""
    held = values.tolist()
    names = list(dict.fromkeys(held))
    with contextlib.suppress(TypeError):  # values of several kinds stay in the order they came in
        names = sorted(names)
    place = {name: at for at, name in enumerate(names)}
    return names, np.array([place[one] for one in held], np.int64)
