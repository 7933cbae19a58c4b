"""Embeddings as the solvers see them: centered, of unit size, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A normalised working copy is kept when it needs no more than this; larger data is read anew in
# every pass, so that memory does not grow with the number of rows.
RESIDENT_BYTES = 2**29
# Numbers per block of a streamed pass: large enough for a matrix product, small beside memory.
BLOCK_NUMBERS = 2**22
# Up to this many numbers the working copy is float64: it costs little and loses nothing.
EXACT_NUMBERS = 2**20
# Rows farther from the mean than this many median distances do not help to place the origin.
_FAR = 16.0


class Rows:
    """(n, d) embeddings minus a shift, divided by a scale, with the two products a search needs.

    The shift is the mean and the scale the root mean square distance from it, both over the rows
    that are not far outliers: one broken row must not cost all others their digits.

    Parameters
    ----------
    values : array of shape (n, d)
        Any float width; may be memory-mapped.
    shift : float64 array of shape (d,)
    scale : float
        Positive.
    device : torch.device
    """

    def __init__(
        self,
        values: NDArray[Any],
        shift: NDArray[np.float64],
        scale: float,
        device: torch.device,
        *,
        resident_bytes: int = RESIDENT_BYTES,
    ):
        self.n, self.d = values.shape
        self.shift, self.scale, self.device = shift, scale, device
        self.dtype = torch.float64 if values.size <= EXACT_NUMBERS else torch.float32
        self._values = values
        self._shift = torch.from_numpy(shift)
        self._resident: Tensor | None = None
        if values.size * self.dtype.itemsize <= resident_bytes:
            self._resident = torch.empty((self.n, self.d), dtype=self.dtype, device=device)
            for start, block in self._read():
                self._resident[start : start + len(block)] = block
        self.squares = torch.empty(self.n, dtype=self.dtype, device=device)
        for start, block in self.blocks():
            torch.sum(block * block, dim=1, out=self.squares[start : start + len(block)])

    @classmethod
    def normalised(cls, values: NDArray[Any], device: torch.device) -> Rows:
        """The rows with shift and scale taken from themselves."""
        shift, scale = center_and_scale(values)
        return cls(values, shift, scale, device)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, in the coordinates of all of them."""
        return Rows(np.asarray(self._values[np.sort(rows)]), self.shift, self.scale, self.device)

    def points(self, rows: NDArray[np.int64]) -> Tensor:
        """(k, d) normalised coordinates of single rows, in the order given."""
        picked = np.array(self._values[rows], dtype=np.float64)
        return self.inward(torch.from_numpy(picked)).to(self.device, self.dtype)

    def inward(self, points: Tensor) -> Tensor:
        """Normalised coordinates of float64 points given in the caller's."""
        return (points - self._shift) / self.scale

    def outward(self, points: Tensor) -> NDArray[np.float64]:
        """Normalised points in the caller's coordinates, as float64."""
        return (points.detach().cpu().double() * self.scale + self._shift).numpy()

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """First row and (b, d) values of each block, together all rows once."""
        if self._resident is not None:
            yield 0, self._resident
        else:
            yield from self._read()

    def _read(self) -> Iterator[tuple[int, Tensor]]:
        step = max(1, BLOCK_NUMBERS // self.d)
        shift = self._shift.to(self.device, self.dtype)
        exact = self.dtype == torch.float64 or self._values.dtype.itemsize > 4
        for start in range(0, self.n, step):
            raw = np.array(self._values[start : start + step])
            block = torch.from_numpy(raw).to(self.device)
            if exact:
                yield start, self.inward(block.double()).to(self.dtype)
            else:
                yield start, block.to(self.dtype).sub_(shift).div_(self.scale)

    def distances(self, centers: Tensor) -> Tensor:
        """(k, n) squared distances of all rows to (k, d) centers."""
        out = torch.empty((len(centers), self.n), dtype=self.dtype, device=self.device)
        lengths = (centers * centers).sum(1, keepdim=True)
        for start, block in self.blocks():
            stop = start + len(block)
            part = torch.addmm(self.squares[None, start:stop], centers, block.T, alpha=-2.0)
            torch.clamp_min(part.add_(lengths), 0.0, out=out[:, start:stop])
        return out

    def pull(self, weights: Tensor) -> Tensor:
        """(k, d) sums of the rows under (k, n) weights."""
        total = torch.zeros((len(weights), self.d), dtype=torch.float64, device=self.device)
        for start, block in self.blocks():
            total += weights[:, start : start + len(block)] @ block
        return total.to(self.dtype)


def center_and_scale(values: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Mean of the rows, and root mean square distance from it, without far outliers."""
    n, d = values.shape
    step = max(1, BLOCK_NUMBERS // d)
    starts = range(0, n, step)
    # The first row as a provisional origin: sums of differences keep their digits.
    origin = np.asarray(values[0], dtype=np.float64)
    total = np.zeros(d)
    for start in starts:
        total += (np.asarray(values[start : start + step], dtype=np.float64) - origin).sum(0)
    mean = origin + total / n
    for _ in range(2):
        distances = np.empty(n)
        for start in starts:
            block = np.asarray(values[start : start + step], dtype=np.float64) - mean
            distances[start : start + step] = np.sqrt(np.einsum("ij,ij->i", block, block))
        near = distances <= _FAR * np.median(distances)
        if near.all():
            break
        total = np.zeros(d)
        for start in starts:
            block = np.asarray(values[start : start + step], dtype=np.float64) - mean
            total += near[start : start + step] @ block
        mean = mean + total / near.sum()
    scale = float(np.sqrt(np.mean(np.square(distances[near]))))
    return mean, scale if scale > 0 else 1.0
