"""Two populations of one bundle, and the examples on which they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.populations import Answer, Ensemble, most_divergent


@dataclass(frozen=True)
class PopulationPair:
    """Two populations of one bundle and the examples on which they differ.

    ``before`` and ``after`` are codes (m, n); ``modes`` (2, n); ``mask``, ``tied`` and
    ``taxicab`` (n,).
    """

    ensemble: Ensemble
    baseline: str
    compressed: str
    kind: str
    mask: NDArray[np.bool_]
    modes: NDArray[np.int32]
    tied: NDArray[np.bool_]
    taxicab: NDArray[np.float64]

    @property
    def before(self) -> NDArray[np.int32]:
        return self.ensemble.populations[self.baseline]

    @property
    def after(self) -> NDArray[np.int32]:
        return self.ensemble.populations[self.compressed]

    @property
    def word(self) -> str:
        """What its examples are called."""
        return "PIE" if self.kind == "modal" else "taxicab CIE"

    def rows(self) -> NDArray[np.int64]:
        """The examples, strongest change first."""
        rows = np.flatnonzero(self.mask)
        return rows[np.argsort(-self.taxicab[rows], kind="stable")]

    def source(self) -> dict[str, object]:
        """What the record of a tag says."""
        return {
            "kind": "pie",
            "selection": self.kind,
            "baseline": self.baseline,
            "compressed": self.compressed,
        }


def make_comparison(
    ensemble: Ensemble, found: Answer, baseline: str, compressed: str, kind: str, share: float
) -> PopulationPair:
    """Two populations out of the comparison of all with the baseline."""
    names = list(ensemble.populations)
    first, second = names.index(baseline), names.index(compressed)
    modes, divergence = found.arrays["modes"], found.arrays["taxicab"][second]
    mask = np.asarray(modes[first] != modes[second])
    if kind != "modal":
        mask = most_divergent(divergence, share)
    return PopulationPair(
        ensemble,
        baseline,
        compressed,
        kind,
        mask,
        np.stack([modes[first], modes[second]]),
        found.arrays["tied"][first] | found.arrays["tied"][second],
        divergence,
    )
