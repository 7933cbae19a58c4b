"""What a score of difficulty is worth: error by decile, accuracy without the hardest, both ends per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError
from backend.core.statistics import wilson_interval

DECILES = 10
PER_CLASS = 25
"""Examples of each end of a class, as the 5 by 5 grids of the paper show."""
LEFT_OUT = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Shares that are left out, one after the other."""


def error_by_decile(
    scores: Any, wrong: Any = None, losses: Any = None, *, bins: int = DECILES
) -> pd.DataFrame:
    """How often the model is wrong, and its mean loss, from the lowest scores to the highest.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Of difficulty, higher is harder.
    wrong : bool array-like of shape (n,), optional
        Whether each example is answered wrongly.
    losses : array-like of shape (n,), optional
    bins : int
        Ten are deciles.

    Returns
    -------
    DataFrame
        ``decile`` from 1, and ``decile_from`` where equal scores put several into one; ``score_from``
        and ``score_to``, ``n``. With ``wrong``: ``n_wrong``,
        ``error`` and its Wilson 95 % interval ``error_low``, ``error_high``. With ``losses``:
        ``mean_loss`` and Student's t 95 % interval ``mean_loss_low``, ``mean_loss_high`` (NaN below
        two examples). Borders are quantiles of the scores; a decile holds its lower border, the
        last one both. Equal scores are never parted, so the ten may be fewer rows.

    Raises
    ------
    InputError
        If there are no examples, a score is not finite, lengths differ, or there are no bins.

    References
    ----------
    Agarwal, D'souza, Hooker, Estimating Example Difficulty using Variance of Gradients, CVPR 2022,
    arXiv:2008.11600, figure 4; the intervals are ours.
    """
    values = check_vector("scores", scores)
    if bins < 1:
        raise InputError(f"bins must be 1 or more: got {bins}.")
    edges = np.quantile(values, np.arange(bins + 1) / bins)
    place = np.searchsorted(edges[1:-1], values, side="right")
    n = np.bincount(place, minlength=bins)
    columns: dict[str, Any] = {
        "decile": np.arange(1, bins + 1),
        "score_from": edges[:-1],
        "score_to": edges[1:],
        "n": n,
    }
    if wrong is not None:
        missed = np.bincount(place, _truths("wrong", wrong, len(values)), minlength=bins)
        low, high = wilson_interval(missed, n)
        columns |= {"n_wrong": missed.astype(np.int64), "error": missed / np.maximum(n, 1)}
        columns |= {"error_low": low, "error_high": high}
    if losses is not None:
        own = check_vector("losses", losses, len(values), of="score")
        mean = np.bincount(place, own, minlength=bins) / np.maximum(n, 1)
        squares = np.bincount(place, (own - mean[place]) ** 2, minlength=bins)
        degrees = np.maximum(n - 1, 1)
        half = stdtrit(degrees, 0.975) * np.sqrt(squares / degrees / np.maximum(n, 1))
        half = np.where(n > 1, half, np.nan)
        columns |= {"mean_loss": mean, "mean_loss_low": mean - half, "mean_loss_high": mean + half}
    table = pd.DataFrame(columns)
    held = table[table["n"] > 0].reset_index(drop=True)
    held.insert(1, "decile_from", held["decile"].shift(fill_value=0) + 1)
    return held


def accuracy_without_hardest(
    scores: Any, correct: Any, *, shares: Sequence[float] = LEFT_OUT, seed: int = 0
) -> pd.DataFrame:
    """Accuracy of what is left when the examples of highest score are left out.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Of difficulty, higher is harder.
    correct : bool array-like of shape (n,)
    shares : sequence of float
        Of the examples, each in [0, 1).
    seed : int
        Decides between equal scores.

    Returns
    -------
    DataFrame
        ``share``, ``n_left_out`` (rounded), ``n`` left, ``accuracy`` of these with its Wilson 95 %
        interval ``low`` and ``high``, and ``rise`` over the accuracy of all, in fractions. Leaving
        out at random leaves the accuracy of all.

    Raises
    ------
    InputError
        If lengths differ, a score is not finite, or a share is outside [0, 1).
    """
    values = check_vector("scores", scores)
    right = _truths("correct", correct, len(values))
    if any(not 0 <= share < 1 for share in shares):
        raise InputError(f"shares must be in [0, 1): got {list(shares)}.")
    left_out = np.minimum(np.round(np.asarray(shares) * len(values)), len(values) - 1).astype(int)
    drawn = np.random.default_rng(seed).permutation(len(values))
    taken = np.cumsum(right[drawn[np.argsort(-values[drawn], kind="stable")]])
    before = np.where(left_out > 0, taken[left_out - 1], 0)
    kept, n = right.sum() - before, len(values) - left_out
    low, high = wilson_interval(kept, n)
    return pd.DataFrame(
        {
            "share": np.asarray(shares, dtype=float),
            "n_left_out": left_out,
            "n": n,
            "accuracy": kept / n,
            "low": low,
            "high": high,
            "rise": kept / n - right.mean(),
        }
    )


def class_extremes(
    scores: Any, labels: Any, label: Any, *, most: int = PER_CLASS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The easiest and the hardest examples of one class.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Of difficulty, higher is harder; ties go to the lower row.
    labels : array-like of shape (n,)
    label
        One of these.
    most : int
        Of each end; of a small class the ends may overlap.

    Returns
    -------
    two int arrays
        Rows of the lowest scores, lowest first, and of the highest, highest first.

    References
    ----------
    Agarwal, D'souza, Hooker, CVPR 2022, arXiv:2008.11600, figures of the lowest and highest 25.
    """
    values = check_vector("scores", scores)
    rows = np.flatnonzero(as_numpy(labels) == label)
    lowest = rows[np.argsort(values[rows], kind="stable")[:most]]
    highest = rows[np.argsort(-values[rows], kind="stable")[:most]]
    return lowest, highest


def _truths(name: str, value: Any, n: int) -> NDArray[np.float64]:
    array = as_numpy(value)
    if array.dtype != bool or array.shape != (n,):
        raise InputError(
            f"{name} must be booleans of shape ({n},): got {array.dtype} of shape {array.shape}."
        )
    return array.astype(np.float64)
