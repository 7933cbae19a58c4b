"""Embeddings as the solvers see them: centered, of unit size, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.core.errors import InputError

# A normalised working copy is kept when it needs no more than this; larger data is read anew in
# every pass, so that memory does not grow with the number of rows.
RESIDENT_BYTES = 2**29
# Numbers per block: of the working copy, for matrix products; and of what is read anew and changed
# several times on the way, which should stay in the cache.
BLOCK, READ_BLOCK = 2**22, 2**19
# For up to this many centers a product is faster with the rows first.
_FEW = 8
# Up to this many numbers the working copy is float64: it costs little and loses nothing.
EXACT_NUMBERS = 2**20
# Rows farther from the mean than this many median distances do not help to place the origin. A
# monstrous outlier costs the first mean all its digits, which a few more rounds bring back.
_FAR, _ROUNDS = 16.0, 6
_OUTERMOST = 1e15
# On a GPU the working copy may take this share of what is free there: reading anew is slow.
_FREE_SHARE = 0.5


def idle() -> None:
    """The ``tick`` of a caller who does not ask for any."""


class Rows:
    """(n, d) embeddings minus a shift, divided by a scale, and the sums that a search needs.

    Parameters
    ----------
    values : array of shape (n, d)
        Any float width; may be memory-mapped.
    shift : float64 array of shape (d,)
    scale : float
        Positive.
    dtype : torch.float32 or torch.float64
        Of the products. Sums over rows are float64 either way.
    device : torch.device
    tick : callable
        Called for each block that is read; may raise to stop.
    """

    def __init__(
        self,
        values: NDArray[Any],
        shift: NDArray[np.float64],
        scale: float,
        dtype: torch.dtype,
        device: torch.device,
        tick: Callable[[], None] = idle,
    ):
        self.n, self.d = values.shape
        self.scale, self.dtype, self.device = scale, dtype, device
        # As the products see it: a shift with more digits than theirs would not be subtracted.
        self._values, self._shift = values, torch.from_numpy(shift).to(dtype).double()
        self._tick = tick
        self._resident: Tensor | None = None
        if values.size * dtype.itemsize <= _resident_bytes(device):
            resident = torch.empty((self.n, self.d), dtype=dtype, device=device)
            for start, block in self._read():
                resident[start : start + len(block)] = block
            self._resident = resident
        self.squares = torch.empty(self.n, dtype=dtype, device=device)
        for start, block in self.blocks():
            torch.sum(block.square(), dim=1, out=self.squares[start : start + len(block)])

    @classmethod
    def normalised(
        cls, values: NDArray[Any], device: torch.device, tick: Callable[[], None] = idle
    ) -> Rows:
        """The rows around their mean, in units of their root mean square distance from it.

        Both are taken without far outliers: one broken row must not cost all others their digits.
        """
        shift, scale = center_and_scale(values, tick)
        return cls(values, shift, scale, _dtype_for(values), device, tick)

    @classmethod
    def centered(
        cls, values: NDArray[Any], device: torch.device, tick: Callable[[], None] = idle
    ) -> Rows:
        """The rows around their mean, in their own units."""
        shift, _ = center_and_scale(values, tick)
        return cls(values, shift, 1.0, _dtype_for(values), device, tick)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, in ascending order, in the coordinates of all of them."""
        picked = np.asarray(self._values[np.sort(rows)])
        shift = self._shift.numpy()
        return Rows(picked, shift, self.scale, self.dtype, self.device, self._tick)

    def points(self, rows: NDArray[np.int64]) -> Tensor:
        """(k, d) normalised coordinates of single rows, in the order given."""
        picked = np.array(self._values[rows], dtype=np.float64)
        return self.inward(torch.from_numpy(picked)).to(self.device, self.dtype)

    def hold(self, values: NDArray[np.float64]) -> Tensor:
        """One number per row, beside the rows."""
        return torch.from_numpy(values).to(self.device, self.dtype)

    def inward(self, points: Tensor) -> Tensor:
        """Normalised coordinates of float64 points given in the caller's."""
        return (points - self._shift) / self.scale

    def outward(self, points: Tensor) -> NDArray[np.float64]:
        """Normalised points in the caller's coordinates, as float64."""
        return (points.detach().cpu().double() * self.scale + self._shift).numpy()

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and (b, d) values of each block, together all rows once."""
        if self._resident is None:
            yield from self._read()
        else:
            step = max(1, BLOCK // self.d)
            for start in range(0, self.n, step):
                yield start, self._resident[start : start + step]

    def _read(self) -> Iterator[tuple[int, Tensor]]:
        shift = self._shift.to(self.device, self.dtype)
        for start, raw in read_blocks(self._values, self._tick):
            block = raw.to(self.device)
            if raw.dtype == torch.float64:
                block = block.sub_(self._shift.to(self.device))
            else:
                block = block.to(self.dtype).sub_(shift)
            # Beyond the bound, squares of outliers would overflow; so far out they weigh nothing.
            block = block.mul_(1.0 / self.scale).clamp_(-_OUTERMOST, _OUTERMOST)
            yield start, block.to(self.dtype)

    def distances(self, centers: Tensor, scales: Tensor | None = None) -> Tensor:
        """(k, n) squared distances to (k, d) centers, each axis weighted by (k, d) scales."""
        out = torch.empty((len(centers), self.n), dtype=self.dtype, device=self.device)
        pulled = centers if scales is None else centers * scales
        lengths = (centers * pulled).sum(1, keepdim=True).to(self.dtype)
        pulled = -2.0 * pulled.to(self.dtype)
        weights = None if scales is None else scales.to(self.dtype)
        for start, block in self.blocks():
            stop = start + len(block)
            own = self.squares[None, start:stop] if weights is None else weights @ block.square().T
            if len(centers) <= _FEW:
                part = (block @ pulled.T).T + own
            else:
                part = torch.addmm(own, pulled, block.T)
            torch.clamp_min(part.add_(lengths), 0.0, out=out[:, start:stop])
        return out

    def turned_distances(self, centers: Tensor, roots: Tensor) -> Tensor:
        """(k, n) squared lengths of ``(x - center) root`` for (k, d, d) roots."""
        out = torch.empty((len(centers), self.n), dtype=self.dtype, device=self.device)
        centers, roots = centers.to(self.dtype), roots.to(self.dtype)
        for start, block in self.blocks():
            for region, (center, root) in enumerate(zip(centers, roots, strict=True)):
                turned = (block - center) @ root
                torch.sum(turned.square_(), dim=1, out=out[region, start : start + len(block)])
        return out

    def pull(self, weights: Tensor, *, squared: bool = False) -> Tensor:
        """(k, d) float64 sums of the rows, or of their squares, under (k, n) weights."""
        total = torch.zeros((len(weights), self.d), dtype=torch.float64, device=self.device)
        for start, block in self.blocks():
            part = weights[:, start : start + len(block)]
            total += part @ (block.square() if squared else block)
        return total

    def scatter(self, weights: Tensor) -> Tensor:
        """(k, d, d) float64 sums of ``x x^T`` under (k, n) weights."""
        shape = (len(weights), self.d, self.d)
        total = torch.zeros(shape, dtype=torch.float64, device=self.device)
        for start, block in self.blocks():
            for region, part in enumerate(weights[:, start : start + len(block)]):
                total[region] += block.T @ (block * part[:, None])
        return total


def _dtype_for(values: NDArray[Any]) -> torch.dtype:
    return torch.float64 if values.size <= EXACT_NUMBERS else torch.float32


def _resident_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return max(RESIDENT_BYTES, int(_FREE_SHARE * torch.cuda.mem_get_info(device)[0]))
    return RESIDENT_BYTES


def read_blocks(values: NDArray[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Tensor]]:
    """First row and a copy of each block of rows, in their own float width."""
    step = max(1, READ_BLOCK // values.shape[1])
    for start in range(0, len(values), step):
        tick()
        block = np.array(values[start : start + step])
        if block.dtype.itemsize > 8:  # torch has no longer floats
            block = block.astype(np.float64)
        yield start, torch.from_numpy(block)


def center_and_scale(
    values: NDArray[Any], tick: Callable[[], None]
) -> tuple[NDArray[np.float64], float]:
    """Mean of the rows, and root mean square distance from it, without far outliers."""
    n, d = values.shape
    # The first row as a provisional origin: sums of differences keep their digits.
    mean = torch.from_numpy(np.array(values[0], dtype=np.float64))
    near = torch.ones(n, dtype=torch.float64)
    squares = torch.empty(n, dtype=torch.float64)
    for _ in range(_ROUNDS):
        shift = torch.zeros(d, dtype=torch.float64)
        for start, block in read_blocks(values, tick):
            shift += near[start : start + len(block)] @ block.double().sub_(mean)
        shift /= near.sum()
        mean = mean + shift
        for start, block in read_blocks(values, tick):
            apart = block.double().sub_(mean)
            squares[start : start + len(block)] = apart.square_().sum(1)
        inside = (squares <= _FAR**2 * squares.median()).double()
        # The mean of the first round is as good as any, unless outliers had a part in it.
        if bool((near == inside).all()) and (_settled(shift, near, squares) or bool(near.all())):
            break
        near = inside
    scale = float((near @ squares / near.sum()).sqrt())
    if not np.isfinite(scale):
        raise InputError(
            "embeddings are too large: their squared distances overflow. Rescale them."
        )
    return mean.numpy(), scale if scale > 0 else 1.0


def _settled(shift: Tensor, near: Tensor, squares: Tensor) -> bool:
    """Whether the mean moved by little of the spread around it."""
    return float(shift @ shift) <= 1e-6 * float(near @ squares / near.sum())
