"""How far the label is ahead of the other classes: sure mistakes first, undecided examples around 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError


def label_margin(probabilities: Any, labels: Any) -> NDArray[np.float64]:
    """Probability of each label less the highest probability of another class.

    Parameters
    ----------
    probabilities : array-like of shape (n, C)
        Two classes or more.
    labels : array-like of shape (n,), whole numbers
        Column of each example's label.

    Returns
    -------
    float64 array of shape (n,)
        In [-1, 1]: -1 where the model is sure of another class, 0 where the label shares the first
        place, 1 where it is sure of the label. Below 0 the prediction is wrong.

    Raises
    ------
    InputError
        If shapes differ, there are fewer than two classes, a probability is not finite, or a label
        is no column.

    References
    ----------
    Northcutt, Jiang, Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR
    2021, arXiv:1911.00068, which prunes suspected label errors by such a margin. Not the margin of
    TRAK, which is a logarithm of odds.
    """
    chances = check_matrix("probabilities", probabilities).astype(np.float64)
    codes = as_numpy(labels)
    n, n_classes = chances.shape
    if n_classes < 2:
        raise InputError(f"probabilities must be of two classes or more: got {n_classes}.")
    if codes.shape != (n,) or codes.dtype.kind not in "iu":
        raise InputError(
            f"labels must be one whole number per example: got {codes.dtype} of shape "
            f"{codes.shape} for {n} examples."
        )
    if codes.min() < 0 or codes.max() >= n_classes:
        raise InputError(
            f"labels must be columns 0 to {n_classes - 1}: got {codes.min()} to {codes.max()}."
        )
    rows = np.arange(n)
    own = chances[rows, codes]
    chances[rows, codes] = -np.inf
    return own - chances.max(axis=1)
