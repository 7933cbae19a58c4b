"""From many candidates to a short list that does not repeat itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backend.core.strongest import largest
from backend.core.threads import side_by_side
from backend.spotlight.regions.known import repeats
from backend.spotlight.regions.pool import Judged
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import Ground

# Numbers of rankings that are held at once.
_BLOCK = 2**23
# A candidate that holds this share of a failing label repeats it.
_REPEATS = 0.8
# Which places of the list go to regions bound to labels, when there are labels.
_PATTERN = (True, False, True, True, True)


@dataclass(frozen=True)
class Tested:
    """Candidates of one scope with their p: of the search, and within cells of the confusion matrix."""

    judged: Judged
    zs: NDArray[np.float64]
    ps: NDArray[np.float64]
    cell_ps: NDArray[np.float64]


@dataclass(frozen=True)
class Pick:
    """One candidate, with its members: ``rows`` of the ground, ascending."""

    tested: Tested
    at: int
    score: float
    rows: NDArray[np.int64]
    cell: bool = False
    also: tuple[Pick, ...] = ()

    @property
    def judged(self) -> Judged:
        return self.tested.judged

    @property
    def bound(self) -> bool:
        """Whether it is bound to labels."""
        return self.judged.scope.bound


def choose(
    ground: Ground,
    pool: Sequence[Tested],
    failing: Sequence[NDArray[np.int64]],
    known: Sequence[NDArray[np.bool_]],
    n_regions: int,
    settings: Settings,
    level: float,
    tick: Callable[[float], None],
) -> list[Pick]:
    """The list: regions that are more than a cell of the confusion matrix, then those that are one.

    All compete for their places, cells with less than their score; then cells are put last. Every step
    looks for the largest score times the share of the members' excess loss that no region of its
    kind covers yet, kinds taking turns, and takes the surest of those that are nearly the same and
    hardly worth less; candidates of whatever kind and
    size that hold half of it, or of which it holds half, are left out from then on, and the best of
    those inside it is kept beside it.

    Parameters
    ----------
    ground : Ground
    pool : sequence of Tested
    failing : sequence of int arrays
        Rows of the labels that fail as a whole, which are in the list already.
    known : sequence of bool arrays of shape (n,)
        Members of what was set aside: no candidate that repeats one is taken.
    n_regions, settings, level, tick
        As elsewhere; ``level`` of the p within cells.
    """
    picks = {
        bound: [one for one in some if not repeats(one.rows, known, settings.nested)]
        for bound, some in _best(ground, pool, settings, tick).items()
    }
    n = len(ground.side)
    mask = np.zeros(n, bool)
    for rows in failing:
        mask[:] = False
        mask[rows] = True
        for bound in picks:
            picks[bound] = [
                pick for pick in picks[bound] if mask[pick.rows].sum() < _REPEATS * len(rows)
            ]
    excess = np.nan_to_num(ground.losses.double().cpu().numpy(), nan=0.0).clip(min=0.0)
    covered = {True: np.zeros(n, bool), False: np.zeros(n, bool)}
    several = bool(picks[True]) or ground.codes.max() > 0
    for bound, some in picks.items():
        picks[bound] = [
            replace(pick, cell=True, score=settings.cell_worth * pick.score)
            if _is_cell(ground, pick, settings, level)
            else pick
            for pick in some
        ]
    chosen: list[Pick] = []
    while len(chosen) < n_regions:
        bound = several and _PATTERN[len(chosen) % len(_PATTERN)]
        best = _next(picks[bound], excess, covered[bound])
        if best is None:
            bound = not bound
            best = _next(picks[bound], excess, covered[bound])
        if best is None:
            break
        best = _surest(best, picks[bound], mask, settings)
        covered[bound][best.rows] = True
        mask[:] = False
        mask[best.rows] = True
        repeated = [
            pick
            for some in picks.values()
            for pick in some
            if _nested(mask, best.rows, pick.rows, settings)
        ]
        chosen.append(replace(best, also=_inside(mask, best, repeated)))
        left_out = set(map(id, repeated))
        picks = {b: [p for p in some if id(p) not in left_out] for b, some in picks.items()}
    return sorted(chosen, key=lambda pick: pick.cell)


def _next(
    picks: list[Pick], excess: NDArray[np.float64], covered: NDArray[np.bool_]
) -> Pick | None:
    best, best_value = None, 0.0
    for pick in picks:
        own = excess[pick.rows]
        total = own.sum()
        if total <= 0:
            continue
        value = pick.score * (own[~covered[pick.rows]].sum() / total)
        if value > best_value:
            best, best_value = pick, value
    return best


def _surest(best: Pick, picks: list[Pick], mask: NDArray[np.bool_], settings: Settings) -> Pick:
    """Of candidates that are nearly the same as the best, the one with the smallest p.

    What few rows judge can be worth most by chance; p, which counts all candidates, tells.
    """
    mask[:] = False
    mask[best.rows] = True
    same = []
    for pick in picks:
        if pick.score >= settings.sure * best.score:
            both = int(mask[pick.rows].sum())
            if both >= settings.alike * (len(pick.rows) + len(best.rows) - both):
                same.append(pick)
    return min(same, key=lambda pick: (pick.tested.ps[pick.at], -pick.score))


def _nested(
    mask: NDArray[np.bool_],
    rows: NDArray[np.int64],
    other: NDArray[np.int64],
    settings: Settings,
) -> bool:
    """Whether one holds half of the other."""
    return bool(mask[other].sum() >= settings.nested * min(len(rows), len(other)))


def _inside(mask: NDArray[np.bool_], best: Pick, repeated: list[Pick]) -> tuple[Pick, ...]:
    """The best of the repeated ones that lies inside and is at most half as large; () for none."""
    inside = [
        pick
        for pick in repeated
        if 2 * len(pick.rows) <= len(best.rows)
        and mask[pick.rows].all()
        and pick.tested.judged is not best.tested.judged
    ]
    return tuple(sorted(inside, key=lambda pick: -pick.score)[:1])


def _is_cell(ground: Ground, pick: Pick, settings: Settings, level: float) -> bool:
    """Whether a region is no more than one wrong cell of the confusion matrix.

    Most of its members, as far as they may be looked at, are in the cell; they are most of the cell;
    and losses do not tell them from the rest of it, where losses differ within cells.
    """
    if ground.pairs is None or ground.missed is None:
        return False
    rows = pick.rows[ground.open[pick.rows]]
    cells = ground.pairs[rows][ground.missed[rows]]
    if len(cells) < settings.one_cell * len(rows) or not len(cells):
        return False
    codes, counts = np.unique(cells, return_counts=True)
    most = int(counts.argmax())
    if counts[most] < settings.one_cell * len(rows):
        return False
    whole = int(((ground.pairs == codes[most]) & ground.open).sum())
    if counts[most] < settings.whole_cell * whole:
        return False
    p = pick.tested.cell_ps[pick.at]
    return not np.isfinite(p) or bool(p > level)


def _best(
    ground: Ground, pool: Sequence[Tested], settings: Settings, tick: Callable[[float], None]
) -> dict[bool, list[Pick]]:
    """The best candidates of each scope by kind, with their members."""
    picks: dict[bool, list[Pick]] = {True: [], False: []}
    for bound in picks:
        entries = [
            (float(tested.judged.scores[at]), number, at)
            for number, tested in enumerate(pool)
            if tested.judged.scope.bound == bound
            for at in np.flatnonzero(tested.judged.scores > 0).tolist()
        ]
        entries.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        by_number: dict[int, list[int]] = {}
        taken: dict[tuple[int, ...], int] = {}
        for _, number, at in entries:
            scope = pool[number].judged.scope.labels
            taken[scope] = taken.get(scope, 0) + 1
            if taken[scope] <= settings.keep:
                by_number.setdefault(number, []).append(at)
        tasks = [
            partial(_with_members, ground, pool[number], ats, settings)
            for number, ats in sorted(by_number.items())
        ]
        for done, found in enumerate(side_by_side(tasks, ground.points.device)):
            tick((done / len(tasks) + (not bound)) / 2)
            picks[bound] += found
        picks[bound].sort(key=lambda pick: -pick.score)
    return picks


def _with_members(ground: Ground, tested: Tested, ats: list[int], settings: Settings) -> list[Pick]:
    judged = tested.judged
    rows = judged.scope.rows
    picks = []
    step = max(1, _BLOCK // len(rows))
    for start in range(0, len(ats), step):
        part = np.array(ats[start : start + step])
        scores = judged.rank(ground, part, settings)
        for line, at in zip(scores, part.tolist(), strict=True):
            top = largest(line, count_of(judged, at))
            picks.append(Pick(tested, at, float(judged.scores[at]), rows[top]))
    return picks


def count_of(judged: Judged, at: int) -> int:
    """How many members a candidate has."""
    return min(len(judged.scope.rows), max(1, round(float(judged.sizes[at]))))
