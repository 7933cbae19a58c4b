"""Labels that fail as a whole: what a search inside labels cannot see, and what should be said first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from backend.core.statistics import mean_interval, wilson_interval
from backend.spotlight.regions.settings import Settings

# Shuffles behind the p of a mean loss, and rows that are shuffled at most.
_SHUFFLES, _ROWS = 999, 2**15


@dataclass(frozen=True)
class Whole:
    """One label that fails as a whole: its code, its excess loss's share of all, and its p (Holm)."""

    code: int
    share: float
    p: float


def failing_labels(
    codes: NDArray[np.int64],
    losses: NDArray[np.float64],
    wrong: NDArray[np.bool_] | None,
    units: NDArray[np.int64] | None,
    settings: Settings,
    generator: np.random.Generator,
) -> list[Whole]:
    """Labels whose error rate, else mean loss, is surely high and that hold much of the excess loss.

    Parameters
    ----------
    codes : int array of shape (m,)
        Labels from 0 of the rows that find and choose.
    losses : float64 array of shape (m,)
        Raw.
    wrong : bool array of shape (m,) or None
        The error rate decides where it is known: it is what people read.
    units : int array of shape (m,) or None
        What rows belong together; rows of one label in one unit count as one.
    settings : Settings
        ``fails``: the lower end of the 95 % interval must be above so many times the value of all
        other rows, losses counted from the smallest; ``fails_share``: of the sum of ``max(loss - mean, 0)`` over all rows.
    generator : numpy.random.Generator
        Of the shuffles.

    Returns
    -------
    list of Whole
        The largest share first. ``p``: exact, the label against the rest (hypergeometric for errors,
        a permutation test of the mean else), times the number of labels that are still in (Holm).
    """
    counts = np.bincount(codes)
    able = np.flatnonzero(counts >= settings.min_label)
    if len(np.flatnonzero(counts)) < 2 or not len(able):
        return []
    excess = np.maximum(losses - losses.mean(), 0.0)
    shares = np.bincount(codes, weights=excess) / max(float(excess.sum()), 1e-300)
    # Measured from the smallest loss: adding a constant to all changes nothing.
    measured = losses - losses.min() if wrong is None else wrong.astype(np.float64)
    if units is None:
        values, labels = measured, codes
    else:
        pairs, inverse = np.unique(units * (int(codes.max()) + 1) + codes, return_inverse=True)
        values = np.bincount(inverse, weights=measured) / np.bincount(inverse)
        labels = pairs % (int(codes.max()) + 1)
    found = []
    for code in able[shares[able] >= settings.fails_share].tolist():
        own, rest = values[labels == code], values[labels != code]
        plain = wrong is not None and units is None
        low = wilson_interval(own.sum(), len(own))[0] if plain else mean_interval(own).low
        if rest.mean() > 0 and low > settings.fails * rest.mean():
            p = _exact(own, rest) if plain else _shuffled(own, rest, generator)
            found.append(Whole(int(code), float(shares[code]), p))
    adjusted = _holm([one.p for one in found], len(able))
    found = [Whole(one.code, one.share, p) for one, p in zip(found, adjusted, strict=True)]
    return sorted(found, key=lambda one: (-one.share, one.code))


def _exact(own: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """As many errors or more in the label, were they drawn from all rows (Fisher)."""
    total = len(own) + len(rest)
    return float(hypergeom.sf(own.sum() - 1, total, own.sum() + rest.sum(), len(own)))


def _shuffled(
    own: NDArray[np.float64], rest: NDArray[np.float64], generator: np.random.Generator
) -> float:
    """How often so many rows drawn from all have a mean as high: ``(1 + b) / (1 + B)``."""
    everything = np.concatenate([own, rest])
    if len(everything) > _ROWS:
        share = _ROWS / len(everything)
        own = generator.choice(own, max(2, round(share * len(own))), replace=False)
        rest = generator.choice(rest, max(2, round(share * len(rest))), replace=False)
        everything = np.concatenate([own, rest])
    level = own.mean() - 1e-9 * max(1.0, abs(float(own.mean())))
    above = 0
    for _ in range(_SHUFFLES):
        drawn = generator.permutation(everything)[: len(own)]
        above += bool(drawn.mean() >= level)
    return (1 + above) / (1 + _SHUFFLES)


def _holm(ps: list[float], tests: int) -> list[float]:
    """Step-down adjusted p of the smallest of ``tests``; the others are taken to be larger."""
    order = np.argsort(ps, kind="stable")
    adjusted, least = [1.0] * len(ps), 0.0
    for rank, at in enumerate(order.tolist()):
        least = max(least, min(1.0, ps[at] * (tests - rank)))
        adjusted[at] = least
    return adjusted
