"""Probabilities and logits: what was given in their place is recognised, mended or named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import check
from backend.bundle.entry import UploadEntry, blocks
from backend.bundle.faults import Faults

SUM_TOLERANCE = 1e-3
NEAR = 0.05
"""Sums this close to 1 in every row are probabilities that were rounded or held in few bits."""

MULTI_LABEL = (
    "For one label a row give the softmax or the logits; for several labels a row make one bundle "
    "per label, or give 'losses' and leave the scores out."
)


@dataclass(frozen=True)
class Sums:
    """What the rows of a score matrix add up to, as they are and after exp.

    ``low`` and ``high`` are the smallest and largest value; ``totals`` and ``exp_totals`` (n,).
    """

    low: float
    high: float
    lows: NDArray[np.float64]
    totals: NDArray[np.float64]
    exp_totals: NDArray[np.float64]


def probabilities(
    entry: UploadEntry,
    n: int | None,
    faults: Faults,
    notes: list[str],
    *,
    needed: bool = True,
) -> NDArray[Any] | None:
    """Probabilities (n, C): not negative, each row summing to 1 within 1e-3.

    Rows near 1, percentages and logarithms of probabilities are brought to that, with a note.
    Where they are not ``needed``, because losses are given, other scores are left out with a note.
    """
    if _is_one_score(entry, faults, notes, "probabilities", needed):
        return None
    array = check.matrix(entry, n, "probabilities", faults, minus_infinity=True)
    if array is None or not len(array):
        return array
    sums = _sums(array)
    off = np.abs(sums.totals - 1) > SUM_TOLERANCE
    if sums.low >= 0:
        if not off.any():
            return array
        if (np.abs(sums.totals - 1) <= NEAR).all():
            return _mended(array, entry, notes, "are rounded", "divided by that", sums.totals)
        if (np.abs(sums.totals - 100) <= 100 * NEAR).all():
            return _mended(array, entry, notes, "are percentages", "divided by that", sums.totals)
    if sums.high <= SUM_TOLERANCE and (np.abs(sums.exp_totals - 1) <= NEAR).all():
        return _mended(
            array,
            entry,
            notes,
            "are log-probabilities",
            "their exponentials were taken and divided by that",
            sums.exp_totals,
            np.exp,
        )
    if not check.finite(array, entry, faults):
        return None
    _tell(entry, faults, notes, sums, off, needed)
    return None


def _sums(array: NDArray[Any]) -> Sums:
    lows, totals, exps = [], [], []
    high = -np.inf
    for block in blocks(array):
        block = block.astype(np.float64).reshape(-1, array.shape[1])
        lows.append(block.min(axis=1))
        high = max(high, float(block.max()))
        totals.append(block.sum(axis=1))
        with np.errstate(over="ignore"):
            exps.append(np.exp(block).sum(axis=1))
    low = np.concatenate(lows)
    return Sums(float(low.min()), high, low, np.concatenate(totals), np.concatenate(exps))


def _mended(
    array: NDArray[Any],
    entry: UploadEntry,
    notes: list[str],
    are: str,
    done: str,
    totals: NDArray[np.float64],
    change: Callable[[NDArray[Any]], NDArray[Any]] = lambda block: block,
) -> NDArray[Any]:
    dtype = np.float64 if array.dtype == np.float64 else np.float32
    result = np.empty(array.shape, dtype)
    step = max(1, 2**20 // array.shape[1])
    for start in range(0, len(array), step):
        rows = slice(start, start + step)
        result[rows] = change(array[rows].astype(np.float64)) / totals[rows, None]
    notes.append(
        f"probabilities ('{entry.name}') {are}: their rows sum to between {totals.min():.4g} and "
        f"{totals.max():.4g}; {done}."
    )
    return result


def _tell(
    entry: UploadEntry,
    faults: Faults,
    notes: list[str],
    sums: Sums,
    off: NDArray[np.bool_],
    needed: bool,
) -> None:
    """A fault for scores that are no probabilities, or a note that they are left out."""
    most = (off | (sums.lows < 0)).mean() > 0.5
    negative = sums.lows < 0
    if sums.low >= 0 and sums.high <= 1 and most:
        row = int(off.argmax())
        problem = (
            f"the values lie between 0 and 1 and a row sums to {sums.totals[row]:.6g}, as sigmoid "
            "outputs do, one independent score per class; probabilities of one class a row sum to 1"
        )
        advice = MULTI_LABEL
    elif negative.any():
        row = int(negative.argmax())
        problem = f"probabilities must not be negative: got {sums.lows[row]:.6g}"
        advice = "If these are scores before the softmax, name the array 'logits'."
    else:
        row = int(off.argmax())
        problem = (
            f"the probabilities of a row must sum to 1 within {SUM_TOLERANCE}: this row sums to "
            f"{sums.totals[row]:.6g}"
        )
        advice = "Apply the softmax, or name the array 'logits'."
    if needed or not most:  # a few rows that are off are damage, and not another kind of score
        faults.about(entry, f"{problem}.", advice, row=row)
    else:
        _leave_out(entry, notes, f"{problem} (row {row})")


def logits(
    entry: UploadEntry, n: int | None, faults: Faults, notes: list[str], *, needed: bool = True
) -> NDArray[Any] | None:
    """Logits (n, C); -inf, which masking writes, is one as long as a row has another."""
    if _is_one_score(entry, faults, notes, "logits", needed):
        return None
    array = check.matrix(entry, n, "logits", faults, minus_infinity=True)
    if array is None or not len(array):
        return array
    dead = np.concatenate(
        [np.isneginf(block.reshape(-1, array.shape[1]).max(axis=1)) for block in blocks(array)]
    )
    if dead.any():
        faults.about(
            entry,
            f"all logits of a row are -inf, in {int(dead.sum())} rows.",
            "Leave the class of the label unmasked.",
            row=int(dead.argmax()),
        )
        return None
    return array


def _is_one_score(
    entry: UploadEntry, faults: Faults, notes: list[str], what: str, needed: bool
) -> bool:
    shape = entry.shape
    if shape is None or entry.dtype == "str":
        return False
    if not ((len(shape) == 1 and shape[0]) or (len(shape) == 2 and shape[1] == 1 and shape[0])):
        return False
    pair = "[1 - p, p]" if what == "probabilities" else "[0 * p, p]"
    problem = f"{what} must be (n, C), one column per class; one score a row came, shape {shape}"
    if needed:
        advice = f"For two classes and one score p, save np.stack({pair}, axis=1)."
        faults.about(entry, f"{problem}.", advice)
    else:
        _leave_out(entry, notes, problem)
    return True


def _leave_out(entry: UploadEntry, notes: list[str], problem: str) -> None:
    notes.append(f"'{entry.name}' of {entry.file} was left out, as losses are given: {problem}.")
