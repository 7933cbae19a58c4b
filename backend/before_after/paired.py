"""The change of one group from one run to another, on the very same examples.

Both runs answer the same examples, so only those count on which they differ: what fails newly
against what is repaired. An unpaired comparison of two error rates would take the two for
independent samples and see next to nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from backend.core.arrays import as_numpy, check_vector
from backend.core.effects import FEWEST, pieces_of, skewed_interval
from backend.core.errors import InputError
from backend.core.least_mean import least_mean
from backend.core.statistics import mcnemar_p

_NAN = float("nan")
_TAIL = 0.025
_Z = float(special.ndtri(1 - _TAIL))


@dataclass(frozen=True)
class PairedChange:
    """A group before and after. NaN where a number is undefined.

    Attributes
    ----------
    n : int
        Examples that both runs answered and that are measured.
    n_groups : int
        Independent pieces among them: groups of rows that belong together, else ``n``.
    error_before, error_after : float
        Error rates in [0, 1]; NaN without predictions.
    failed, repaired : int
        Wrong after and right before; the other way round. Both 0 without predictions.
    error_change, error_low, error_high : float
        After less before, with its 95 % interval; no interval for fewer than 10 pieces.
    loss_before, loss_after, loss_change, loss_low, loss_high : float
        The same of the mean of the raw losses.
    p : float
        Two-sided, of no change: of the error rate, of the mean loss without predictions. NaN for
        fewer than 10 pieces.
    """

    n: int
    n_groups: int
    error_before: float = _NAN
    error_after: float = _NAN
    failed: int = 0
    repaired: int = 0
    error_change: float = _NAN
    error_low: float = _NAN
    error_high: float = _NAN
    loss_before: float = _NAN
    loss_after: float = _NAN
    loss_change: float = _NAN
    loss_low: float = _NAN
    loss_high: float = _NAN
    p: float = _NAN

    @property
    def change(self) -> float:
        """What the verdict goes by: the change of the error rate, of the loss without predictions."""
        return self.error_change if np.isfinite(self.error_change) else self.loss_change

    def to_dict(self) -> dict[str, Any]:
        """For JSON: None where a number is undefined."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }


def paired_change(
    losses_before: Any,
    losses_after: Any,
    *,
    wrong_before: Any = None,
    wrong_after: Any = None,
    groups: Any = None,
    labels: Any = None,
    together: float = 0.0,
    most_together: Any = None,
) -> PairedChange:
    """How the same examples do in two runs.

    Parameters
    ----------
    losses_before, losses_after : array-like of shape (n,)
        Raw, of any sign, of the measured examples in one order.
    wrong_before, wrong_after : bool array-like of shape (n,), optional
        Which predictions are wrong; both or neither.
    groups : int array-like of shape (n,), optional
        Rows of one code belong together and count as one piece; below 0 a row stands alone.
    labels : int array-like of shape (n,), optional
        Classes inside of which changes go in one direction; all examples are one without them.
    together : float
        How far they do of themselves, in [0, 1]: what ``common_direction`` or ``usual_direction`` finds.
    most_together : array-like of shape (n_labels,), optional
        Changes of each label that do so at most, of ``changes_of_seeds``; all of them without it.

    Returns
    -------
    PairedChange

    Raises
    ------
    InputError
        If lengths differ, or the examples have answers in one run alone.

    Notes
    -----
    *Errors.* Exact two-sided McNemar of ``failed`` against ``repaired``; the interval is Tango's
    score interval of the difference of two paired shares, which holds 0 where McNemar's statistic
    is small. With ``groups``, or where changes go ``together``, the counts are divided by the design
    effect, never below 1: the squared sums of the pieces over the number of changes, and
    ``1 + (m - 1) together`` for m changes of one label, their mean over the changes. Of m changes where
    only k go ``most_together``, it is ``1 + k (k - 1) together / m``: what is beyond a seed's doing
    counts change by change.

    *Losses.* Student's t of the differences, its interval corrected for skewness (Hall 1992), and no
    end beyond Gaffke's bound for what the losses of both runs let a difference be. With ``groups`` of
    the sums of the pieces, without that bound.

    References
    ----------
    McNemar, Psychometrika 12 (1947). Tango, Equivalence test and confidence interval for the
    difference in proportions for the paired-sample design, Statistics in Medicine 17 (1998).
    Dietterich, Approximate statistical tests for comparing supervised classification learning
    algorithms, Neural Computation 10 (1998).

    Examples
    --------
    >>> before, after = [True] * 6 + [False] * 6, [False] * 12
    >>> found = paired_change(before, after, wrong_before=before, wrong_after=after)
    >>> found.repaired, found.error_change, round(found.p, 3)
    (6, -0.5, 0.031)
    """
    first = np.asarray(as_numpy(losses_before), np.float64)
    second = np.asarray(as_numpy(losses_after), np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"losses of both runs must be one per example: got shapes {first.shape} and {second.shape}."
        )
    if (wrong_before is None) != (wrong_after is None):
        raise InputError("answers must be there in both runs, or in neither.")
    n = len(first)
    if n == 0:
        return PairedChange(0, 0)
    first, second = check_vector("losses_before", first), check_vector("losses_after", second)
    pieces = None if groups is None else pieces_of(groups, n)
    units = n if pieces is None else int(pieces.max()) + 1
    told = {"n": n, "n_groups": units} | _losses(first, second, pieces, units)
    if wrong_before is None:
        return PairedChange(**told)
    was, now = np.asarray(as_numpy(wrong_before)), np.asarray(as_numpy(wrong_after))
    if was.shape != (n,) or now.shape != (n,) or {was.dtype, now.dtype} != {np.dtype(bool)}:
        raise InputError(f"answers must be one true or false per example: {n} examples.")
    codes = np.zeros(n, np.int64) if labels is None else np.asarray(as_numpy(labels))
    if codes.shape != (n,) or codes.dtype.kind not in "iu" or codes.min() < 0:
        raise InputError(f"labels must be one whole number from 0 per example: {n} examples.")
    most = None if most_together is None else np.asarray(as_numpy(most_together), np.float64)
    if most is not None and (most.ndim != 1 or len(most) <= codes.max() or not (most >= 0).all()):
        raise InputError(
            f"most_together must be one number from 0 per label: got shape {most.shape} for "
            f"{int(codes.max()) + 1} labels."
        )
    return PairedChange(**(told | _errors(was, now, pieces, units, codes, together, most)))


def tango_interval(failed: float, repaired: float, n: float) -> tuple[float, float]:
    """Score interval, at 95 %, of the difference ``(failed - repaired) / n`` of two paired shares.

    Counts need not be whole: effective ones are welcome.
    """
    middle = (failed - repaired) / n

    def z(delta: float) -> float:
        b = -failed - repaired + (2 * n - failed + repaired) * delta
        c = -repaired * delta * (1 - delta)
        chance = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * chance + delta * (1 - delta))
        apart = failed - repaired - n * delta
        return (
            float(apart / np.sqrt(variance)) if variance > 1e-12 else float(np.sign(apart)) * np.inf
        )

    ends = []
    for outer, sign in ((-1.0, 1.0), (1.0, -1.0)):
        inner, beyond = middle, outer
        for _ in range(60):
            at = (inner + beyond) / 2
            inner, beyond = (at, beyond) if sign * z(at) <= _Z else (inner, at)
        ends.append(inner)
    return ends[0], ends[1]


def _errors(
    was: NDArray[np.bool_],
    now: NDArray[np.bool_],
    pieces: NDArray[np.int64] | None,
    units: int,
    labels: NDArray[np.int64],
    together: float,
    most: NDArray[np.float64] | None,
) -> dict[str, Any]:
    n = len(was)
    failed, repaired = int((now & ~was).sum()), int((was & ~now).sum())
    m = failed + repaired
    told: dict[str, Any] = {
        "error_before": float(was.mean()),
        "error_after": float(now.mean()),
        "failed": failed,
        "repaired": repaired,
        "error_change": (failed - repaired) / n,
        "p": _NAN,
    }
    if units < FEWEST:
        return told
    of_label = np.bincount(labels[was != now]).astype(np.float64)
    if most is not None:
        of_label = np.minimum(of_label, most[: len(of_label)])
    pairs = float((of_label * np.maximum(of_label - 1, 0)).sum())
    effect = 1 + together * pairs / m if m else 1.0
    if pieces is not None and m:
        sums = np.bincount(pieces, now.astype(np.float64) - was)
        effect *= max(1.0, float(np.square(sums).sum()) / m)
    low, high = tango_interval(failed / effect, repaired / effect, n / effect)
    return told | {
        "error_low": low,
        "error_high": high,
        "p": mcnemar_p(failed / effect, repaired / effect),
    }


def _losses(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    pieces: NDArray[np.int64] | None,
    units: int,
) -> dict[str, Any]:
    apart = second - first
    told: dict[str, Any] = {
        "loss_before": float(first.mean()),
        "loss_after": float(second.mean()),
        "loss_change": float(apart.mean()),
    }
    if units < FEWEST:
        return told
    least, most = second.min() - first.max(), second.max() - first.min()  # of any change here
    if pieces is not None:  # a sum per piece, as if each held the same number of rows
        apart = np.asarray(np.bincount(pieces, apart) * (units / len(apart)), np.float64)
    low, high = skewed_interval(apart)
    if pieces is None:
        low = max(low, least_mean(apart, least, _TAIL))
        high = min(high, -least_mean(-apart, -most, _TAIL))
    error = float(apart.std(ddof=1)) / np.sqrt(len(apart))
    p = 1.0 if not apart.any() else 0.0
    if error > 0:
        p = float(2 * special.stdtr(len(apart) - 1, -abs(float(apart.mean())) / error))
    return told | {"loss_low": low, "loss_high": high, "p": p}
