"""What is printed of a group of examples: measured on members that were kept aside, and on no other.

Everything here takes raw losses of kept-aside rows, which had no part in finding or choosing the
group. So the numbers need no correction for the search; what they need is intervals that are right
for few members and skewed losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.core.least_mean import least_mean
from backend.core.statistics import wilson_interval

FEWEST = 10
"""Kept-aside members (or groups of them) below which there is no interval."""
CONFIDENCE = 0.95

_NAN = float("nan")
_TAIL = (1 - CONFIDENCE) / 2
_RESAMPLES = 999
# More groups are joined at random before they are resampled.
_MOST_GROUPS = 400
# What no member shows is taken to be at most so many times as frequent as among the others.
_TIMES = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """How a group does on kept-aside examples. NaN where a number is undefined.

    Attributes
    ----------
    n : int
        Members that are kept aside.
    n_groups : int
        Independent pieces among them: groups of rows that belong together, else ``n``.
    loss, loss_low, loss_high : float
        Mean raw loss of these members with its 95 % interval; no interval for fewer than 10 pieces.
    loss_base : float
        Mean raw loss of the kept-aside examples that are no members.
    loss_label : float
        Mean raw loss of all kept-aside examples of the group's own labels.
    error, error_low, error_high, error_base, error_label : float
        The same of the error rate, in [0, 1]; NaN without predictions.
    """

    n: int
    n_groups: int
    loss: float
    loss_low: float
    loss_high: float
    loss_base: float
    loss_label: float = _NAN
    error: float = _NAN
    error_low: float = _NAN
    error_high: float = _NAN
    error_base: float = _NAN
    error_label: float = _NAN

    @property
    def multiple(self) -> float:
        """The one multiple of a group: its error rate over that of the others, else its mean loss.

        NaN where the others' number is not above 0.
        """
        if np.isfinite(self.error) and self.error_base > 0:
            return self.error / self.error_base
        return self.loss / self.loss_base if self.loss_base > 0 else _NAN

    @property
    def above(self) -> bool:
        """Whether the interval lies above the others: of the error rate, or of the loss without one.

        False where there is no interval.
        """
        if np.isfinite(self.error):
            return bool(self.error_low > self.error_base)
        return bool(self.loss_low > self.loss_base)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: None where a number is undefined."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Effect:
        """What ``to_dict`` gave; further entries are left aside.

        Raises
        ------
        KeyError, TypeError, ValueError
            If an entry is missing or no number.
        """
        plain: dict[str, Any] = {}
        for field in fields(cls):
            value = given[field.name]
            if field.type == "int":
                plain[field.name] = int(value)
            else:
                plain[field.name] = _NAN if value is None else float(value)
        return cls(**plain)


def measure_effect(
    members: Any,
    aside: Any,
    losses: Any,
    *,
    wrong: Any = None,
    own: Any = None,
    groups: Any = None,
    seed: int = 0,
) -> Effect:
    """Measure a group on the examples that were kept aside.

    Parameters
    ----------
    members : int array-like of shape (k,)
        Rows of the members, kept aside or not, each once, in any order.
    aside : bool array-like of shape (n,)
        Which rows are kept aside.
    losses : array-like of shape (n,)
        Raw, of any sign. Those of rows that are not kept aside are not looked at.
    wrong : bool array-like of shape (n,), optional
        Which predictions are wrong.
    own : bool array-like of shape (n,), optional
        Which rows have the group's own labels.
    groups : int array-like of shape (n,), optional
        Rows of one code belong together and count as one piece; below 0 a row stands alone.
    seed : int
        Of the resampling of groups.

    Returns
    -------
    Effect

    Raises
    ------
    InputError
        If a length or type is wrong, or rows repeat or do not exist.

    Notes
    -----
    *Losses.* The bootstrap-t in closed form: Student's t corrected for the skewness of the sample
    by Hall's monotone cubic, the end on the side of the tail further out by up to ``2 / n``. It
    agrees with 999 resamples to the order ``1 / n``, has no seed, and is steadier with few members,
    where resamples of almost equal losses make the bootstrap-t explode. Undoing a strong skewness of
    few losses would do so, too (9 of 11 near 4 and 2 near 0: from 3.4 down to the least loss there
    is): where the others show how far losses go, no end lies beyond Gaffke's bound for that range.

    No sample knows what it has not seen: of ten losses of which one in twenty is huge, six samples
    in ten hold no huge one. Whatever the distribution, the share of examples above the largest of n
    members is at most ``1 - .025^(1/n)`` in 97.5 % of samples, as Clopper and Pearson have it for no
    hit in n. The interval therefore reaches at least to the mean that members would have if such a
    share, but no more than ten times that of the others, had the mean of those others whose loss is
    above every member's; below likewise. Where the others hold nothing beyond the members, as in
    most regions of high loss, nothing changes. Members of one single loss get their interval in this
    way alone: of width 0 only where nobody has a loss beyond it. No end goes beyond the losses there
    are.

    Where all kept-aside losses have two values (0/1), the interval is exact (Clopper and Pearson).

    With ``groups`` of several rows whole groups are resampled, 999 times: the bootstrap-t of the
    ratio of sums, its error by linearisation. More than 400 groups are first joined to 400 at random.
    For rates the number of rows is divided by the design effect, the jackknife's variance between groups
    over that of independent rows, never below 1 (for rates of 0 and 1, whose variance says nothing,
    that of groups that are all alike inside), and corrected for the number of groups as Korn and
    Graubard do; Wilson's interval, or the exact one, takes that number.

    *Coverage* of the mean in percent, 95 % asked for, 2 000 samples: with others alike (a region of
    chance) / with others of half the loss (``python -m tests.benchmarks.effect_coverage``, which has more of it):

    ================  ========  ========  ========  ========  ========  ========
    losses       n =  10        15        20        40        100       400
    ================  ========  ========  ========  ========  ========  ========
    gamma(2)           97 / 96   96 / 96   95 / 95   96 / 96   95 / 95   95 / 95
    exponential        98 / 96   96 / 95   96 / 96   96 / 96   95 / 95   95 / 95
    lognormal(1)       98 / 96   97 / 94   97 / 95   97 / 95   95 / 94   94 / 94
    5 % large          97 / 99   97 / 98   96 / 97   96 / 92   96 / 92   95 / 95
    20 % large         98 / 90   97 / 93   96 / 94   97 / 97   96 / 96   96 / 96
    cross-entropy      97 / 93   97 / 95   97 / 95   96 / 96   96 / 96   96 / 96
    ================  ========  ========  ========  ========  ========  ========

    Measured before Gaffke's bound was there. It took at most 1.1 points away in 56 lines of 600 samples
    (20 % large, n 12, others of half the loss: 90.0 before, 89.2 with it), and up to 44 % of the width.

    With no others at all: 96, 96 and 94 for the first three at n 10, and 93 for lognormal(1) at 15;
    Student's t has 92, 90 and 84, the bootstrap-t 95, 94 and 92. Error rates of .05, .3 and .9 have
    91 to 98 (Wilson), losses of 0 and 1 95 to 100 (exact); with groups 96 to 99 (means) and 93 to 99
    (rates), where taking every row for independent has 74 to 85 if a group is alike.

    References
    ----------
    Hall, On the removal of skewness by transformation, JRSS B 54 (1992); Theoretical comparison of
    bootstrap confidence intervals, Annals of Statistics 16 (1988). Wilks, Determination of sample
    sizes for setting tolerance limits, Annals of Mathematical Statistics 12 (1941). Clopper, Pearson,
    Biometrika 26 (1934). Korn, Graubard, Survey Methodology 24 (1998).
    """
    aside = _mask("aside", aside, None)
    n = len(aside)
    rows = np.asarray(as_numpy(members))
    if rows.size == 0:
        rows = np.zeros(0, dtype=np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise InputError(f"members must be rows: got shape {rows.shape} and dtype {rows.dtype}.")
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise InputError(f"members must be rows from 0 to {n - 1}.")
    inside = np.zeros(n, dtype=bool)
    inside[rows] = True
    if inside.sum() != len(rows):
        raise InputError("members must not repeat a row.")
    values = np.asarray(as_numpy(losses), dtype=np.float64)
    if values.shape != (n,):
        raise InputError(f"losses must be one per row: got shape {values.shape} for {n} rows.")
    own = None if own is None else _mask("own", own, n)
    wrong = None if wrong is None else _mask("wrong", wrong, n)
    # From here on only rows that are kept aside exist.
    inside, values = inside[aside], values[aside]
    if len(values):
        values = check_vector("losses", values)
    pieces = None if groups is None else pieces_of(groups, n, np.flatnonzero(aside)[inside])
    units = int(inside.sum()) if pieces is None else int(pieces.max()) + 1
    label = None if own is None else own[aside]
    low, high = _NAN, _NAN
    if units >= FEWEST:
        low, high = _mean_interval(values[inside], values[~inside], pieces, seed)
    effect = Effect(
        n=int(inside.sum()),
        n_groups=units,
        loss=_mean(values[inside]),
        loss_low=low,
        loss_high=high,
        loss_base=_mean(values[~inside]),
        loss_label=_NAN if label is None else _mean(values[label]),
    )
    if wrong is None:
        return effect
    failed = wrong[aside].astype(np.float64)
    low, high = _NAN, _NAN
    if units >= FEWEST:
        hits, trials = _counts(failed[inside], pieces)
        low, high = (float(end) for end in wilson_interval(hits, trials, CONFIDENCE))
    return replace(
        effect,
        error=_mean(failed[inside]),
        error_low=low,
        error_high=high,
        error_base=_mean(failed[~inside]),
        error_label=_NAN if label is None else _mean(failed[label]),
    )


def _mask(name: str, given: Any, n: int | None) -> NDArray[np.bool_]:
    mask = np.asarray(as_numpy(given))
    if mask.dtype != bool or mask.ndim != 1 or n not in (None, len(mask)):
        rows = "row" if n is None else f"row: {n} rows"
        raise InputError(
            f"{name} must be one true or false per {rows}, got shape {mask.shape} and dtype "
            f"{mask.dtype}."
        )
    return mask


def pieces_of(
    groups: Any, n: int, rows: NDArray[np.int64] | None = None
) -> NDArray[np.int64] | None:
    """Number of each row's piece, from 0: rows of one group are one, those below 0 stand alone.

    None where every row is a piece of its own. ``rows`` are those that count; all ``n`` by default.

    Raises
    ------
    InputError
        If the groups are not one whole number per row.
    """
    codes = np.asarray(as_numpy(groups))
    if codes.shape != (n,) or codes.dtype.kind not in "iu":
        raise InputError(
            f"groups must be one whole number per row: got shape {codes.shape} and dtype "
            f"{codes.dtype} for {n} rows."
        )
    codes = (codes if rows is None else codes[rows]).astype(np.int64)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    pieces = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return None if len(pieces) == 0 or pieces.max() + 1 == len(pieces) else pieces


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else _NAN


def _mean_interval(
    values: Floats, others: Floats, pieces: NDArray[np.int64] | None, seed: int
) -> tuple[float, float]:
    """Interval of the mean of values, given what the others are like."""
    least = min(values.min(), others.min(initial=np.inf))
    most = max(values.max(), others.max(initial=-np.inf))
    if least == most:
        return float(least), float(most)
    if all(((part == least) | (part == most)).all() for part in (values, others)):
        low, high = _exact(*_counts((values == most).astype(np.float64), pieces))
        return float(least + low * (most - least)), float(least + high * (most - least))
    middle, scale = least / 2 + most / 2, most / 2 - least / 2  # huge losses stay in range
    values, others = (values - middle) / scale, (others - middle) / scale
    if pieces is None:
        low, high, units = *skewed_interval(values), len(values)
        # Undoing the skewness of few values can go any length: no further than their spread allows.
        if others.min(initial=np.inf) < values.min():
            low = max(low, least_mean(values, -1.0, _TAIL))
        if others.max(initial=-np.inf) > values.max():
            high = min(high, -least_mean(-values, -1.0, _TAIL))
    else:
        low, high, units = *_resampled(values, pieces, seed), int(pieces.max()) + 1
    mean = float(values.mean())
    share = 1 - _TAIL ** (1 / units)
    low = min(low, _unseen(mean, others[others < values.min()], share, len(others)))
    high = max(high, _unseen(mean, others[others > values.max()], share, len(others)))
    return float(middle + max(low, -1.0) * scale), float(middle + min(high, 1.0) * scale)


def _unseen(mean: float, beyond: Floats, share: float, n: int) -> float:
    """Mean of members of which a share, so far unseen, were like the others beyond them."""
    if not len(beyond):
        return mean
    share = min(share, _TIMES * len(beyond) / n)
    return (1 - share) * mean + share * float(beyond.mean())


def skewed_interval(values: Floats) -> tuple[float, float]:
    """Student's 95 % interval of a mean, corrected for skewness (Hall 1992), of ten values or more.

    Sorted, so no order matters. Values that are all alike have one of width 0.
    """
    n = len(values)
    values = np.sort(values)
    mean = float(values.mean())
    apart = values - mean
    largest = float(np.abs(apart).max())
    if largest == 0:
        return mean, mean
    apart /= largest
    variance = float(np.square(apart).mean())
    error = largest * np.sqrt(variance / (n - 1))
    skew = float((apart**3).mean()) / variance**1.5 * np.sqrt(n * (n - 1)) / (n - 2)
    t = float(special.stdtrit(n - 1, 1 - _TAIL))
    lean = float(np.clip(skew, -1, 1))
    high = mean - error * _inverse(-t, skew, n) * (1 + (1 + lean) / n)
    low = mean - error * _inverse(t, skew, n) * (1 + (1 - lean) / n)
    return low, high


def _inverse(x: float, skew: float, n: int) -> float:
    """The t whose ``t + g t^2 / 3 r + g^2 t^3 / 27 n + g / 6 r`` is x, with skewness g, r^2 = n."""
    root = np.sqrt(n)
    bent = skew / root
    straight = x - bent / 6
    if abs(bent) < 1e-6:
        return float(straight - bent * straight**2 / 3)
    return float(3 / bent * (np.cbrt(1 + bent * straight) - 1))


def _resampled(values: Floats, pieces: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Bootstrap-t of a ratio of sums, over whole pieces."""
    generator = np.random.default_rng(seed)
    count = int(pieces.max()) + 1
    if count > _MOST_GROUPS:
        dealt = generator.permutation(count) % _MOST_GROUPS
        pieces, count = dealt[pieces], _MOST_GROUPS
    sizes = np.bincount(pieces).astype(np.float64)
    sums = np.bincount(pieces, values).astype(np.float64)
    order = np.lexsort((sizes, sums))  # what the pieces are called does not matter
    sizes, sums = sizes[order], sums[order]
    drawn = generator.integers(0, count, (_RESAMPLES, count))
    mean, error = _ratio(sums, sizes)
    means, errors = _ratio(sums[drawn], sizes[drawn])
    if error == 0:
        return float(mean), float(mean)
    apart = means - mean
    still = errors <= 1e-9 * error
    t = np.where(still & (apart == 0), 0.0, apart / np.where(still, 1e-300, errors))
    t.sort()
    last = round((_RESAMPLES + 1) * _TAIL) - 1
    ends = mean - error * t[[-1 - last, last]]
    return float(ends[0]), float(ends[1])


def _ratio(sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Sum of the sums over that of the sizes, along the last axis, and its standard error."""
    count, total = sums.shape[-1], sizes.sum(axis=-1)
    mean = sums.sum(axis=-1) / total
    apart = sums - mean[..., None] * sizes
    error = np.sqrt(np.square(apart).sum(axis=-1) * count / (count - 1)) / total
    return mean, error


def _counts(hits: Floats, pieces: NDArray[np.int64] | None) -> tuple[float, float]:
    """Hits and trials, as many as independent rows would be worth."""
    n, rate = len(hits), float(hits.mean())
    if pieces is None:
        return float(hits.sum()), float(n)
    sizes = np.bincount(pieces).astype(np.float64)
    count = len(sizes)
    if 0 < rate < 1:
        # The jackknife's variance: large groups draw the rate toward themselves.
        apart = (np.bincount(pieces, hits) - rate * sizes) / (1 - sizes / n) / n
        variance = float(np.square(apart).sum()) * (count - 1) / count
        worth = min(float(n), rate * (1 - rate) / variance) if variance > 0 else float(n)
    else:
        worth = n**2 / float(np.square(sizes).sum())
    shrunk = special.ndtri(1 - _TAIL) / special.stdtrit(count - 1, 1 - _TAIL)
    worth *= float(shrunk) ** 2
    return rate * worth, worth


def _exact(hits: float, trials: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share; counts need not be whole."""
    low = 0.0 if hits <= 0 else float(special.betaincinv(hits, trials - hits + 1, _TAIL))
    high = 1.0 if hits >= trials else float(special.betaincinv(hits + 1, trials - hits, 1 - _TAIL))
    return low, high
