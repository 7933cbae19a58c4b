"""Random projections whose matrix is never held whole: it is drawn in blocks, each from its own seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_matrix
from backend.core.errors import InputError

BLOCK = 4096
"""Rows of the projection that are drawn at once: a number that decides the result."""


def project_features(gradients: Any, k: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Gradients (n, p) projected to ``k`` dimensions by random signs.

    Inner products are kept in expectation: the signs are divided by the root of ``k``. The same
    seed gives the same projection for training and target examples, and for gradients that arrive
    in several calls.

    Parameters
    ----------
    gradients : array-like of shape (n, p)
    k : int
        1 or more.
    seed : int

    Returns
    -------
    float64 array of shape (n, k)

    Raises
    ------
    InputError
        If the gradients are not finite numbers of that shape, or ``k`` is below 1.
    """
    values = check_matrix("gradients", gradients)
    check_dimensions(k)
    projected = np.zeros((len(values), k))
    for start, signs in sign_blocks(values.shape[1], k, seed):
        projected += values[:, start : start + len(signs)].astype(np.float64) @ signs
    return projected


def sign_blocks(p: int, k: int, seed: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """First row and rows of each block of the (p, k) projection: ``+-1 / sqrt(k)``."""
    for start in range(0, p, BLOCK):
        rng = np.random.default_rng([seed, start // BLOCK])
        signs = rng.integers(0, 2, (BLOCK, k), dtype=np.int8)[: p - start]
        yield start, (2.0 * signs - 1.0) / np.sqrt(k)


def check_dimensions(k: int) -> int:
    """``k`` if it can be the dimension of a projection."""
    if isinstance(k, bool) or int(k) != k or k < 1:
        raise InputError(f"k must be a whole number of 1 or more: got {k!r}.")
    return int(k)
