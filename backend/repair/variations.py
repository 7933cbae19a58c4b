"""Variations of a group in representation space: the cheapest examples somebody can make."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_matrix
from backend.core.errors import InputError
from backend.repair.head import check_classes

PER_ROW = 5
"""Examples made for each one, as the paper makes five pictures for each failure."""


def vary_group(
    embeddings: Any, labels: Any, *, per_row: int = PER_ROW, seed: int = 0
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Draw examples from a Gaussian fitted to the group's embeddings, label by label.

    They are no pictures and no texts: points between and around the members, with their labels.
    Nobody has seen whether such an example can exist.

    Parameters
    ----------
    embeddings : array-like of shape (m, d)
    labels : int array-like of shape (m,)
        Classes, from 0.
    per_row : int
        Examples for each member, from 1.
    seed : int

    Returns
    -------
    embeddings : float array of shape (m * per_row, d)
        With the mean and the covariance of the members of each label, also where these are fewer
        than the dimensions. A single member of a label is repeated.
    labels : int array of shape (m * per_row,)

    Raises
    ------
    InputError
        If labels are no classes, or ``per_row`` is below 1.

    Examples
    --------
    >>> made, labels = vary_group([[0.0], [2.0], [9.0]], [0, 0, 1], per_row=2)
    >>> made.shape, labels.tolist(), made[-2:].ravel().tolist()
    ((6, 1), [0, 0, 0, 0, 1, 1], [9.0, 9.0])
    """
    x = check_matrix("embeddings", embeddings)
    y = check_classes("labels", labels, len(x))
    if per_row < 1:
        raise InputError(f"per_row must be 1 or more: got {per_row}.")
    rng = np.random.default_rng(seed)
    made, told = [], []
    for label in np.unique(y):
        own = x[y == label].astype(np.float64)
        center, size = own.mean(axis=0), per_row * len(own)
        # A mixture of the members' deviations with normal shares has exactly their covariance.
        shares = rng.normal(size=(size, len(own))) / np.sqrt(max(1, len(own) - 1))
        made.append(center + shares @ (own - center))
        told.append(np.full(size, label))
    return np.concatenate(made).astype(x.dtype), np.concatenate(told)
