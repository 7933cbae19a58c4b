"""Where the answers start: a group of examples, made a ranking of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.sampling import random_rows

MOST = 5000
"""Examples that say where to start; of a larger group a seeded sample does."""


def start_members(rows: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """The rows that stand for a group, ascending: all of them, or 5000 drawn ones."""
    rows = np.unique(rows)
    return np.sort(random_rows(len(rows), MOST, seed=seed, among=rows))


def start_of_scores(scores: Any) -> NDArray[np.int64]:
    """The first 5000 rows of a region's ranking, highest score first, none outside its scope."""
    given = np.asarray(scores, np.float64)
    order = np.argsort(-given, kind="stable")[:MOST]
    return order[np.isfinite(given[order]) & (given[order] > given.min())].astype(np.int64)


def start_ranking(
    parts: tuple[NDArray[np.float32], ...], rows: Any, *, ranked: bool = False
) -> NDArray[np.float64]:
    """Scores to start from, higher first.

    Of a group: its members, then all others, by closeness to the mean of the members in the
    principal components that the classifiers see. The order in which a group lists its members does
    not matter, for it may be one by loss. Of a region: its own ranking, as far as it is listed.

    Parameters
    ----------
    parts : tuple of arrays
        As ``principal_parts`` gives them.
    rows : int array-like of shape (k,)
        At least one.
    ranked : bool
        Whether they are the first of a ranking, in order, as ``start_of_scores`` gives them.

    Returns
    -------
    float64 array of shape (n,)
        -inf for what a ranking does not list.
    """
    if ranked:
        scores = np.full(len(parts[0]), -np.inf)
        scores[np.asarray(rows, np.int64)] = -np.arange(len(rows), dtype=np.float64)
        return scores
    rows = np.unique(np.asarray(rows, np.int64))
    away = parts[-1] - parts[-1][rows].mean(axis=0, dtype=np.float64).astype(np.float32)
    scores = -np.sqrt(np.einsum("ij,ij->i", away, away)).astype(np.float64) - 1e-6
    scores[rows] += 1 - scores.min()
    return scores
