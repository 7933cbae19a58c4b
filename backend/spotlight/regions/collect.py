"""The chosen candidates in the caller's rows, units and words, and what is measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.effects import Effect, measure_effect
from backend.core.shape import cut_between
from backend.spotlight.regions.call import RegionCall
from backend.spotlight.regions.choose import Pick, count_of
from backend.spotlight.regions.climb import solve_precisions
from backend.spotlight.regions.directions import JudgedDirections
from backend.spotlight.regions.known import note_of
from backend.spotlight.regions.pool import JudgedBalls
from backend.spotlight.regions.result import Inner, Regions
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.space import ReadyRows
from backend.spotlight.regions.views import Ground
from backend.spotlight.regions.whole import Whole
from backend.spotlight.solver.origin import read_blocks

_LAST = "Measuring what was kept aside"
_WHATEVER = "whatever the label"


@dataclass(frozen=True)
class Searched:
    """What a search stood on; ``units`` are mean, deviation and cap of the clipped losses."""

    rows: ReadyRows
    ground: Ground
    order: NDArray[np.int64]
    units: tuple[float, float, float]
    settings: Settings
    generator: np.random.Generator


@dataclass(frozen=True)
class _Entry:
    """One region in the caller's rows."""

    kind: str
    labels: tuple[int, ...]
    scores: NDArray[np.float64]
    members: NDArray[np.int64]
    weights: NDArray[np.float64]
    scope: NDArray[np.int64]
    p: float
    p_cell: float = np.nan
    cell: bool = False
    inside: int = -1
    view: str = ""
    center: NDArray[np.float64] | None = None
    root: NDArray[np.float64] | None = None
    vector: NDArray[np.float64] | None = None
    cut: float = np.nan
    also: NDArray[np.int64] | None = None


def nothing_found(asked: RegionCall, aside: NDArray[np.bool_], why: str) -> Regions:
    """An empty list, and the reason."""
    d = asked.values.shape[1]
    return _regions(asked, aside, [], np.zeros(d), np.inf, np.nan, 0, (why,))


def collected(
    asked: RegionCall,
    search: Searched,
    whole: Sequence[Whole],
    chosen: Sequence[Pick],
    n_candidates: int,
) -> Regions:
    """The labels that fail as a whole and the chosen candidates, measured."""
    ground, order = search.ground, search.order
    entries = [_label_entry(search, one) for one in whole]
    places = {one.code: at for at, one in enumerate(whole)}
    for pick in chosen:
        inside = -1
        if pick.judged.scope.losses is not None:
            inside = places[pick.judged.scope.labels[0]]
        make = _direction_entry if isinstance(pick.judged, JudgedDirections) else _ball_entry
        entries.append(make(asked, search, pick, inside))
    aside = np.zeros(len(order), bool)
    aside[order] = ~ground.open
    notes = () if entries else ("No region stands out on the examples that judge.",)
    rows = search.rows
    return _regions(
        asked, aside, entries, rows.shift, rows.reach, search.units[2], n_candidates, notes
    )


def _label_entry(search: Searched, one: Whole) -> _Entry:
    """All examples of a label, in the order of their rows: none is more typical than another."""
    n = len(search.order)
    members = np.sort(search.order[search.ground.codes == one.code])
    scores, weights = np.full(n, -np.inf), np.zeros(n)
    scores[members], weights[members] = 0.0, 1.0
    return _Entry("label", (one.code,), scores, members, weights, members, one.p)


def _common(search: Searched, pick: Pick, inside: int) -> dict[str, Any]:
    tested = pick.tested
    also = None
    if pick.also:
        inner = pick.also[0]
        ranks = inner.judged.rank(search.ground, np.array([inner.at]), search.settings)[0]
        top = ranks.topk(count_of(inner.judged, inner.at)).indices.cpu().numpy()
        also = search.order[inner.judged.scope.rows[top]]
    return {
        "labels": pick.judged.scope.labels,
        "scope": search.order[pick.judged.scope.rows],
        "p": float(tested.ps[pick.at]),
        "p_cell": float(tested.cell_ps[pick.at]),
        "cell": pick.cell,
        "inside": inside,
        "also": also,
    }


def _ball_entry(asked: RegionCall, search: Searched, pick: Pick, inside: int) -> _Entry:
    judged = pick.judged
    assert isinstance(judged, JudgedBalls)
    ranking = judged.rank(search.ground, np.array([pick.at]), search.settings)
    rows = search.order[judged.scope.rows]
    n, view = len(search.order), judged.view
    scores, weights = np.full(n, -np.inf), np.zeros(n)
    scores[rows] = ranking[0].double().cpu().numpy()
    weights[rows] = judged.kernel(pick.at).double().cpu().numpy()
    ball = judged.balls[search.ground.at(np.array([pick.at]))]
    turn = view.turn.cpu().numpy()
    middle = np.linalg.solve(turn, ball.centers[0].cpu().numpy())
    space = view.space
    root = np.sqrt(float(ball.log_precisions.exp())) / space.scale * (space.axes @ turn)
    ascending = np.sort(rows)
    first = ascending[np.argsort(-scores[ascending], kind="stable")]
    return _Entry(
        "ball",
        scores=scores,
        members=first[: count_of(judged, pick.at)],
        weights=weights,
        view=view.name,
        center=space.shift + space.scale * (space.axes @ middle),
        root=root,
        **_common(search, pick, inside),
    )


def _direction_entry(asked: RegionCall, search: Searched, pick: Pick, inside: int) -> _Entry:
    """The direction, its levels in float64."""
    judged = pick.judged
    assert isinstance(judged, JudgedDirections)
    slope = judged.vectors[int(judged.which[pick.at])]
    vector = slope.double().cpu().numpy() / search.rows.scale
    rows = np.sort(search.order[judged.scope.rows])
    ended = cut_between(asked.values, vector, rows, count_of(judged, pick.at))
    n = len(search.order)
    scores, weights = np.full(n, -np.inf), np.zeros(n)
    scores[rows] = ended.scores
    members = ended.members
    weights[members] = 1.0
    return _Entry(
        "direction",
        scores=scores,
        members=members,
        weights=weights,
        vector=vector,
        cut=ended.cut,
        **_common(search, pick, inside),
    )


def _regions(
    asked: RegionCall,
    aside: NDArray[np.bool_],
    entries: Sequence[_Entry],
    shift: NDArray[np.float64],
    reach: float,
    cap: float,
    n_candidates: int,
    notes: tuple[str, ...],
) -> Regions:
    n, d = asked.values.shape
    r = len(entries)
    q = max((one.root.shape[1] for one in entries if one.root is not None), default=0)
    roots = np.full((r, d, q), np.nan)
    for at, one in enumerate(entries):
        if one.root is not None:
            roots[at] = 0.0
            roots[at, :, : one.root.shape[1]] = one.root
    weights = _stacked([one.weights for one in entries], n)
    totals = np.maximum(weights.sum(axis=1), 1e-300)
    asked.progress(0.95, _LAST)
    return Regions(
        scores=_stacked([one.scores for one in entries], n),
        sizes=np.array([len(one.members) for one in entries], np.int64),
        members=tuple(one.members.astype(np.int64) for one in entries),
        kinds=tuple(one.kind for one in entries),
        weights=weights,
        centers=_stacked([one.center for one in entries], d),
        roots=roots,
        shift=shift,
        reach=reach,
        round_precisions=_round_precisions(asked, entries),
        vectors=_stacked([one.vector for one in entries], d),
        cuts=np.array([one.cut for one in entries], np.float64),
        scopes=tuple(_words(one, asked) for one in entries),
        scope_labels=tuple(tuple(asked.names[code] for code in one.labels) for one in entries),
        inside=np.array([one.inside for one in entries], np.int64),
        kept_aside=aside,
        effects=tuple(_effect(asked, aside, one.members, one.labels) for one in entries),
        p_values=np.array([one.p for one in entries], np.float64),
        p_cells=np.array([one.p_cell for one in entries], np.float64),
        cells=np.array([one.cell for one in entries], bool),
        explained=_explained(asked.losses, aside, [one.members for one in entries]),
        also=tuple(
            None
            if one.also is None
            else Inner(one.also, _effect(asked, aside, one.also, one.labels))
            for one in entries
        ),
        weighted_losses=np.asarray((weights @ asked.losses) / totals, np.float64),
        views=tuple(one.view for one in entries),
        n_candidates=n_candidates,
        mean_loss=float(asked.losses.mean()),
        loss_cap=cap,
        notes=(*note_of(asked.known), *notes),
        options={"n_regions": asked.n_regions, "seed": asked.seed, "sizes": asked.sizes},
        known=asked.known,
    )


def _stacked(lines: Sequence[NDArray[np.float64] | None], width: int) -> NDArray[np.float64]:
    out = np.full((len(lines), width), np.nan)
    for row, line in zip(out, lines, strict=True):
        if line is not None:
            row[:] = line
    return out


def _effect(
    asked: RegionCall, aside: NDArray[np.bool_], members: NDArray[np.int64], labels: tuple[int, ...]
) -> Effect:
    own = None
    if labels and asked.codes is not None:
        own = np.isin(asked.codes, labels)
    return measure_effect(
        members, aside, asked.losses, wrong=asked.wrong, own=own, groups=asked.groups
    )


def _explained(
    losses: NDArray[np.float64], aside: NDArray[np.bool_], members: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """(r,) shares of the excess loss of the rows kept aside; NaN where there is none."""
    if not aside.any():
        return np.full(len(members), np.nan)
    excess = np.where(aside, np.maximum(losses - losses[aside].mean(), 0.0), 0.0)
    whole = float(excess.sum())
    held = np.zeros(len(losses), bool)
    shares = []
    for rows in members:
        held[rows] = True
        shares.append(float(excess[held].sum()) / whole if whole > 0 else np.nan)
    return np.array(shares, np.float64)


def _round_precisions(asked: RegionCall, entries: Sequence[_Entry]) -> NDArray[np.float64]:
    """(r,) precisions of round regions with these centers and total weights in their scopes."""
    out = np.full(len(entries), np.nan)
    balls = [(at, one) for at, one in enumerate(entries) if one.center is not None]
    if not balls:
        return out
    # Seen from among the centers, no digit is lost where the data lie far from the origin.
    stacked = _stacked([one.center for _, one in balls], asked.values.shape[1])
    origin = torch.from_numpy(stacked.mean(axis=0)).to(asked.device)
    centers = torch.from_numpy(stacked).to(asked.device) - origin
    lengths = centers.square().sum(1)[:, None]
    apart = np.zeros((len(balls), len(asked.losses)))
    for start, block in read_blocks(asked.values, lambda: asked.progress(0.95, _LAST)):
        rows = block.to(asked.device).double().sub_(origin)
        squares = torch.addmm(lengths, centers, rows.T, alpha=-2.0).add_(rows.square().sum(1))
        apart[:, start : start + len(rows)] = squares.clamp_min_(0.0).cpu().numpy()
    for (at, one), line in zip(balls, apart, strict=True):
        total = torch.tensor([one.weights.sum()])
        out[at] = float(solve_precisions(torch.from_numpy(line[one.scope])[None], total).exp())
    return out


def _words(one: _Entry, asked: RegionCall) -> str:
    if asked.codes is None:
        return "all examples"
    if not one.labels:
        return _WHATEVER
    names = [str(asked.names[code]) for code in one.labels]
    if len(names) == 1:
        return f"among true label {names[0]}"
    return f"among true labels {', '.join(names)}"
