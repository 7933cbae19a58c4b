"""``find_regions``: a short, honest list of where a model fails, with or without labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.core.threads import calm_threads
from backend.spotlight.origin import read_blocks
from backend.spotlight.regions.call import Call, check_call
from backend.spotlight.regions.choose import Pick, choose
from backend.spotlight.regions.climb import solve_precisions
from backend.spotlight.regions.pool import Found, find_candidates, rank_all
from backend.spotlight.regions.result import Regions
from backend.spotlight.regions.scopes import Scope, make_scopes
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.shuffled import claim
from backend.spotlight.regions.sides import deal
from backend.spotlight.regions.space import Space, make_space, stored_anyhow
from backend.spotlight.regions.views import Ground

SETTINGS = Settings()
# Fewer rows are not searched: a half would be too small to judge anything.
_FEWEST = 20
_LAST = "Choosing among the candidates"
_WHATEVER = "whatever the label"


def find_regions(
    embeddings: Any,
    losses: Any,
    *,
    labels: Any = None,
    groups: Any = None,
    n_regions: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Regions:
    """A short list of regions where the model fails, each judged on examples that did not find it.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Any float width; may be memory-mapped, and is then read in blocks.
    losses : array-like of shape (n,)
        Higher is worse.
    labels : array-like of shape (n,), optional
        True labels, numbers or texts. Most failures are bound to one, so they help a lot.
    groups : array-like of shape (n,), optional
        What rows belong together (a patient, a video, copies of one image): such rows never lie on
        both sides of the split between finding and judging.
    n_regions : int
        Regions to list, at most.
    seed : int
        Of the split, the starts and the shuffles.
    device : str or torch.device
        "auto" is a GPU where there is one.
    progress : callable, optional
        See ``backend.core.progress.Progress``; may raise to cancel.

    Returns
    -------
    Regions
        Fewer than asked for where no more are found; none where all losses are equal, or with
        fewer than 20 examples.

    Raises
    ------
    InputError
        If an argument has the wrong shape or value.

    Notes
    -----
    The search asks many small questions: among all examples, each label and bundles of similar
    labels; at four sizes; with distances as they are and whitened; from many starts, in two rounds.
    What one half of the examples finds is scored on the other half, by its mean loss above that of
    all, less a standard error; the list takes the best, sparing what is covered already. Members
    are then ranked by the kernel together with a linear discriminant.

    Losses above their 90 % quantile (or their mean, where that is higher) count as that much.
    """
    call = check_call(
        embeddings,
        losses,
        labels=labels,
        groups=groups,
        n_regions=n_regions,
        seed=seed,
        device=device,
        progress=progress,
    )
    with calm_threads(), torch.no_grad():
        return run(call, SETTINGS)


def run(call: Call, settings: Settings) -> Regions:
    """A checked call under these settings."""
    n = len(call.losses)
    call.progress(0.0, "Reading the embeddings")
    clipped, cap = clip(call.losses, settings.quantile)
    spread = float(clipped.std())
    if n < _FEWEST or spread <= 1e-12 * max(1.0, float(np.abs(clipped).max())):
        why = (
            f"Fewer than {_FEWEST} examples: too few to find regions and judge them."
            if n < _FEWEST
            else "All losses are equal: no region is worse than another."
        )
        return _collected(call, None, None, [], [], [], [], [], clipped, cap, (why,), "")
    space = make_space(
        call.values,
        settings.components,
        call.device,
        lambda: call.progress(0.0, "Reading the embeddings"),
    )
    order = stored_anyhow(clipped, space.points)
    standard = (clipped - clipped.mean()) / spread
    generator = np.random.default_rng(call.seed)
    codes = np.zeros(n, np.int64) if call.codes is None else call.codes[order]
    groups = None if call.groups is None else _renumbered(call.groups[order])
    ground = Ground(
        space.points[torch.from_numpy(order).to(call.device)],
        torch.from_numpy(standard[order]).to(call.device, space.points.dtype),
        deal(codes, groups, generator),
        codes,
    )
    excess = np.maximum(standard[order], 0.0)
    labelled = None if call.codes is None else codes
    scopes = make_scopes(ground.points, excess, labelled, settings, generator)
    steps = _steps(call.progress)
    pool = find_candidates(
        ground, scopes, settings, generator, steps(0.05, 0.7, "Searching for regions")
    )
    zs, ps = claim(
        ground,
        pool,
        groups,
        settings,
        generator,
        steps(0.7, 0.85, "Comparing with shuffled losses"),
    )
    chosen = choose(
        ground,
        pool,
        call.n_regions,
        len(call.names),
        settings,
        steps(0.85, 1.0, _LAST),
    )
    return _collected(
        call, space, ground, order, pool, zs, ps, chosen, clipped, cap, (), settings.ranking
    )


def clip(losses: NDArray[np.float64], quantile: float) -> tuple[NDArray[np.float64], float]:
    """Losses cut at a quantile, or at their mean where that is higher; and where they were cut."""
    cap = max(float(np.quantile(losses, quantile)), float(losses.mean()))
    return np.minimum(losses, cap), cap


def _renumbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups numbered as they first occur, so that numbers do not depend on names."""
    _, firsts, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[inverse]


def _steps(progress: Progress) -> Callable[[float, float, str], Callable[[float], None]]:
    def stage(low: float, high: float, message: str) -> Callable[[float], None]:
        return lambda share: progress(low + (high - low) * min(share, 1.0), message)

    return stage


def _collected(
    call: Call,
    space: Space | None,
    ground: Ground | None,
    order: Any,
    pool: list[Found],
    zs: list[NDArray[np.float64]],
    ps: list[NDArray[np.float64]],
    chosen: list[Pick],
    clipped: NDArray[np.float64],
    cap: float,
    notes: tuple[str, ...],
    ranking: str,
) -> Regions:
    """The chosen candidates in the caller's rows and units."""
    n, d = call.values.shape
    q = 0 if space is None else space.axes.shape[1]
    r = len(chosen)
    scores, weights = np.full((r, n), -np.inf), np.zeros((r, n))
    centers, roots = np.zeros((r, d)), np.zeros((r, d, q))
    numbers = np.zeros((7, r))
    members, first_half = [], np.zeros(n, bool)
    places = {id(found): at for at, found in enumerate(pool)}
    mean, spread = float(clipped.mean()), float(clipped.std())
    if ground is not None:
        first_half[order] = ground.side
    for row, pick in enumerate(chosen):
        assert space is not None and ground is not None
        found, scope = pick.found, pick.found.view.scope
        ball = found.balls[ground.at(np.array([pick.at]))]
        score, weight = rank_all(found.view, ball, ranking)
        at = order[scope.rows]
        scores[row, at] = score[0].double().cpu().numpy()
        weights[row, at] = weight[0].double().cpu().numpy()
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
    for start, block in read_blocks(call.values, lambda: call.progress(1.0, _LAST)):
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
