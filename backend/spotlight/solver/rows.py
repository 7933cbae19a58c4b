"""Embeddings as the solvers see them: centered, of unit size, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.solver.blocks import Sum, block_sums, rows_per_block
from backend.spotlight.solver.origin import READ_UNITS, center_and_scale, read_blocks
from backend.spotlight.solver.ranks import ALONE, Processes

# A normalised working copy is kept when it needs no more than this; larger data is read anew in
# every pass, so that memory does not grow with the number of rows.
RESIDENT_BYTES = 2**29
# Units per block of the working copy, for matrix products.
BLOCK_UNITS = 16
# Rows whose products are added in single precision before they join a float64 sum. On a GPU a block
# is one product: its own sums are taken in tiles.
_PIECE = 2**11
# For up to this many centers a product is faster with the rows first.
_FEW = 8
# Up to this many numbers the working copy is float64: it costs little and loses nothing.
EXACT_NUMBERS = 2**20
# Normalised coordinates stay within this bound.
_OUTERMOST = 1e15
# On a GPU the working copy may take this share of what is free there: reading anew is slow.
_FREE_SHARE = 0.5


def idle() -> None:
    """The ``tick`` of a caller who does not ask for any."""


class Rows:
    """(n, d) embeddings minus a shift, divided by a scale, and the sums that a search needs.

    Where processes share a search, ``n`` counts the rows of all, ``own`` those of this one, from
    number ``first``, and ``most`` those of the one with most. Sums are over all rows, distances are
    to the own ones. The rows are ``large`` where one process could not keep a copy of all: then
    reading them is what takes the time, else computing is.

    Parameters
    ----------
    values : array of shape (own, d)
        Any float width; may be memory-mapped.
    shift : float64 array of shape (d,)
    scale : float
        Positive.
    dtype : torch.float32 or torch.float64
        Of the products. Sums over rows are float64 either way.
    device : torch.device
    tick : callable
        Called for each block that is read; may raise to stop.
    ranks : Processes
        The processes that share the search.
    """

    def __init__(
        self,
        values: NDArray[Any],
        shift: NDArray[np.float64],
        scale: float,
        dtype: torch.dtype,
        device: torch.device,
        tick: Callable[[], None] = idle,
        ranks: Processes = ALONE,
    ):
        self.own, self.d = values.shape
        self.ranks = ranks
        self.first, self.n, self.most = ranks.place(self.own)
        self.scale, self.dtype, self.device = scale, dtype, device
        # As the products see it: a shift with more digits than theirs would not be subtracted.
        self._values, self._shift = values, torch.from_numpy(shift).to(dtype).double()
        self._tick = tick
        # Rows per block. It does not depend on how many of the rows are here.
        large = self.n * self.d * dtype.itemsize > _resident_bytes(device)
        self.large = bool(ranks.lead(torch.tensor([large], device=device)))
        self.step = rows_per_block(self.d, READ_UNITS if self.large else BLOCK_UNITS)
        self.squares = torch.empty(self.own, dtype=dtype, device=device)
        self._resident: Tensor | None = None
        resident: Tensor | None = None
        if self.own * self.d * dtype.itemsize <= _resident_bytes(device):
            resident = torch.empty((self.own, self.d), dtype=dtype, device=device)
        for start, block in self._read():
            if resident is not None:
                resident[start : start + len(block)] = block
            torch.sum(block.square_(), dim=1, out=self.squares[start : start + len(block)])
        self._resident = resident

    @classmethod
    def normalised(
        cls,
        values: NDArray[Any],
        device: torch.device,
        tick: Callable[[], None] = idle,
        ranks: Processes = ALONE,
    ) -> Rows:
        """The rows around their mean, in units of their root mean square distance from it.

        Both are taken without far outliers: one broken row must not cost all others their digits.
        """
        shift, scale = center_and_scale(values, tick, ranks)
        return cls(values, shift, scale, _dtype_for(values, ranks), device, tick, ranks)

    @classmethod
    def centered(
        cls,
        values: NDArray[Any],
        device: torch.device,
        tick: Callable[[], None] = idle,
        ranks: Processes = ALONE,
    ) -> Rows:
        """The rows around their mean, in their own units."""
        shift, _ = center_and_scale(values, tick, ranks)
        return cls(values, shift, 1.0, _dtype_for(values, ranks), device, tick, ranks)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows of all, in ascending order, in the coordinates of all of them."""
        picked = self._picked(np.sort(rows))
        shift = self._shift.numpy()
        return Rows(picked, shift, self.scale, self.dtype, self.device, self._tick)

    def points(self, rows: NDArray[np.int64]) -> Tensor:
        """(k, d) normalised coordinates of single rows, in the order given."""
        distinct, places = np.unique(rows, return_inverse=True)
        picked = self._picked(distinct)[places].astype(np.float64)
        return self.inward(torch.from_numpy(picked)).to(self.device, self.dtype)

    def _picked(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Values of the rows of those numbers, ascending, wherever they are."""
        low, high = np.searchsorted(rows, [self.first, self.first + self.own])
        return self.ranks.gathered(np.asarray(self._values[rows[low:high] - self.first]))

    def mine(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of one number per row of all, those of the own rows."""
        return values[self.first : self.first + self.own]

    def hold(self, values: NDArray[np.float64]) -> Tensor:
        """Of one number per row of all, those of the own rows, beside the rows."""
        return torch.from_numpy(self.mine(values)).to(self.device, self.dtype)

    def all_squares(self) -> NDArray[Any]:
        """Squared distance of every row of all from the origin."""
        return self.ranks.gathered(self.squares.cpu().numpy())

    def inward(self, points: Tensor) -> Tensor:
        """Normalised coordinates of float64 points given in the caller's."""
        return (points - self._shift) / self.scale

    def outward(self, points: Tensor) -> NDArray[np.float64]:
        """Normalised points in the caller's coordinates, as float64."""
        return (points.detach().cpu().double() * self.scale + self._shift).numpy()

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and (b, d) values of each block, together all own rows once."""
        if self._resident is None:
            yield from self._read()
        else:
            for start in range(0, self.own, self.step):
                yield start, self._resident[start : start + self.step]

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
        """(k, own) squared distances to (k, d) centers, each axis weighted by (k, d) scales."""
        out = torch.empty((len(centers), self.own), dtype=self.dtype, device=self.device)
        fill = self._measuring(centers, scales)
        for start, block in self.blocks():
            fill(block, start, out)
        return out

    def distances_and_sums(
        self, centers: Tensor, weights_of: Callable[[Tensor, slice], Tensor], width: int
    ) -> tuple[Tensor, Tensor]:
        """Distances to (k, d) centers, and sums under weights that they decide, in one reading.

        Parameters
        ----------
        centers : float64 tensor of shape (k, d)
        weights_of : callable
            Makes (width, b) weights of some own rows from their (k, b) distances and their places.
        width : int

        Returns
        -------
        (tensor of shape (k, own), float64 tensor of shape (width, d + 1))
            Squared distances; sums over the rows of all, the last column that of the weights.
        """
        out = torch.empty((len(centers), self.own), dtype=self.dtype, device=self.device)
        fill = self._measuring(centers)
        total = Sum(torch.zeros((width, self.d + 1), dtype=torch.float64, device=self.device))
        for start, block in self.blocks():
            added = torch.zeros((width, self.d + 1), dtype=torch.float64, device=self.device)
            for low, piece in self._pieces(block):
                part = slice(start + low, start + low + len(piece))
                fill(piece, part.start, out)
                weights = weights_of(out[:, part], part)
                added[:, :-1] += weights @ piece
                added[:, -1] += weights.sum(1, dtype=torch.float64)
            total.add(added)
        return out, self.ranks.merged(total)

    def _measuring(
        self, centers: Tensor, scales: Tensor | None = None
    ) -> Callable[[Tensor, int, Tensor], None]:
        """What fills in the distances of some rows, from the number of the first one on."""
        pulled = centers if scales is None else centers * scales
        lengths = (centers * pulled).sum(1, keepdim=True).to(self.dtype)
        pulled = -2.0 * pulled.to(self.dtype)
        if len(centers) == 1:  # twice over, in memory of its own: one column alone takes longer
            pulled = pulled.repeat(2, 1)
        weights = None if scales is None else scales.to(self.dtype)

        def fill(block: Tensor, start: int, out: Tensor) -> None:
            stop = start + len(block)
            own = self.squares[None, start:stop] if weights is None else weights @ block.square().T
            if len(centers) <= _FEW:
                part = (block @ pulled.T).T[: len(centers)] + own
            else:
                part = torch.addmm(own, pulled, block.T)
            torch.clamp_min(part.add_(lengths), 0.0, out=out[:, start:stop])

        return fill

    def _pieces(self, block: Tensor) -> Iterator[tuple[int, Tensor]]:
        """First place and rows of each part of a block whose products are added at once."""
        step = len(block) if self.device.type == "cuda" else _PIECE
        for low in range(0, len(block), step):
            yield low, block[low : low + step]

    def turned_distances(self, centers: Tensor, roots: Tensor) -> Tensor:
        """(k, own) squared lengths of ``(x - center) root`` for (k, d, d) roots."""
        out = torch.empty((len(centers), self.own), dtype=self.dtype, device=self.device)
        centers, roots = centers.to(self.dtype), roots.to(self.dtype)
        for start, block in self.blocks():
            for region, (center, root) in enumerate(zip(centers, roots, strict=True)):
                turned = (block - center) @ root
                torch.sum(turned.square_(), dim=1, out=out[region, start : start + len(block)])
        return out

    def pull(self, weights: Tensor, *, squared: bool = False) -> Tensor:
        """(k, d) float64 sums of the rows, or of their squares, under (k, own) weights."""
        return self.ranks.merged(self._pulled(weights, squared))

    def moments(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(k,) sums of (k, own) weights and (k, d) sums of the rows under them, float64."""
        both = self.ranks.merged(self._pulled(weights, False, mass=True))
        return both[:, -1], both[:, :-1]

    @property
    def block(self) -> int:
        """Rows that sums of one number each are taken over at a time; 0 for all at once.

        On a GPU every block would wait for its turn; there the last digit is left to the sharing.
        """
        return 0 if self.device.type == "cuda" else self.step

    def added(self, numbers: Tensor) -> Tensor:
        """(k,) float64 sums of (k, own) numbers."""
        return self.ranks.merged(block_sums(numbers, self.step))

    def _pulled(self, weights: Tensor, squared: bool, mass: bool = False) -> Sum:
        blank = (len(weights), self.d + mass)
        total = Sum(torch.zeros(blank, dtype=torch.float64, device=self.device))
        for start, block in self.blocks():
            own = weights[:, start : start + len(block)]
            added = torch.zeros(blank, dtype=torch.float64, device=self.device)
            for low, piece in self._pieces(block):
                part = own[:, low : low + len(piece)]
                added[:, : self.d] += part @ (piece.square() if squared else piece)
            if mass:
                added[:, -1] = own.sum(1, dtype=torch.float64)
            total.add(added)
        return total

    def scatter(self, weights: Tensor) -> Tensor:
        """(k, d, d) float64 sums of ``x x^T`` under (k, own) weights."""
        shape = (len(weights), self.d, self.d)
        total = Sum(torch.zeros(shape, dtype=torch.float64, device=self.device))
        for start, block in self.blocks():
            own = weights[:, start : start + len(block)]
            total.add(torch.stack([block.T @ (block * part[:, None]) for part in own]).double())
        return self.ranks.merged(total)


def _dtype_for(values: NDArray[Any], ranks: Processes) -> torch.dtype:
    own, d = values.shape
    _, n, _ = ranks.place(own)
    return torch.float64 if n * d <= EXACT_NUMBERS else torch.float32


def _resident_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return max(RESIDENT_BYTES, int(_FREE_SHARE * torch.cuda.mem_get_info(device)[0]))
    return RESIDENT_BYTES
