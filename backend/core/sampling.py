"""Random samples to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def random_rows(
    n: int, size: int, *, seed: int = 0, among: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """``size`` rows drawn without replacement from ``n`` (or from ``among``), in drawn order.

    When fewer exist, all of them.
    """
    pool = np.arange(n) if among is None else np.asarray(among, dtype=np.int64)
    return np.random.default_rng(seed).permutation(pool)[: max(0, int(size))]
