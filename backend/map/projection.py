"""What a map is, and the principal axes that every map begins with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.core.pca import Principal, apply_components, principal_components
from backend.core.progress import Progress, share_of


@dataclass(frozen=True)
class Projection:
    """A map.

    Attributes
    ----------
    xy : float32 array of shape (n, 2)
    sampled : int or None
        How many examples were laid out themselves, when the rest was placed among them.
    explained : tuple of two floats, or None
        Share of the variance along each axis, for PCA. None where there is no variance, or the
        axes are not principal ones.
    note : str
        What the map shows and what it does not, as a sentence for the page.
    """

    xy: NDArray[np.float32] = field(repr=False)
    sampled: int | None
    explained: tuple[float, float] | None
    note: str


# A block is read as fast as it is multiplied, so one thread is enough; two that wait for each other
# on a busy machine were measured to take ten times the processor time.
@threadpool_limits.wrap(limits=1, user_api="blas")
def on_principal_axes(
    values: NDArray[Any], k: int, *, seed: int, found_at: float, progress: Progress
) -> tuple[Principal, NDArray[np.float32]]:
    """The first ``k`` principal components, and the coordinates (n, k) of all rows along them.

    ``found_at`` is the share of the work after which the components are known.
    """
    found = principal_components(values, k, seed=seed, progress=share_of(progress, 0, found_at))
    return found, apply_components(values, found, progress=share_of(progress, found_at, 1))
