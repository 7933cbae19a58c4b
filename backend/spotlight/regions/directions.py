"""Linear directions along which the loss grows: failures that are a half-space, which no ball can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.regions.pool import Judged, JudgedLosses, base_of
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.space import ReadyRows
from backend.spotlight.regions.views import FIRST, SECOND, Ground

# Rows that are read at once.
_ROWS = 2**14
# Fewer rows than this tell no direction.
_FEWEST = 20


@dataclass(frozen=True)
class JudgedDirections(Judged):
    """Directions of one scope that one half found, each in several sizes.

    Parameters
    ----------
    vectors : float64 tensor of shape (v, d)
        In the units of ``ReadyRows``.
    which : int array of shape (k,)
        The vector of each candidate.
    ridges : tuple of v float
    levels : tensor of shape (v, m)
        Of the rows of the scope.
    """

    vectors: Tensor
    which: NDArray[np.int64]
    ridges: tuple[float, ...]
    levels: Tensor

    def rank(self, ground: Ground, ats: NDArray[np.int64], settings: Settings) -> Tensor:
        return self.levels[torch.from_numpy(self.which[ats]).to(self.levels.device)]


def find_directions(
    ground: Ground,
    rows: ReadyRows,
    order: NDArray[np.int64],
    scopes: list[Scope],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> list[Judged]:
    """A ridge regression of the loss on all dimensions, in each scope and half, judged on the other.

    Parameters
    ----------
    ground : Ground
    rows : ReadyRows
        The embeddings in the caller's order.
    order : int array of shape (n,)
        The caller's rows in the order of the ground.
    scopes, settings, generator, tick
        As elsewhere.

    Notes
    -----
    Rows are read once for the fits, label by label, and once in blocks for the levels of all.
    """
    found: list[tuple[Scope, int, Tensor]] = []
    for number, scope in enumerate(scopes):
        tick(0.7 * number / len(scopes))
        for half in (FIRST, SECOND):
            vectors = fit_directions(ground, rows, order, scope, (half,), settings, generator)
            if vectors is not None:
                found.append((scope, half, vectors))
    if not found:
        return []
    levels = _levels(rows, order, found, len(ground.side))
    pool: list[Judged] = []
    for number, ((scope, half, vectors), own) in enumerate(zip(found, levels, strict=True)):
        tick(0.7 + 0.3 * number / len(found))
        pool.append(_judge(ground, scope, half, vectors, own, settings))
    return pool


def fit_directions(
    ground: Ground,
    rows: ReadyRows,
    order: NDArray[np.int64],
    scope: Scope,
    halves: tuple[int, ...],
    settings: Settings,
    generator: np.random.Generator,
    ridges: tuple[float, ...] | None = None,
) -> Tensor | None:
    """(v, d) slopes of the loss in the scope on these halves, one per ridge, of unit length.

    None with too few rows, or where all losses are equal.
    """
    mine = np.flatnonzero(np.isin(ground.side[scope.rows], halves))
    most = len(halves) * settings.search_rows
    if len(mine) > most:
        mine = np.sort(generator.choice(mine, most, replace=False))
    losses = ground.losses[ground.at(scope.rows)] if scope.losses is None else scope.losses
    target = losses[ground.at(mine)].double()
    if len(mine) < _FEWEST or float(target.std()) <= 1e-9:
        return None
    target = target - target.mean()
    d = rows.values.shape[1]
    # The embeddings are read in the caller's order: ascending on disk.
    places = order[scope.rows[mine]]
    ascending = np.argsort(places, kind="stable")
    places, target = places[ascending], target[ground.at(ascending)]
    scatter = torch.zeros((d, d), dtype=torch.float64, device=rows.device)
    toward = torch.zeros(d, dtype=torch.float64, device=rows.device)
    sums = torch.zeros(d, dtype=torch.float64, device=rows.device)
    for start in range(0, len(places), _ROWS):
        block = rows.taken(places[start : start + _ROWS])
        scatter += block.T @ block
        sums += block.double().sum(0)
        toward += block.T.double() @ target[start : start + len(block)]
    mean = sums / len(places)
    scatter = scatter / len(places) - torch.outer(mean, mean)
    toward = toward / len(places)
    level = scatter.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(d, dtype=torch.float64, device=rows.device)
    slopes = torch.stack(
        [
            torch.linalg.solve(scatter + ridge * level * eye, toward)
            for ridge in (settings.directions if ridges is None else ridges)
        ]
    )
    lengths = slopes.norm(dim=1, keepdim=True)
    return None if bool((lengths <= 0).any()) else slopes / lengths


def _levels(
    rows: ReadyRows,
    order: NDArray[np.int64],
    found: list[tuple[Scope, int, Tensor]],
    n: int,
) -> list[Tensor]:
    """(v, m) levels of the rows of each scope along its vectors; all rows are read once."""
    counts = [len(vectors) for _, _, vectors in found]
    together = torch.cat([vectors for _, _, vectors in found]).to(rows.dtype)
    along = torch.empty((len(together), n), dtype=torch.float32, device=rows.device)
    for start, block in rows.blocks():
        along[:, start : start + len(block)] = (block @ together.T).T
    return [
        part[:, torch.from_numpy(order[scope.rows]).to(rows.device)]
        for part, (scope, _, _) in zip(along.split(counts), found, strict=True)
    ]


def _judge(
    ground: Ground,
    scope: Scope,
    half: int,
    vectors: Tensor,
    along: Tensor,
    settings: Settings,
) -> JudgedDirections:
    side = ground.side[scope.rows]
    theirs = np.flatnonzero(side == 1 - half)
    losses = ground.losses[ground.at(scope.rows)] if scope.losses is None else scope.losses
    losses = losses[ground.at(theirs)].double()
    n, m = len(side), len(ground.side)
    sizes = np.array(settings.sizes) * m
    sizes = sizes[(sizes >= settings.min_size) & (sizes <= settings.direction_most * n)]
    if len(sizes) == 0:
        sizes = np.array([max(1.0, settings.direction_most * n)])
    there = len(theirs) / n
    counts = np.maximum(1, np.rint(sizes * there)).astype(np.int64)
    levels = JudgedLosses.empty(len(vectors) * len(sizes))
    held_out: list[NDArray[np.int64]] = []
    spread = along.std(dim=1).clamp_min(1e-12)
    for number, line in enumerate(along[:, ground.at(theirs)] / spread[:, None]):
        most = min(settings.around * int(counts.max()), len(theirs))
        heights, top = line.topk(most)
        for at, count in enumerate(counts.tolist()):
            first = top[:count]
            held_out.append(scope.rows[theirs[np.sort(first.cpu().numpy())]])
            # The draft of a round region adds two such lines, each of variance 1.
            levels.write(number * len(sizes) + at, losses[first], 2.0 * heights, count, settings)
    repeated = np.tile(sizes, len(vectors))
    scores = levels.scores(
        base_of(ground, scope, half, losses, settings),
        repeated / m,
        np.minimum(np.tile(counts, len(vectors)), len(theirs)),
        settings,
        settings.direction_worth,
    )
    return JudgedDirections(
        scope,
        half,
        repeated,
        tuple(held_out),
        scores,
        vectors,
        np.repeat(np.arange(len(vectors)), len(sizes)),
        settings.directions,
        along,
    )
