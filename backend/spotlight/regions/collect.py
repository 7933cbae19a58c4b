"""The chosen candidates in the caller's rows, units and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.spotlight.regions.call import Call
from backend.spotlight.regions.choose import Pick
from backend.spotlight.regions.climb import solve_precisions
from backend.spotlight.regions.pool import Found, rank_all
from backend.spotlight.regions.result import Regions
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.space import Space
from backend.spotlight.regions.views import Ground
from backend.spotlight.solver.origin import read_blocks

LAST = "Choosing among the candidates"
_WHATEVER = "whatever the label"


def collected(
    call: Call,
    space: Space | None,
    ground: Ground | None,
    order: Any,
    pool: list[Found],
    zs: list[NDArray[np.float64]],
    ps: list[NDArray[np.float64]],
    chosen: list[Pick],
    units: tuple[float, float, float],
    notes: tuple[str, ...],
    settings: Settings,
) -> Regions:
    """The chosen candidates; ``units`` are mean, deviation and cap of the clipped losses."""
    n, d = call.values.shape
    q = 0 if space is None else space.axes.shape[1]
    r = len(chosen)
    scores, weights = np.full((r, n), -np.inf), np.zeros((r, n))
    centers, roots = np.zeros((r, d)), np.zeros((r, d, q))
    numbers = np.zeros((7, r))
    members, first_half = [], np.zeros(n, bool)
    places = {id(found): at for at, found in enumerate(pool)}
    mean, spread, cap = units
    if ground is not None:
        first_half[order] = ground.side
    for row, pick in enumerate(chosen):
        if space is None or ground is None:
            break  # nothing was searched, so nothing was chosen
        found, scope = pick.found, pick.found.view.scope
        ball = found.balls[ground.at(np.array([pick.at]))]
        ranks = rank_all(ground, found, ball, settings)
        at = order[scope.rows]
        scores[row, at] = ranks.final[0].double().cpu().numpy()
        weights[row, at] = ranks.weights[0].double().cpu().numpy()
        turn = found.view.turn.cpu().numpy()
        inside = np.linalg.solve(turn, ball.centers[0].cpu().numpy())
        centers[row] = space.shift + space.scale * (space.axes @ inside)
        tau = float(ball.log_precisions.exp())
        roots[row] = np.sqrt(tau) / space.scale * (space.axes @ turn)
        size = float(found.sizes[pick.at])
        rows = at[np.argsort(-scores[row, at], kind="stable")][: max(1, round(size))]
        members.append(rows.astype(np.int64))
        number = places[id(found)]
        numbers[:, row] = (
            mean + spread * found.means[pick.at],
            spread * found.errors[pick.at],
            mean + spread * found.bases[pick.at],
            len(found.held_out[pick.at]),
            ps[number][pick.at],
            zs[number][pick.at],
            size,
        )
    totals = np.maximum(weights.sum(axis=1), 1e-300)
    rounds = _round_precisions(
        call, centers, weights, [order[p.found.view.scope.rows] for p in chosen]
    )
    return Regions(
        scores=scores,
        weights=weights,
        centers=centers,
        roots=roots,
        shift=np.zeros(d) if space is None else space.shift,
        reach=np.inf if space is None else space.reach,
        round_precisions=rounds,
        scopes=tuple(_words(pick.found.view.scope, call) for pick in chosen),
        scope_labels=tuple(
            tuple(call.names[code] for code in pick.found.view.scope.labels) for pick in chosen
        ),
        held_out_losses=numbers[0],
        held_out_errors=numbers[1],
        held_out_bases=numbers[2],
        held_out_sizes=numbers[3],
        p_values=numbers[4],
        z_values=numbers[5],
        weighted_losses=(weights @ call.losses) / totals,
        sizes=numbers[6],
        members=tuple(members),
        found_first=np.array([pick.found.first for pick in chosen], bool),
        first_half=first_half,
        geometries=tuple(pick.found.view.geometry for pick in chosen),
        n_candidates=sum(len(found.balls) for found in pool),
        mean_loss=float(call.losses.mean()),
        loss_cap=cap,
        notes=notes,
        options={"n_regions": call.n_regions, "seed": call.seed},
    )


def _round_precisions(
    call: Call,
    centers: NDArray[np.float64],
    weights: NDArray[np.float64],
    scopes: list[NDArray[np.int64]],
) -> NDArray[np.float64]:
    """(r,) precisions of round regions with these centers and total weights in their scopes."""
    apart = np.zeros(weights.shape)
    for start, block in read_blocks(call.values, lambda: call.progress(1.0, LAST)):
        rows = block.to(call.device).double()
        for center, out in zip(torch.from_numpy(centers).to(rows), apart, strict=True):
            out[start : start + len(rows)] = (rows - center).square().sum(1).cpu().numpy()
    return np.array(
        [
            float(
                solve_precisions(
                    torch.from_numpy(line[rows])[None], torch.tensor([weight.sum()])
                ).exp()
            )
            for line, weight, rows in zip(apart, weights, scopes, strict=True)
        ]
    )


def _words(scope: Scope, call: Call) -> str:
    if call.codes is None:
        return "all examples"
    if not scope.bound:
        return _WHATEVER
    names = [str(call.names[code]) for code in scope.labels]
    if len(names) == 1:
        return f"among true label {names[0]}"
    return f"among true labels {', '.join(names)}"
