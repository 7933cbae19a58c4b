"""What the same search finds again: on shuffled losses (the null) and on bootstrap samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from backend.core.progress import Progress
from backend.spotlight.find import Spotlights, search_spotlights
from backend.spotlight.options import SearchOptions
from backend.spotlight.solver.rows import Rows
from backend.spotlight.trust.claim import kernel_weights


@dataclass(frozen=True)
class SearchNull:
    """The best region of searches on shuffled losses, one number per shuffle made.

    ``maxima`` (B,) raw weighted losses, in the order of the shuffles; ``limit`` is the number of
    exceedances after which a p-value is final.
    """

    maxima: NDArray[np.float64]
    limit: int

    def p(self, observed: NDArray[np.float64]) -> NDArray[np.float64]:
        """p-value of each (r,) observed weighted loss, in the order the regions were found.

        A region counts as no better than the ones before it, so that the largest of the observed
        values belongs to the first region, as in every shuffle: comparing all of them with the
        null of the best then keeps the family-wise level.

        ``limit / l`` when the ``limit``-th exceedance came at shuffle ``l`` (Besag and Clifford,
        Sequential Monte Carlo p-values, Biometrika 1991), else ``(1 + b) / (1 + B)``; NaN without
        shuffles.
        """
        out = np.full(len(observed), np.nan)
        if len(self.maxima) == 0:
            return out
        for region, value in enumerate(np.minimum.accumulate(observed)):
            hits = np.flatnonzero(self.maxima >= value)
            if len(hits) >= self.limit:
                out[region] = self.limit / (hits[self.limit - 1] + 1)
            else:
                out[region] = (1 + len(hits)) / (1 + len(self.maxima))
        return out


def search_null(
    values: NDArray[Any],
    losses: NDArray[np.float64],
    best: float,
    options: SearchOptions,
    *,
    device: torch.device,
    n_permutations: int,
    level: float,
    progress: Progress,
) -> SearchNull:
    """Repeat the search on shuffled losses, until it is clear that nothing can come of it.

    Parameters
    ----------
    values, losses : arrays of shape (n, d) and (n,)
    best : float
        Weighted loss of the best region on the losses as they are.
    options : SearchOptions
        Of the search; its seed is that of the shuffles too.
    device : torch.device
    n_permutations : int
    level : float
        The search stops when p can no longer reach this.
    progress : Progress
    """
    generator = np.random.default_rng(options.seed)
    limit = max(1, math.ceil(level * (n_permutations + 1)))
    maxima: list[float] = []
    single = replace(options, n_spotlights=1)
    while len(maxima) < n_permutations:
        if np.sum(np.array(maxima) >= best) >= limit:
            break
        number = len(maxima)
        message = f"Searching shuffled losses, {number + 1} of at most {n_permutations}"
        within = share_of(progress, number / n_permutations, (number + 1) / n_permutations, message)
        found = search_spotlights(
            values, generator.permutation(losses), single, device=device, progress=within
        )
        maxima.append(float(found.weighted_losses[0]))
    return SearchNull(np.array(maxima), limit)


def bootstrap_overlaps(
    values: NDArray[Any],
    losses: NDArray[np.float64],
    shown: NDArray[np.float64],
    options: SearchOptions,
    *,
    device: torch.device,
    n_bootstrap: int,
    progress: Progress,
) -> NDArray[np.float64]:
    """(b, r) overlap of (r, n) shown weights with their counterparts in each bootstrap refit."""
    generator = np.random.default_rng(options.seed)
    rows = Rows.normalised(values, device)
    n = len(losses)
    samples: list[NDArray[np.float64]] = []
    for number in range(n_bootstrap):
        message = f"Searching resampled examples, {number + 1} of {n_bootstrap}"
        within = share_of(progress, number / n_bootstrap, (number + 1) / n_bootstrap, message)
        counts = np.bincount(generator.integers(n, size=n), minlength=n)
        drawn = np.flatnonzero(counts)
        found = search_spotlights(
            values[drawn],
            losses[drawn],
            options,
            counts=counts[drawn],
            device=device,
            progress=within,
        )
        again = weights_of(rows, found, options.kernel)
        _, overlaps = match(shown, again)
        samples.append(overlaps)
    return np.array(samples).reshape(len(samples), len(shown))


def weights_of(rows: Rows, found: Spotlights, kernel: str) -> NDArray[np.float64]:
    """(r, n) membership of these rows in regions that may have been found on others."""
    return kernel_weights(rows, found.centers, found.precisions, kernel)


def match(
    shown: NDArray[np.float64], found: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The counterpart of each region among others, one to one, by largest total overlap.

    Parameters
    ----------
    shown, found : float64 arrays of shape (r, n) and (k, n)
        Weights on the same rows.

    Returns
    -------
    which : int array of shape (r,)
        Position in ``found``; -1 when there are fewer of them and none is left.
    overlap : float64 array of shape (r,)
        Weighted Jaccard index ``sum min / sum max`` in [0, 1]; 0 without a counterpart.
    """
    overlaps = np.zeros((len(shown), len(found)))
    for j, other in enumerate(found):
        smaller = np.minimum(shown, other).sum(axis=1)
        larger = np.maximum(shown, other).sum(axis=1)
        overlaps[:, j] = np.where(larger > 0, smaller / np.where(larger > 0, larger, 1.0), 0.0)
    which = np.full(len(shown), -1)
    rows, columns = linear_sum_assignment(-overlaps)
    which[rows] = columns
    overlap = np.zeros(len(shown))
    overlap[rows] = overlaps[rows, columns]
    return which, overlap


def share_of(progress: Progress, low: float, high: float, says: str | None = None) -> Progress:
    """Progress of a step that is one stretch of a longer one, in the longer one's words if given."""

    def report(fraction: float, message: str) -> None:
        progress(low + (high - low) * fraction, message if says is None else says)

    return report
