"""Where the answers start: a group of examples, made a ranking of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.sampling import random_rows

MOST_MEMBERS = 5000
"""Members of a group that say where to start; of more a seeded sample does."""


def start_members(rows: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """The rows that stand for a group, ascending: all of them, or 5000 drawn ones."""
    rows = np.unique(rows)
    return np.sort(random_rows(len(rows), MOST_MEMBERS, seed=seed, among=rows))


def start_ranking(parts: tuple[NDArray[np.float32], ...], members: Any) -> NDArray[np.float64]:
    """Scores to start from, higher first: the members of a group, then all others, by closeness.

    Closeness is that to the mean of the members, in the principal components that the classifiers
    see. The order in which a group lists its members does not matter, for it may be one by loss.

    Parameters
    ----------
    parts : tuple of arrays
        As ``principal_parts`` gives them.
    members : int array-like of shape (k,)
        At least one row.

    Returns
    -------
    float64 array of shape (n,)
        Above 0 for members, below for others.
    """
    rows = np.unique(np.asarray(members, np.int64))
    away = parts[-1] - parts[-1][rows].mean(axis=0, dtype=np.float64).astype(np.float32)
    scores = -np.sqrt(np.einsum("ij,ij->i", away, away)).astype(np.float64) - 1e-6
    scores[rows] += 1 - scores.min()
    return scores
