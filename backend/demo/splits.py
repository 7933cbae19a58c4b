"""Which rows of a data set are trained on, and which are held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError


def split_rows(n: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows held out, each ascending; drawn at random.

    Raises
    ------
    InputError
        If the share to hold out is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"test_share must lie between 0 and 1: got {share}.")
    order = np.random.default_rng(seed).permutation(n)
    cut = max(1, round(share * n))
    return np.sort(order[cut:]), np.sort(order[:cut])
