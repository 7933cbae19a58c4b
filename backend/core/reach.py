"""Rows far from all others, drawn in before a region is measured among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def drawn_in(
    rows: NDArray[np.float64], shift: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """The rows, those farther from ``shift`` than ``reach`` at that distance on the way there.

    Parameters
    ----------
    rows : float64 array of shape (k, d)
    shift : float64 array of shape (d,)
    reach : float
        Above 0; infinite where no row is too far.

    Returns
    -------
    float64 array of shape (k, d)
        The very rows where none is too far, else a copy.
    """
    apart = rows - shift
    far = np.linalg.norm(apart, axis=1) / reach
    beyond = far > 1
    if not beyond.any():
        return rows
    drawn = rows.copy()
    drawn[beyond] = shift + apart[beyond] / far[beyond, None]
    return drawn
