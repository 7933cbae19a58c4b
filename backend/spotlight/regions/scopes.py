"""Among which rows to look: all, one label, or a bundle of similar labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.regions.settings import Settings

_ROUNDS = 20


@dataclass(frozen=True)
class Scope:
    """Rows that are looked at together.

    Parameters
    ----------
    labels : tuple of int
        Their codes, () for whatever label.
    rows : int array of shape (m,)
        Ascending.
    losses : tensor of shape (m,), optional
        Of these rows, cut at their own quantile, where the label fails as a whole: by the cut of
        all rows nothing inside it would stand out.
    """

    labels: tuple[int, ...]
    rows: NDArray[np.int64]
    losses: Tensor | None = None

    @property
    def bound(self) -> bool:
        """Whether the scope is bound to labels."""
        return len(self.labels) > 0


def make_scopes(
    points: Tensor,
    excess: NDArray[np.float64],
    codes: NDArray[np.int64] | None,
    settings: Settings,
    generator: np.random.Generator,
    own: dict[int, Tensor] | None = None,
) -> list[Scope]:
    """All rows; then labels where the loss is, the most first; then bundles of similar labels.

    Parameters
    ----------
    points : tensor of shape (n, q)
    excess : float64 array of shape (n,)
        Loss above the mean, 0 below and where it may not be looked at.
    codes : int array of shape (n,) or None
        Labels as numbers from 0.
    settings : Settings
    generator : numpy.random.Generator
    own : dict of int to tensor, optional
        Losses of the rows of labels that fail as a whole, cut at their own quantile.
    """
    everything = Scope((), np.arange(len(excess)))
    if codes is None or (codes == codes[0]).all():
        return [everything]
    counts = np.bincount(codes)
    wealth = np.bincount(codes, weights=excess)
    able = np.flatnonzero((counts >= settings.min_label) & (wealth > 0))
    single = able[np.argsort(-wealth[able], kind="stable")][: settings.most_labels]
    by_label = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    failing = own or {}
    single = np.r_[[label for label in failing if label not in single], single].astype(np.int64)
    scopes = [
        everything,
        *(Scope((int(one),), by_label[one], failing.get(int(one))) for one in single),
    ]
    left = np.setdiff1d(np.flatnonzero(counts), single)
    if wealth[left].sum() > 0.1 * wealth.sum() and len(left) > 1:
        for bundle in _bundles(points, codes, counts, settings.most_bundles, generator):
            rows = np.flatnonzero(np.isin(codes, bundle))
            if 1 < len(bundle) < (counts > 0).sum() and len(rows) >= settings.min_label:
                scopes.append(Scope(tuple(bundle.tolist()), rows))
    return scopes


def _bundles(
    points: Tensor,
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
    most: int,
    generator: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Labels whose means lie together: k-means of the means."""
    at = torch.from_numpy(codes).to(points.device)
    sums = torch.zeros((len(counts), points.shape[1]), dtype=torch.float64, device=points.device)
    sums.index_add_(0, at, points.double())
    labels = np.flatnonzero(counts)
    means = sums.cpu().numpy()[labels] / counts[labels, None]
    count = min(most, max(2, len(labels) // 3))
    centers = means[generator.choice(len(labels), count, replace=False)]
    nearest = np.zeros(len(labels), np.int64)
    for _ in range(_ROUNDS):
        apart = np.square(means).sum(1)[:, None] - 2 * means @ centers.T + np.square(centers).sum(1)
        nearest = apart.argmin(axis=1)
        for cluster in range(count):
            if (nearest == cluster).any():
                centers[cluster] = means[nearest == cluster].mean(axis=0)
    return [labels[nearest == cluster] for cluster in range(count) if (nearest == cluster).any()]
