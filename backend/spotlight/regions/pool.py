"""Candidates: found on one half of the rows, judged on the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.core.strongest import first_and_next, largest
from backend.core.threads import side_by_side
from backend.spotlight.regions.climb import Balls
from backend.spotlight.regions.ranking import Ranker, kernel_of_all, ranked
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import (
    HALVES,
    Ground,
    ScopeView,
    search,
    views_of,
)

# Numbers of a ranking that each of several looks holds at once.
_BLOCK = 2**23


@dataclass(frozen=True)
class Judged:
    """Candidates of one scope that one half found, as the other half sees them. ``k`` candidates.

    Parameters
    ----------
    scope : Scope
    half : int
        The half that found them.
    sizes : float64 array of shape (k,)
        Rows of all parts that each is made to hold.
    held_out : tuple of k int arrays
        Rows of the other half that rank first, as many as the size makes there.
    scores : float64 array of shape (k,)
        What candidates are ordered by: the mean loss of the other half's rows that rank first in
        the draft, as many as the core makes there, above that of the scope and of all, less standard errors. It counts
        more where these rows rank far above the next: a failure with a cause stands apart, while
        the hard examples between two labels run into their surroundings.
    """

    scope: Scope
    half: int
    sizes: NDArray[np.float64]
    held_out: tuple[NDArray[np.int64], ...]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sizes)

    def rank(self, ground: Ground, ats: NDArray[np.int64], settings: Settings) -> Tensor:
        """(len(ats), m) how strongly each row of the scope belongs; higher first."""
        raise NotImplementedError


@dataclass(frozen=True)
class JudgedBalls(Judged):
    """Round regions of one view.

    Parameters
    ----------
    balls : Balls
    ranker : Ranker
        Told by the losses of both halves: what members are ranked by.
    """

    balls: Balls
    ranker: Ranker

    @property
    def view(self) -> ScopeView:
        return self.ranker.view

    def rank(self, ground: Ground, ats: NDArray[np.int64], settings: Settings) -> Tensor:
        ranks = self.ranker.rank(self.balls[ground.at(ats)])
        return ranks.final if self.view.whole else ranked(self.view, ranks.told)

    def kernel(self, at: int) -> Tensor:
        """(m,) kernel of one candidate at all rows of the scope."""
        return kernel_of_all(
            self.view, self.balls[torch.tensor([at], device=self.view.points.device)]
        )[0]


def find_balls(
    ground: Ground,
    scopes: list[Scope],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> list[Judged]:
    """Round candidates of all scopes, in every view, found on either half."""
    device = ground.points.device
    made = [
        partial(_rankers, ground, scope, settings, own)
        for scope, own in zip(scopes, generator.spawn(len(scopes)), strict=True)
    ]
    rankers = [ranker for some in side_by_side(made, device) for ranker in some]
    looks = [(ranker, half) for ranker in rankers for half in HALVES]
    tasks = [
        partial(_look, ground, ranker, half, settings, own)
        for (ranker, half), own in zip(looks, generator.spawn(len(looks)), strict=True)
    ]
    ends = np.cumsum([len(ranker.view.drawn) for ranker, _ in looks])
    pool: list[Judged] = []
    for end, found in zip(ends, side_by_side(tasks, device), strict=True):
        tick(end / ends[-1])
        if found is not None:
            pool.append(found)
    return pool


def _rankers(
    ground: Ground, scope: Scope, settings: Settings, generator: np.random.Generator
) -> list[Ranker]:
    """The scope in each of its views."""
    views = views_of(ground, scope, settings, generator)
    return [Ranker.of(ground, view, HALVES, settings) for view in views]


def _look(
    ground: Ground, ranker: Ranker, half: int, settings: Settings, generator: np.random.Generator
) -> JudgedBalls | None:
    """What one half finds in a view, as the other sees it; None where it cannot look."""
    balls = search(ground, ranker.view, half, settings, generator)
    return None if balls is None else judge(ground, ranker, half, balls, settings)


def judge(ground: Ground, last: Ranker, half: int, balls: Balls, settings: Settings) -> JudgedBalls:
    """Rank the rows of the half that did not find the candidates, and look at the losses there.

    No ranking knows a loss of that half; the ``last`` one, of members, does.
    """
    view = last.view
    rows = view.scope.rows
    ranker = Ranker.of(ground, view, (half,), settings, (half, 1 - half))
    finding = int((view.sides(ground) == half).sum())
    judging = view.positions(ground, (1 - half,))
    losses = view.losses[judging].double()
    there_rows = rows[view.drawn[judging.cpu().numpy()]]
    # Sizes are counted in the rows that were searched, which may be a sample of the half.
    searched = min(finding, settings.search_rows)
    cores = balls.sizes.cpu().numpy() * (len(rows) / searched)
    sizes = filled_up(cores, len(rows), settings.most_filled, settings)
    there = len(losses) / len(rows)
    base = base_of(ground, view.scope, half, losses, settings)
    levels = JudgedLosses.empty(len(balls))
    held_out: list[NDArray[np.int64]] = []
    counts, inside = (counted_in(some, there, len(losses)) for some in (cores, sizes))
    step = max(1, _BLOCK // (finding + len(losses)))
    for start in range(0, len(balls), step):
        at = torch.arange(start, min(start + step, len(balls)), device=view.points.device)
        ranks = ranker.rank(balls[at])
        for number, draft, final in zip(at.tolist(), ranks.draft, ranks.final, strict=True):
            held_out.append(there_rows[largest(final[finding:], int(inside[number]))])
            levels.write(number, losses, draft[finding:], int(counts[number]), settings)
    scores = levels.scores(base, cores / len(ground.side), counts, settings)
    return JudgedBalls(view.scope, half, sizes, tuple(held_out), scores, balls, last)


def filled_up(
    cores: NDArray[np.float64], in_scope: int, most: float, settings: Settings
) -> NDArray[np.float64]:
    """Rows of regions with these cores: the fewest of a region, as far as a share of the scope goes."""
    return np.maximum(cores, min(float(settings.min_size), most * in_scope))


def counted_in(sizes: NDArray[np.float64], share: float, most: int) -> NDArray[np.int64]:
    """So many rows of these sizes lie in a share of the scope, of ``most`` rows."""
    return np.minimum(np.maximum(1, np.rint(sizes * share)).astype(np.int64), most)


def base_of(ground: Ground, scope: Scope, half: int, losses: Tensor, settings: Settings) -> float:
    """What the mean loss of a candidate is compared with on the half that judges it.

    A mean of the scope's and of everybody's; the label's own where it fails as a whole.
    """
    own = float(losses.mean()) if len(losses) else 0.0
    if scope.losses is not None:
        return own
    judges = ground.at(np.flatnonzero(ground.side == 1 - half))
    everybody = float(ground.losses[judges].double().mean())
    return (1 - settings.own_base) * everybody + settings.own_base * own


@dataclass(frozen=True)
class JudgedLosses:
    """(k,) mean losses of the judging rows, their standard errors, and how far they stand apart."""

    means: NDArray[np.float64]
    errors: NDArray[np.float64]
    gaps: NDArray[np.float64]

    @classmethod
    def empty(cls, count: int) -> JudgedLosses:
        return cls(np.zeros(count), np.zeros(count), np.zeros(count))

    def write(
        self, number: int, losses: Tensor, heights: Tensor, count: int, settings: Settings
    ) -> None:
        """What (m,) losses say of the ``count`` rows that (m,) heights rank first."""
        if not len(losses):
            return
        first, after = first_and_next(heights, count, min(settings.around * count, len(losses)))
        own = losses[torch.from_numpy(first).to(losses.device)]
        self.means[number] = float(own.mean())
        self.errors[number] = float(own.std(correction=0)) / math.sqrt(count)
        if len(after):
            above, below = (
                heights[torch.from_numpy(rows).to(heights.device)].double().mean()
                for rows in (first, after)
            )
            self.gaps[number] = max(0.0, float(above - below))

    def scores(
        self,
        base: float,
        shares: NDArray[np.float64],
        counts: NDArray[np.int64],
        settings: Settings,
        worth: float = 1.0,
    ) -> NDArray[np.float64]:
        """What candidates are ordered by; ``counts`` rows judged each."""
        scores = self.means - base - settings.caution * self.errors
        large = (shares / min(settings.sizes)) ** settings.growth
        factors = worth * large * self.gaps**settings.apartness
        scores = np.where(scores > 0, scores * factors, scores)
        scores[counts < settings.min_held_out] = -np.inf
        return scores
