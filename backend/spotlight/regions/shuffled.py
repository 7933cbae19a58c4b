"""How often would shuffled losses look as good? Max-T over all candidates, on rows that judge them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.core.max_t import MaxT
from backend.spotlight.regions.pool import Judged
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import FIRST, SECOND, Ground


def claim(
    ground: Ground,
    pool: list[Judged],
    losses: NDArray[np.float64],
    strata: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """z and p of every candidate, in the order of the pool.

    A candidate found on one half has members on the other, which no loss there chose. Its ``z`` is
    the sum of their residuals, ``losses`` minus the mean of their stratum, over its deviation. Given
    the half that found it, shuffling the residuals within strata changes nothing where no slice
    inside any stratum exists; so the largest
    ``z`` of all candidates under each shuffle is what the observed one is compared with (Westfall
    and Young 1993). ``p = 2 (1 + b) / (1 + B)`` pays for looking in both directions.

    Rows that were set aside before the search are neither summed nor shuffled. Rows of one group
    count as one: their mean residual is shuffled among groups.
    """
    zs: list[NDArray[np.float64]] = [np.full(len(judged), -np.inf) for judged in pool]
    ps = [np.ones(len(judged)) for judged in pool]
    for turn, half in enumerate((FIRST, SECOND)):
        numbers = [at for at, judged in enumerate(pool) if judged.half == half]
        other = np.flatnonzero((ground.side == 1 - half) & ~ground.known)
        if not numbers or len(other) < 2:
            continue
        cells = _Cells(ground, other, losses, strata, groups, settings.turned, generator)
        shuffled = cells.shuffled(settings.shuffles, generator)
        highest = torch.full((settings.shuffles,), -torch.inf, dtype=torch.float64)
        for done, at in enumerate(numbers):
            tick((turn + done / len(numbers)) / 2)
            z, null = cells.compare(pool[at], shuffled)
            zs[at] = z
            highest = torch.maximum(highest, null)
        for at in numbers:
            p = MaxT(zs[at], highest.numpy()).p
            ps[at] = np.minimum(1.0, 2.0 * np.nan_to_num(p, nan=1.0))
    return zs, ps


class _Cells:
    """Judging rows with their residuals; rows of one group and stratum make one cell."""

    def __init__(
        self,
        ground: Ground,
        rows: NDArray[np.int64],
        losses: NDArray[np.float64],
        strata: NDArray[np.int64],
        groups: NDArray[np.int64] | None,
        turned: int,
        generator: np.random.Generator,
    ):
        self.turned = turned
        self.device, self.dtype = ground.points.device, ground.points.dtype
        self.place = np.full(len(ground.side), -1, np.int64)
        codes = strata[rows]
        if groups is None:
            self.place[rows] = np.arange(len(rows))
            self.count, cell_codes, weight = len(rows), codes, np.ones(len(rows))
        else:
            pairs = groups[rows] * (int(strata.max()) + 1) + codes
            _, firsts, inverse = np.unique(pairs, return_index=True, return_inverse=True)
            self.place[rows] = inverse
            self.count, cell_codes = len(firsts), codes[firsts]
            weight = np.bincount(inverse).astype(float)
        sums = np.bincount(self.place[rows], weights=losses[rows], minlength=self.count)
        means = np.bincount(codes, weights=losses[rows]) / np.maximum(np.bincount(codes), 1)
        # Cells lie stratum by stratum, so that each stratum is shuffled where it lies.
        order = np.argsort(cell_codes, kind="stable")
        ends = np.cumsum(np.bincount(cell_codes))
        self.blocks = [(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True) if b > a]
        for start, stop in self.blocks:
            if stop - start > turned:
                generator.shuffle(order[start:stop])
        position = np.empty(self.count + 1, np.int64)
        position[order], position[-1] = np.arange(self.count), -1
        self.place = position[self.place]
        self.residual = (sums / weight - means[cell_codes])[order]
        # Each stratum has its own spread; a cell alone in its stratum cannot be shuffled.
        spread = np.zeros(self.count)
        for start, stop in self.blocks:
            part = self.residual[start:stop] - self.residual[start:stop].mean()
            self.residual[start:stop] = part
            spread[start:stop] = np.square(part).sum() / max(1, stop - start - 1)
        self.variance = torch.from_numpy(spread).to(self.device, self.dtype)

    def shuffled(self, count: int, generator: np.random.Generator) -> Tensor:
        """(cells, 1 + count) residuals as they are, and shuffled within strata.

        A large stratum lies in one random order, which is turned like a wheel by random steps:
        turns are a group, so p is as exact as with orders drawn one by one (Hemerik and Goeman,
        Exact testing with random permutations, TEST 2018), at a small part of the cost.
        """
        out = np.empty((1 + count, self.count), np.float32)
        out[:] = self.residual
        for line in out[1:]:
            for start, stop in self.blocks:
                if stop - start <= self.turned:
                    generator.shuffle(line[start:stop])
                else:
                    turn = int(generator.integers(stop - start))
                    line[start : start + turn] = out[0, stop - turn : stop]
                    line[start + turn : stop] = out[0, start : stop - turn]
        return torch.from_numpy(out).to(self.device, self.dtype).T.contiguous()

    def compare(self, judged: Judged, shuffled: Tensor) -> tuple[NDArray[np.float64], Tensor]:
        """(k,) z, and the largest z of each shuffle."""
        device = shuffled.device
        cells, weights, ends = [], [], [0]
        for rows in judged.held_out:
            own, counts = np.unique(self.place[rows], return_counts=True)
            there = own >= 0
            cells.append(own[there])
            weights.append(counts[there])
            ends.append(ends[-1] + int(there.sum()))
        at = torch.from_numpy(np.concatenate(cells)).to(device)
        weight = torch.from_numpy(np.concatenate(weights)).to(device, shuffled.dtype)
        begins = torch.tensor(ends[:-1], device=device)
        bag = torch.nn.functional.embedding_bag
        sums = bag(at, shuffled, begins, mode="sum", per_sample_weights=weight)
        spread = bag(at, self.variance[:, None], begins, mode="sum", per_sample_weights=weight**2)
        z = (sums / spread.sqrt().clamp_min(1e-12)).double().cpu()
        z[torch.from_numpy(judged.scores == -np.inf)] = -torch.inf
        return z[:, 0].numpy(), z[:, 1:].amax(0)
