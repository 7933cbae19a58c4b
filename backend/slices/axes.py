"""Principal axes that bring embeddings to size 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.pca import (
    DIRECT,
    Principal,
    apply_components,
    mean_and_scale,
    principal_components,
)


@dataclass(frozen=True)
class Axes:
    """Centre, turn and scale: ``apply`` has mean 0 and mean squared row norm near 1.

    ``scale`` is the root of the summed variance along the axes, 1 where there is none.
    """

    principal: Principal
    scale: float

    def __len__(self) -> int:
        return len(self.principal.axes)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Coordinates (m, k) of the rows of ``values`` (m, d)."""
        made = apply_components(values, self.principal, dtype=np.float64)
        made /= self.scale
        return made


def principal_axes(values: NDArray[Any], k: int, *, seed: int = 0) -> Axes:
    """The first ``min(k, n, d)`` principal axes of ``values`` (n, d).

    Exact where the smaller of ``n`` and ``d`` is at most 2048; beyond, those of a seeded sample of
    2048 rows.
    """
    n, d = values.shape
    rows = center = None
    if min(n, d) > DIRECT:
        rows = np.sort(np.random.default_rng(seed).permutation(n)[:DIRECT])
        center, _ = mean_and_scale(values)
    k = min(k, d, n if rows is None else len(rows))
    found = principal_components(values, k, rows=rows, center=center, dtype=np.float64)
    scale = float(np.linalg.norm(found.deviations))
    # Rounding leaves a trace of variance where all rows are equal.
    flat = scale <= 1e-7 * max(float(np.abs(found.mean).max()), np.finfo(np.float64).tiny)
    return Axes(found, 1.0 if flat else scale)
