"""The plain baseline beside every region: the examples with the largest losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_vector
from backend.core.errors import InputError


def high_loss(losses: Any, *, quantile: float = 0.98, seed: int = 0) -> NDArray[np.bool_]:
    """Examples whose loss lies strictly above a quantile of all losses.

    When none does (losses of 0 and 1, many of them 1), the ``round((1 - quantile) n)`` largest, at
    least one, equal losses in random order.

    Parameters
    ----------
    losses : array-like of shape (n,)
    quantile : float
        In [0, 1), interpolated linearly between losses.
    seed : int
        Decides between equal losses; only used when nothing lies above the quantile.

    Returns
    -------
    bool array of shape (n,)

    Raises
    ------
    InputError
        If losses are empty or not finite, or the quantile is outside [0, 1).

    References
    ----------
    d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, section 3.
    """
    values = check_vector("losses", losses)
    if not 0 <= quantile < 1:
        raise InputError(f"quantile must be in [0, 1): got {quantile}.")
    above = values > np.quantile(values, quantile)
    if above.any():
        return above
    size = max(1, round((1 - quantile) * len(values)))
    shuffled = np.random.default_rng(seed).permutation(len(values))
    largest = shuffled[np.argsort(-values[shuffled], kind="stable")[:size]]
    above[largest] = True
    return above
