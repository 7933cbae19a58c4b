"""The rows as the search sees them: in an order of their own, centered, of unit size, few axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.solver.origin import center_and_scale, read_blocks

# Rows farther out than this many median lengths are drawn in to there: one broken row would
# otherwise own the first axis and the covariance.
_FAR = 16.0
# Up to this many numbers the search runs in float64: it costs little and loses nothing.
_EXACT_NUMBERS = 2**18


@dataclass(frozen=True)
class Space:
    """Where the search runs: ``x = (embedding - shift) axes / scale``, far rows drawn in.

    Parameters
    ----------
    points : tensor of shape (n, q)
    shift : float64 array of shape (d,)
    reach : float
        Rows farther from ``shift`` than this are drawn in to there, in the units of the embeddings.
    scale : float
    axes : float64 array of shape (d, q)
        Orthonormal columns: the first principal components, or the axes as they are.
    kept : float
        Share of the variance that the axes keep.
    """

    points: Tensor
    shift: NDArray[np.float64]
    reach: float
    scale: float
    axes: NDArray[np.float64]
    kept: float


def make_space(
    values: NDArray[Any], components: int, device: torch.device, tick: Callable[[], None]
) -> Space:
    """Project the rows on their first principal components, where they have more axes than that."""
    n, d = values.shape
    shift, scale = center_and_scale(values, tick)
    origin = torch.from_numpy(shift).to(device)
    squares = torch.empty(n, dtype=torch.float64)
    for start, block in read_blocks(values, tick):
        apart = block.to(device).double().sub_(origin).div_(scale)
        squares[start : start + len(block)] = apart.square_().sum(1).cpu()
    far = _FAR * float(squares.median().sqrt()) or 1.0
    shrink = (far / squares.sqrt().clamp_min(1e-300)).clamp_max(1.0)
    dtype = torch.float64 if n * min(d, components) <= _EXACT_NUMBERS else torch.float32

    def blocks() -> Any:
        for start, block in read_blocks(values, tick):
            apart = block.to(device).double().sub_(origin).div_(scale)
            apart *= shrink[start : start + len(block), None].to(device)
            yield start, apart.to(dtype)

    axes, kept = torch.eye(d, dtype=torch.float64, device=device), 1.0
    if d > components:
        scatter = torch.zeros((d, d), dtype=torch.float64, device=device)
        for _, block in blocks():
            scatter += block.T @ block
        lengths, vectors = torch.linalg.eigh(scatter)
        axes = vectors[:, -components:].flip(1)
        kept = float(lengths[-components:].clamp_min(0).sum() / lengths.clamp_min(0).sum())
    points = torch.empty((n, axes.shape[1]), dtype=dtype, device=device)
    for start, block in blocks():
        points[start : start + len(block)] = block @ axes.to(dtype) if d > components else block
    return Space(points, shift, far * scale, scale, axes.cpu().numpy(), kept)


def stored_anyhow(losses: NDArray[np.float64], points: Tensor) -> NDArray[np.int64]:
    """Rows by loss, highest first, then by length: the same rows in the same order, however stored.

    Random draws follow this order, so that shuffled input gives the same regions.
    """
    lengths = points.double().square().sum(1).cpu().numpy()
    return np.lexsort((lengths.round(6), -losses)).astype(np.int64)
