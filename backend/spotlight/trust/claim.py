"""Is a region found on one half of the data real on the other? A max-T test without any refit.

Given half A, the regions found there are fixed. If nothing distinguishes places, the losses of half
B may be shuffled: the largest statistic over *all* of A's regions, over the shuffles, is what
searching alone achieves. A region is compared with that maximum, so the choice among regions is
paid for, however it was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.max_t import MaxT
from backend.core.max_t import max_t as compare_with_shuffles
from backend.core.progress import Progress
from backend.spotlight.solver.kernels import weigh
from backend.spotlight.solver.rows import Rows

# Candidates worth fewer examples than this on the half they are tested on are left out.
MIN_EFFECTIVE = 4.0
_CAP_QUANTILE = 0.9
# Scatter below this share of the losses' own is rounding.
_ROUNDING = 1e-12


def split_halves(
    n: int, labels: NDArray[np.int64] | None, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """(n,) mask of a random half, balanced within each label (to one example)."""
    order = generator.permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    first = np.zeros(n, dtype=bool)
    first[order[int(generator.integers(2)) :: 2]] = True
    return first


def kernel_weights(
    rows: Rows, centers: NDArray[Any], precisions: NDArray[Any], kernel: str
) -> NDArray[np.float64]:
    """(k, n) membership of all rows in regions given by center and precision.

    Parameters
    ----------
    rows : Rows
    centers : array of shape (k, d)
        In the units of the embeddings, as are the precisions.
    precisions : array of shape (k,), (k, d) or (k, d, d)
    kernel : {"gaussian", "squared_distance"}
    """
    inside = rows.inward(torch.from_numpy(np.asarray(centers, np.float64))).to(rows.device)
    shapes = torch.from_numpy(np.asarray(precisions, np.float64) * rows.scale**2).to(rows.device)
    if shapes.ndim == 1:
        q = rows.distances(inside) * shapes[:, None].to(rows.dtype)
    elif shapes.ndim == 2:
        q = rows.distances(inside, shapes)
    else:
        lengths, axes = torch.linalg.eigh(shapes)
        q = rows.turned_distances(inside, axes * lengths.clamp_min(0.0).sqrt()[:, None, :])
    return weigh(q, kernel).double().cpu().numpy()  # type: ignore[arg-type]


def effective_sizes(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k,) ``(sum k)^2 / sum k^2`` of (k, n) weights; 0 where every weight is."""
    squares = np.square(weights).sum(axis=1)
    return np.square(weights.sum(axis=1)) / np.where(squares > 0, squares, 1.0)


def clip_losses(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses up to the larger of their 90 % quantile and their mean.

    A few confident errors then decide nothing. (With 0/1 losses the quantile alone can be 0.)
    """
    return np.minimum(losses, max(np.quantile(losses, _CAP_QUANTILE), losses.mean()))


def max_t(
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    labels: NDArray[np.int64] | None,
    *,
    share: float,
    n_shuffles: int,
    generator: np.random.Generator,
    progress: Progress,
) -> MaxT:
    """Test fixed candidates on losses that played no part in finding them.

    Parameters
    ----------
    weights : float64 array of shape (k, n)
        Kernels of the candidates on the held-out rows.
    losses : float64 array of shape (n,)
    labels : int array of shape (n,) or None
        Shuffle within these groups only: what a group fails as a whole then counts for nothing.
    share : float
        Of the rows that are members of a region: its size.
    n_shuffles : int
    generator : numpy.random.Generator
    progress : Progress

    Returns
    -------
    MaxT

    Notes
    -----
    Each candidate's statistic is the largest of four ``sum k r / sd``. The weights ``k`` are its
    kernel, or 1 for its members (a Gaussian in many dimensions reaches far beyond them, which
    dilutes a small region). The residuals ``r`` are the losses or the clipped losses minus the mean
    of their group: the first see more when noise is light, the second when it is heavy-tailed.
    ``sd`` is the exact standard deviation over shuffles. All four are shuffled alike, so the
    maximum pays for having four.
    """
    groups = np.zeros(len(losses), np.int64) if labels is None else labels
    tested = effective_sizes(weights) >= MIN_EFFECTIVE
    z = np.full(len(weights), -np.inf)
    if not tested.any():
        return MaxT(z, np.full(n_shuffles, -np.inf))
    order = np.argsort(groups, kind="stable")
    kernels = np.concatenate([weights[tested], _members(weights[tested], share)])[:, order]
    ends = np.cumsum(np.bincount(groups))
    blocks = [(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True) if b > a]
    residuals, scales = [], []
    for reading in (losses, clip_losses(losses)):
        residual = _centered(reading[order], blocks)
        residuals.append(residual)
        scales.append(_spread(kernels, residual, blocks, np.abs(reading).max()))
    pairs = list(zip(residuals, scales, strict=True))

    def statistic(orders: NDArray[np.int64]) -> NDArray[np.float64]:
        """The largest of the four of each candidate, (k, c)."""
        four = [_ratio(kernels @ residual[orders].T, scale[:, None]) for residual, scale in pairs]
        return np.asarray(np.max(four, axis=0).reshape(2, -1, len(orders)).max(axis=0))

    told = f"Comparing with {n_shuffles} shuffles of held-out losses"
    found = compare_with_shuffles(
        statistic,
        groups[order],
        n_shuffles,
        generator,
        progress=lambda done, _: progress(done, told),
    )
    z[tested] = found.z
    return MaxT(z, found.null)


def _members(weights: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """1 for the ``round(share n)`` heaviest rows of each (n,) row of weights, else 0."""
    out = np.zeros_like(weights)
    count = max(1, round(share * weights.shape[1]))
    heaviest = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    np.put_along_axis(out, heaviest, 1.0, axis=1)
    return np.where(weights > 0, out, 0.0)


def _centered(values: NDArray[np.float64], blocks: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Values minus the mean of their block."""
    out = np.empty_like(values)
    for start, stop in blocks:
        out[start:stop] = values[start:stop] - values[start:stop].mean()
    return out


def _spread(
    kernels: NDArray[np.float64],
    residual: NDArray[np.float64],
    blocks: list[tuple[int, int]],
    largest: float,
) -> NDArray[np.float64]:
    """(k,) standard deviation of ``sum k r`` over all shuffles within blocks; 0 for rounding."""
    variance = np.zeros(len(kernels))
    for start, stop in blocks:
        if stop - start > 1:
            part = kernels[:, start:stop]
            scatter = np.square(part - part.mean(axis=1, keepdims=True)).sum(axis=1)
            variance += scatter * (np.square(residual[start:stop]).sum() / (stop - start - 1))
    spread = np.sqrt(variance)
    floor = _ROUNDING * largest * np.sqrt(np.square(kernels).sum(axis=1))
    return np.where(spread > floor, spread, 0.0)


def _ratio(sums: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums in units of their spread; 0 where nothing varies."""
    ratio: NDArray[np.float64] = sums / np.where(spread > 0, spread, np.inf)
    return ratio
