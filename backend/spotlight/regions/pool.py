"""Candidates: found on one half of the rows, judged on the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.regions.climb import Balls
from backend.spotlight.regions.ranking import Ranker, Ranks
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import Ground, View, search, views_of

# Numbers of a ranking that are held at once.
_BLOCK = 2**24


@dataclass(frozen=True)
class Found:
    """Candidates of one view, found on one half. ``k`` candidates.

    Parameters
    ----------
    view : View
    first : bool
        Whether the half that found them is the first.
    balls : Balls
    sizes : float64 array of shape (k,)
        Rows of both halves that each was made to hold.
    held_out : tuple of k int arrays
        Rows of the other half that rank first, as many as the size makes there.
    means, errors, bases, scores : float64 arrays of shape (k,)
        Of these rows: mean loss and its standard error; the mean that it is compared with. Scores
        are what candidates are ordered by. Their loss is, by default, that of the rows that rank
        first in the draft: the final ranking makes more of the candidates look alike. It counts
        more where these rows rank far above the next: a failure with a cause stands apart, while
        the hard examples between two labels run into their surroundings.
    """

    view: View
    first: bool
    balls: Balls
    sizes: NDArray[np.float64]
    held_out: tuple[NDArray[np.int64], ...]
    means: NDArray[np.float64]
    errors: NDArray[np.float64]
    bases: NDArray[np.float64]
    scores: NDArray[np.float64]


def find_candidates(
    ground: Ground,
    scopes: list[Scope],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> list[Found]:
    """All candidates of all scopes, in both geometries, found on either half."""
    pool = []
    total = sum(len(scope.rows) for scope in scopes)
    done = 0
    for scope in scopes:
        for view in views_of(ground, scope, settings):
            for first in (True, False):
                tick(done / total)
                balls = search(ground, view, first, settings, generator)
                if balls is not None:
                    pool.append(judge(ground, view, first, balls, settings, generator))
        done += len(scope.rows)
    return pool


def judge(
    ground: Ground,
    view: View,
    first: bool,
    balls: Balls,
    settings: Settings,
    generator: np.random.Generator,
) -> Found:
    """Rank the rows of the half that did not find the candidates, and look at the losses there.

    No ranking knows a loss of that half.
    """
    rows = view.scope.rows
    mine = ground.side[rows] == first
    parts = []
    for part in (np.flatnonzero(mine), np.flatnonzero(~mine)):
        if len(part) > settings.judge_rows:
            part = np.sort(generator.choice(part, settings.judge_rows, replace=False))
        parts.append(part)
    used = np.concatenate(parts)
    ranker = Ranker.of(ground, view, first, settings, ground.at(used))
    theirs = torch.arange(len(parts[0]), len(used), device=view.points.device)
    losses = view.losses[ground.at(parts[1])].double()
    # Sizes are counted in the rows that were searched, which may be a sample of the half.
    searched = min(int(mine.sum()), settings.search_rows)
    sizes = balls.sizes.cpu().numpy() * (len(rows) / searched)
    counts = np.maximum(1, np.rint(sizes * (~mine).mean() * len(parts[1]) / max(1, (~mine).sum())))
    own = float(losses.mean()) if len(losses) else 0.0
    everybody = float(
        ground.losses[ground.at(np.flatnonzero(ground.side != first))].double().mean()
    )
    bases = np.full(len(balls), everybody)
    means, errors, judged = np.zeros(len(balls)), np.zeros(len(balls)), np.zeros((2, len(balls)))
    gaps = np.zeros(len(balls))
    held_out: list[NDArray[np.int64]] = []
    step = max(1, _BLOCK // len(used))
    for start in range(0, len(balls), step):
        at = torch.arange(start, min(start + step, len(balls)), device=view.points.device)
        ranks = ranker.rank(balls[at])
        most = min(int(counts[start : start + step].max()), len(losses))
        levels, draft = ranks.draft[:, theirs].topk(min(settings.around * most, len(losses)))
        final = ranks.final[:, theirs].topk(most).indices
        for line, number in enumerate(at.tolist()):
            count = min(int(counts[number]), len(losses))
            top = final[line, :count]
            held_out.append(rows[parts[1][np.sort(top.cpu().numpy())]])
            means[number], errors[number] = judged[:, number] = _level(losses[top])
            gaps[number] = _gap(levels[line, : settings.around * count].double(), count)
            if settings.judged_by == "draft":
                judged[:, number] = _level(losses[draft[line, :count]])
            elif settings.judged_by == "kernel":
                weight = ranks.weights[line, theirs].double()
                mass = weight.sum().clamp_min(1e-30)
                apart = (losses - own).square()
                judged[0, number] = float(weight @ losses / mass)
                judged[1, number] = float((weight.square() @ apart).sqrt() / mass)
    base = (1 - settings.own_base) * everybody + settings.own_base * own
    scores = judged[0] - base - settings.caution * judged[1]
    shares = sizes / len(ground.side) / min(settings.sizes)
    factors = shares**settings.growth * gaps**settings.apartness
    scores = np.where(scores > 0, scores * factors, scores)
    scores[counts < settings.min_held_out] = -np.inf
    return Found(view, first, balls, sizes, tuple(held_out), means, errors, bases, scores)


def _level(losses: Tensor) -> tuple[float, float]:
    """Mean loss and its standard error; zeros for no rows."""
    if len(losses) == 0:
        return 0.0, 0.0
    return float(losses.mean()), float(losses.std(correction=0)) / math.sqrt(len(losses))


def _gap(levels: Tensor, count: int) -> float:
    """Mean of the first ``count`` numbers above the mean of the others; 0 without others."""
    if len(levels) <= count:
        return 0.0
    return max(0.0, float(levels[:count].mean() - levels[count:].mean()))


def rank_all(ground: Ground, found: Found, balls: Balls, settings: Settings) -> Ranks:
    """The rows of the scope, for some of what was found there."""
    return Ranker.of(ground, found.view, found.first, settings).rank(balls)
