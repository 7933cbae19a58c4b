"""Variance of gradients: examples whose explanation keeps changing while the model learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError

BLOCK = 2**22  # values read at once, so that a memory-mapped array stays on disk


@dataclass(frozen=True)
class GradientVariance:
    """VoG of every example.

    Attributes
    ----------
    raw : float array of shape (n,)
        Mean over inputs (pixels) of the standard deviation over checkpoints; not negative.
    normalized : float array of shape (n,)
        ``(raw - mean) / standard deviation`` over the examples of the same label, or over all
        without labels. 0 where that deviation is 0.
    flagged : bool array of shape (n,)
        Where it is: a class of one member, or of equal scores.
    n_checkpoints : int
    """

    raw: NDArray[np.float64]
    normalized: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    n_checkpoints: int


def variance_of_gradients(
    gradients: Any, labels: Any = None, *, channel_axis: int | None = None
) -> GradientVariance:
    """How much the gradient of each example's logit varies over checkpoints.

    Parameters
    ----------
    gradients : array-like of shape (t, n, ...)
        Gradient of the label's logit (before the softmax) with respect to the input, at t >= 2
        checkpoints; choose early, late or all checkpoints by slicing.
    labels : array-like of shape (n,), optional
        Classes within which scores are normalized; numbers or names.
    channel_axis : int, optional
        Axis of ``gradients`` that holds colour channels (or a word's embedding); it is averaged,
        with sign, first. 2 or higher, or negative.

    Returns
    -------
    GradientVariance

    Raises
    ------
    InputError
        If there are fewer than two checkpoints or no examples, a gradient is not finite, labels do
        not match, or the axis does not exist.

    Notes
    -----
    The standard deviation is the population form, as in the released code; the printed formula
    differs from it by a power and a factor.

    References
    ----------
    Agarwal, D'souza, Hooker, Estimating Example Difficulty using Variance of Gradients, CVPR 2022,
    arXiv:2008.11600.
    """
    array = as_numpy(gradients)
    if array.ndim < 2 or 0 in array.shape:
        raise InputError(f"gradients must have shape (t, n, ...), not empty: got {array.shape}.")
    if array.dtype.kind not in "biuf":
        raise InputError(f"gradients must be numeric: got dtype {array.dtype}.")
    checkpoints, n = array.shape[:2]
    if checkpoints < 2:
        raise InputError(f"gradients must come from 2 or more checkpoints: got {checkpoints}.")
    axis = _channel_axis(channel_axis, array.ndim)
    classes = _classes(labels, n)
    raw = np.empty(n)
    step = max(1, BLOCK * n // array.size)
    for start in range(0, n, step):
        block = array[:, start : start + step].astype(np.float64)
        _check_block(block, start)
        block -= block[:1].copy()  # what never changes is then exactly 0, not rounding error
        if axis is not None:
            block = block.mean(axis)
        raw[start : start + step] = block.std(0).reshape(block.shape[1], -1).mean(1)
    normalized, flagged = _normalize(raw, classes)
    return GradientVariance(raw, normalized, flagged, checkpoints)


def stage_windows(checkpoints: int) -> dict[str, slice]:
    """Which checkpoints are "early", "middle" and "late": the first, second and last third.

    Parameters
    ----------
    checkpoints : int
        How many there are.

    Returns
    -------
    dict of {str: slice}
        Only thirds of two checkpoints or more; where they cannot be equal, earlier ones are longer.

    References
    ----------
    Agarwal, D'souza, Hooker, CVPR 2022, arXiv:2008.11600, whose released script divides 15 epochs
    into three blocks of five.
    """
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(max(checkpoints, 0)), 3)])
    starts = [0, *ends[:2].tolist()]
    found = zip(("early", "middle", "late"), starts, ends.tolist(), strict=True)
    return {name: slice(start, end) for name, start, end in found if end - start > 1}


def normalize_within(values: Any, labels: Any = None) -> NDArray[np.float64]:
    """Scores as standard deviations from the mean of their class, shape (n,).

    Parameters
    ----------
    values : array-like of shape (n,)
    labels : array-like of shape (n,), optional
        Numbers or names; without them all examples are one class.

    Returns
    -------
    float array of shape (n,)
        ``(value - mean) / deviation`` with the population deviation; 0 where that is 0, as in
        a class of one member.
    """
    array = check_vector("values", values)
    return _normalize(array, _classes(labels, len(array)))[0]


def _channel_axis(axis: int | None, ndim: int) -> int | None:
    if axis is None:
        return None
    own = axis + ndim if axis < 0 else axis
    if not 2 <= own < ndim:
        raise InputError(
            f"channel_axis must name an axis after (t, n): got {axis} for {ndim} axes."
        )
    return own


def _classes(labels: Any, n: int) -> NDArray[np.intp]:
    if labels is None:
        return np.zeros(n, dtype=np.intp)
    array = as_numpy(labels)
    if array.shape != (n,):
        raise InputError(
            f"labels must be one per example: got shape {array.shape} for {n} examples."
        )
    return np.unique(array, return_inverse=True)[1]


def _check_block(block: NDArray[np.float64], start: int) -> None:
    finite = np.isfinite(block)
    if not finite.all():
        checkpoint, row = np.argwhere(~finite)[0][:2]
        raise InputError(
            f"gradients must be finite: checkpoint {checkpoint}, example {start + row} holds NaN "
            "or infinity. Leave that checkpoint out, or compute it again."
        )


def _normalize(
    raw: NDArray[np.float64], classes: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores within classes, and where a class has no spread to divide by."""
    count = np.bincount(classes)
    centered = raw - (np.bincount(classes, raw) / count)[classes]
    deviation = np.sqrt(np.bincount(classes, centered**2) / count)
    # Equal scores leave a deviation of rounding error, not of 0.
    largest = np.zeros(len(count))
    np.maximum.at(largest, classes, np.abs(raw))
    flagged = (deviation <= 1e-14 * largest)[classes]
    normalized = np.where(flagged, 0.0, centered / np.where(flagged, 1.0, deviation[classes]))
    return normalized, flagged
