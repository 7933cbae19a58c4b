"""The rows as the search sees them: centered, of unit size, few axes; and beside the model's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.solver.origin import center_and_scale, copied, read_blocks

# Rows farther out than this many median lengths are drawn in to there: one broken row would
# otherwise own the first axis and the covariance.
_FAR = 16.0
# Rows here and there in the embeddings that are read at once.
_ROWS = 2**14
# Up to this many numbers the search runs in float64: it costs little and loses nothing.
_EXACT_NUMBERS = 2**18
# Ridge of the regression of the outputs on the embedding, in mean variances; directions that move
# the outputs less than this share of the strongest count as none.
_ANSWER_RIDGE, _ANSWER_LEAST = 1e-3, 1e-2


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
    """

    points: Tensor
    shift: NDArray[np.float64]
    reach: float
    scale: float
    axes: NDArray[np.float64]


@dataclass(frozen=True)
class ReadyRows:
    """The embeddings in blocks, centered, scaled and drawn in.

    Parameters
    ----------
    values : array of shape (n, d)
    shift, scale : float64 array of shape (d,), float
    lengths : float64 tensor of shape (n,)
        Squared, of the scaled rows before far ones are drawn in.
    shrink : float64 tensor of shape (n,)
        What each row is multiplied with, 1 but for far ones.
    reach : float
        How far a row may be from ``shift``, in the units of the embeddings.
    dtype : torch.dtype
    device : torch.device
    tick : callable
        Called for each block.
    """

    values: NDArray[Any]
    shift: NDArray[np.float64]
    scale: float
    lengths: Tensor
    shrink: Tensor
    reach: float
    dtype: torch.dtype
    device: torch.device
    tick: Callable[[], None]

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and (b, d) numbers of each block."""
        for start, block in read_blocks(self.values, self.tick):
            yield start, self._ready(block, self.shrink[start : start + len(block)])

    def taken(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
        """Place of the first and (b, d) numbers of these (k,) rows, ascending, in blocks."""
        for start in range(0, len(rows), _ROWS):
            self.tick()
            some = rows[start : start + _ROWS]
            yield start, self._ready(copied(self.values[some]), self.shrink[torch.from_numpy(some)])

    def _ready(self, block: Tensor, shrink: Tensor) -> Tensor:
        wide = torch.float64 if block.element_size() > 4 else self.dtype
        apart = block.to(self.device, wide)
        apart.sub_(torch.from_numpy(self.shift).to(apart)).div_(self.scale)
        apart.mul_(shrink[:, None].to(apart))
        return apart.to(self.dtype)


def read_rows(
    values: NDArray[Any], components: int, device: torch.device, tick: Callable[[], None]
) -> ReadyRows:
    """The embeddings made ready to be read."""
    n, d = values.shape
    shift, scale = center_and_scale(values, tick)
    if values.dtype.itemsize <= 4:  # then differences of float32 lose nothing
        shift = shift.astype(np.float32).astype(np.float64)
    origin = torch.from_numpy(shift).to(device)
    squares = torch.empty(n, dtype=torch.float64)
    for start, block in read_blocks(values, tick):
        apart = block.to(device).double().sub_(origin).div_(scale)
        squares[start : start + len(block)] = apart.square_().sum(1).cpu()
    far = _FAR * float(squares.median().sqrt()) or 1.0
    shrink = (far / squares.sqrt().clamp_min(1e-300)).clamp_max(1.0)
    dtype = torch.float64 if n * min(d, components) <= _EXACT_NUMBERS else torch.float32
    return ReadyRows(values, shift, scale, squares, shrink, far * scale, dtype, device, tick)


def make_spaces(
    rows: ReadyRows,
    order: NDArray[np.int64],
    components: int,
    telling: NDArray[np.int64],
    answers: NDArray[np.float64] | None,
) -> tuple[Space, Space | None]:
    """The first principal components, and those of what is left beside the model's own answer.

    Parameters
    ----------
    rows : ReadyRows
    order : int array of shape (n,)
        Rows of the embeddings in the order in which the points of the spaces are wanted.
    components : int
        Axes that are kept, where there are more.
    telling : int array of shape (k,)
        Rows that the axes are told by, ascending.
    answers : float64 array of shape (k, c), optional
        What the model gave out there, centered; rows of zeros are not looked at. The directions of the
        embedding that tell it (a ridge regression) are projected away in the second space: what is
        found there is about content rather than about the answer.

    Returns
    -------
    tuple of Space
        The second is None without answers, or where nothing would be left.
    """
    n, d = rows.values.shape
    axes: Tensor = torch.eye(d, dtype=torch.float64, device=rows.device)
    others: Tensor | None = None
    if d > components or answers is not None:
        scatter = torch.zeros((d, d), dtype=torch.float64, device=rows.device)
        toward = None
        if answers is not None:
            toward = torch.zeros((d, answers.shape[1]), dtype=torch.float64, device=rows.device)
        for start, block in rows.taken(telling):
            scatter += block.T @ block
            if answers is not None and toward is not None:
                told = torch.from_numpy(answers[start : start + len(block)]).to(block)
                toward += block.T @ told
        if d > components:
            axes = _leading(scatter, components)
        if toward is not None:
            others = _beside(scatter, toward, components)
    widths = [axes.shape[1]] + ([] if others is None else [others.shape[1]])
    points = [torch.empty((n, q), dtype=rows.dtype, device=rows.device) for q in widths]
    together = axes if others is None else torch.cat([axes, others], dim=1)
    plain = d <= components and others is None
    places = torch.empty(n, dtype=torch.int64, device=rows.device)
    places[torch.from_numpy(order).to(rows.device)] = torch.arange(n, device=rows.device)
    for start, block in rows.blocks():
        placed = block if plain else block @ together.to(block.dtype)
        for part, out in zip(placed.split(widths, dim=1), points, strict=True):
            out.index_copy_(0, places[start : start + len(block)], part)
    spaces = [
        Space(part, rows.shift, rows.reach, rows.scale, along.cpu().numpy())
        for part, along in zip(points, [axes] if others is None else [axes, others], strict=True)
    ]
    return spaces[0], spaces[1] if len(spaces) > 1 else None


def _leading(scatter: Tensor, count: int) -> Tensor:
    """(d, count) axes of largest variance, the first first."""
    return torch.linalg.eigh(scatter)[1][:, -count:].flip(1)


def _beside(scatter: Tensor, toward: Tensor, components: int) -> Tensor | None:
    """(d, q) leading axes of what is left without the directions that tell the outputs."""
    d = len(scatter)
    level = _ANSWER_RIDGE * scatter.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(d, dtype=torch.float64, device=scatter.device)
    slopes = torch.linalg.solve(scatter + level * eye, toward)
    left, strength, _ = torch.linalg.svd(slopes, full_matrices=False)
    told = left[:, strength > _ANSWER_LEAST * strength[0]][:, : d // 2]
    if not told.shape[1] or float(strength[0]) == 0.0:
        return None
    rest = eye - told @ told.T
    return _leading(rest @ scatter @ rest, min(components, d - told.shape[1]))


def spread_over(order: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Every row, or at least ``most`` of more, evenly along the order; ascending."""
    return np.sort(order[:: max(1, len(order) // most)])


def stored_anyhow(rows: ReadyRows) -> NDArray[np.int64]:
    """Rows by their length: the same rows in the same order, however stored.

    Draws follow this order, so that shuffled input gives the same regions. No loss has a part in it.
    """
    return np.argsort(rows.lengths.numpy().round(10), kind="stable").astype(np.int64)
