"""From many candidates to a short list that does not repeat itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.spotlight.regions.pool import Found
from backend.spotlight.regions.ranking import Ranker
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import Ground

# Numbers of rankings that are held at once.
_BLOCK = 2**24


@dataclass(frozen=True)
class Pick:
    """One candidate of one view: ``found.balls[at]``, with the rows of its core."""

    found: Found
    at: int
    score: float
    core: NDArray[np.int64]

    @property
    def bound(self) -> bool:
        """Whether it is bound to labels."""
        return self.found.view.scope.bound


def choose(
    ground: Ground,
    pool: list[Found],
    n_regions: int,
    n_labels: int,
    settings: Settings,
    tick: Callable[[float], None],
) -> list[Pick]:
    """The list, best first within each kind, kinds taking turns.

    Every step takes the candidate with the largest held-out score times the share of its core's
    excess loss that no region of its kind covers yet; candidates of the kind that overlap with it
    are left out from then on.
    """
    picks = _best(ground, pool, settings, tick)
    excess = ground.losses.double().clamp_min(0.0).cpu().numpy()
    covered = {True: np.zeros(len(excess), bool), False: np.zeros(len(excess), bool)}
    chosen: list[Pick] = []
    for bound in _turns(n_regions, n_labels):
        best = _next(picks[bound], excess, covered[bound])
        if best is None:
            bound = not bound
            best = _next(picks[bound], excess, covered[bound])
        if best is None:
            break
        chosen.append(best)
        covered[bound][best.core] = True
        mask = np.zeros(len(excess), bool)
        mask[best.core] = True
        picks[bound] = [
            pick for pick in picks[bound] if _jaccard(mask, best.core, pick.core) < settings.apart
        ]
    return chosen


def _turns(n_regions: int, n_labels: int) -> list[bool]:
    """Whether each place of the list goes to a region bound to labels."""
    if n_labels < 2:
        return [False] * n_regions
    pattern = [True, False, True, True, True]
    return [pattern[at % len(pattern)] for at in range(n_regions)]


def _next(
    picks: list[Pick], excess: NDArray[np.float64], covered: NDArray[np.bool_]
) -> Pick | None:
    best, best_value = None, 0.0
    for pick in picks:
        own = excess[pick.core]
        total = own.sum()
        if total <= 0:
            continue
        value = pick.score * (own[~covered[pick.core]].sum() / total)
        if value > best_value:
            best, best_value = pick, value
    return best


def _jaccard(mask: NDArray[np.bool_], core: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    both = int(mask[other].sum())
    return both / (len(core) + len(other) - both)


def _best(
    ground: Ground, pool: list[Found], settings: Settings, tick: Callable[[float], None]
) -> dict[bool, list[Pick]]:
    """The best candidates of each scope by kind, with their cores."""
    picks: dict[bool, list[Pick]] = {True: [], False: []}
    for bound in picks:
        entries = [
            (float(found.scores[at]), number, at)
            for number, found in enumerate(pool)
            if found.view.scope.bound == bound
            for at in range(len(found.balls))
            if found.scores[at] > 0
        ]
        entries.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        by_found: dict[int, list[int]] = {}
        taken: dict[tuple[int, ...], int] = {}
        for _, number, at in entries:
            scope = pool[number].view.scope.labels
            taken[scope] = taken.get(scope, 0) + 1
            if taken[scope] <= settings.keep:
                by_found.setdefault(number, []).append(at)
        for done, (number, ats) in enumerate(sorted(by_found.items())):
            tick((done / len(by_found) + (not bound)) / 2)
            picks[bound] += _cores(ground, pool[number], ats, settings)
        picks[bound].sort(key=lambda pick: -pick.score)
    return picks


def _cores(ground: Ground, found: Found, ats: list[int], settings: Settings) -> list[Pick]:
    rows = found.view.scope.rows
    ranker = Ranker.of(ground, found.view, found.first, settings)
    picks = []
    step = max(1, _BLOCK // len(rows))
    for start in range(0, len(ats), step):
        part = ats[start : start + step]
        balls = found.balls[ground.at(np.array(part))]
        scores = ranker.rank(balls).final
        for row, at in enumerate(part):
            count = min(len(rows), max(settings.min_size, round(float(found.sizes[at]))))
            top = scores[row].topk(count).indices.cpu().numpy()
            picks.append(Pick(found, at, float(found.scores[at]), rows[np.sort(top)]))
    return picks
