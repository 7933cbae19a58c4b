"""What a population of models answers: its most frequent label, and how two populations differ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_choice
from backend.populations.encode import BLOCK, Codes, check_populations

TIES = ("largest", "smallest")


def modal_label(predictions: Any, *, tie: str = "largest") -> NDArray[Any]:
    """The label most models of a population predict, for each example.

    Parameters
    ----------
    predictions : array-like of shape (m, n)
        One row per model: class numbers or names.
    tie : {"largest", "smallest"}
        Which of equally frequent labels is taken; names compare as text. "largest" is what the
        released code of the PIE study does.

    Returns
    -------
    array of shape (n,)
        Labels as they came: numbers stay numbers (int64), names stay names.

    Raises
    ------
    InputError
        If there are no models or examples, values are missing or neither whole numbers nor names,
        or the tie rule is unknown.

    References
    ----------
    Hooker et al., What Do Compressed Deep Neural Networks Forget?, 2019, arXiv:1911.05248.
    """
    encoded = check_populations(predictions=predictions)
    return encoded.names[modes(encoded.parts[0], tie)[0]]


def modes(codes: Codes, tie: str) -> tuple[Codes, NDArray[np.bool_]]:
    """Modal code (n,) of codes (m, n), and where it was tied.

    Each column is sorted, then runs are counted row by row: memory and time do not depend on the
    number of classes. Some columns at a time, so that the sorted copy is small and stays in the
    processor's cache.
    """
    check_choice("tie", tie, TIES)
    best, tied = np.empty(codes.shape[1], codes.dtype), np.empty(codes.shape[1], dtype=bool)
    for at in column_blocks(*codes.shape):
        best[at], tied[at] = _modes(codes[:, at], tie)
    return best, tied


def column_blocks(m: int, n: int) -> Iterator[slice]:
    """Slices of n examples, each with about a quarter million answers of m models."""
    step = max(1, BLOCK // max(1, m))
    for start in range(0, n, step):
        yield slice(start, start + step)


def _modes(codes: Codes, tie: str) -> tuple[Codes, NDArray[np.bool_]]:
    ordered = np.sort(codes, axis=0)
    best = ordered[0].copy()
    best_count = np.ones(len(best), dtype=np.int32)
    count = best_count.copy()
    tied = np.zeros(len(best), dtype=bool)
    for before, own in pairwise(ordered):
        count = np.where(own == before, count + 1, 1)
        level, higher = count == best_count, count > best_count
        tied = (tied | level) & ~higher
        take = higher | level if tie == "largest" else higher
        best[take] = own[take]
        best_count = np.maximum(best_count, count)
    return best, tied


def taxicab(baseline: Any, compressed: Any) -> NDArray[np.float64]:
    """How differently two populations answer each example, from 0 (alike) to 2 (nothing shared).

    The sum over labels of the absolute difference between the share of baseline models and the
    share of compressed models that predict the label ("Taxicab CIE" when thresholded).

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
        The numbers of models may differ.

    Returns
    -------
    float array of shape (n,)

    Raises
    ------
    InputError
        As ``modal_label``; or if the populations answer different numbers of examples.

    References
    ----------
    Hooker et al., Characterising Bias in Compressed Models, 2020, arXiv:2010.03058.
    """
    first, second = check_populations(baseline=baseline, compressed=compressed).parts
    distance = np.empty(first.shape[1])
    for at in column_blocks(len(first) + len(second), first.shape[1]):
        distance[at] = _taxicab(first[:, at], second[:, at])
    return distance


def _taxicab(first: Codes, second: Codes) -> NDArray[np.float64]:
    # Whole-number shares (each model of one population counts as many votes as the other has
    # models) keep the sum exact: equal answers give 0, not 1e-17.
    votes = np.array([len(second), -len(first)])
    ordered = np.sort(np.concatenate([2 * first, 2 * second + 1]), axis=0)
    total = np.zeros(ordered.shape[1], dtype=np.int64)
    run = np.zeros_like(total)
    before = ordered[0] >> 1
    for row in ordered:
        label = row >> 1
        ended = label != before
        total += np.where(ended, np.abs(run), 0)
        run = np.where(ended, 0, run) + votes[row & 1]
        before = label
    return (total + np.abs(run)) / (len(first) * len(second))
