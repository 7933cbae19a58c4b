"""Whom to ask next: examples whose answer teaches most, and a part drawn with known chances."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backend.sharpen.counting import draw
from backend.sharpen.learner import LATEST, RECIPES, Features

_DRAWN = 0.3
_LATEST = 200  # answers, all of them no, that are kept far from

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def whom_to_ask(
    features: Features,
    odds: Floats,
    probabilities: Floats,
    rows: Rows,
    told: NDArray[np.bool_],
    apart: Rows,
    n_next: int,
    *,
    seed: int = 0,
    version: int = LATEST,
) -> tuple[Rows, Floats]:
    """Rows to ask next, in random order, and with which chance each was drawn.

    Three in ten are drawn. The others are chosen: of four times as many that are least sure to
    belong, the least sure one and then, again and again, the one farthest from all chosen ones.
    Before the first yes the least sure are the first of the prior; with every no there are four
    candidates more, and those are asked that lie far from what was answered no, too (of more than
    200 answers, the last 200).

    Parameters
    ----------
    features : Features
    odds, probabilities : float64 arrays of shape (n,)
        As ``membership`` gives them.
    rows, told : arrays of shape (k,)
        Answered rows and what was said of each.
    apart : int64 array
        Rows that are not asked: answered or skipped.
    n_next : int
        How many to ask; fewer where fewer are left.
    seed : int
    version : int
        Of the method: earlier ones ask half the surest and half the least sure.

    Returns
    -------
    rows, chances
        Chances are NaN for rows that were chosen. Equally sure or equally far: the lower row, or
        the surer one, first.

    References
    ----------
    Distances are Euclidean, in the widest of the parts that classifiers see; the choice is
    Gonzalez's farthest-first traversal, Theoretical Computer Science 38, 1985.
    """
    recipe = RECIPES[version]
    still_open = np.ones(len(odds), bool)
    still_open[apart] = False
    open_rows = np.flatnonzero(still_open)
    seed += len(apart)
    m = min(round(_DRAWN * n_next), len(open_rows))
    drawn, chances = draw(open_rows, probabilities[open_rows], m, seed)
    left = open_rows[~np.isin(open_rows, drawn)]
    wanted = min(n_next - len(drawn), len(left))
    chosen: Rows = np.zeros(0, np.int64)
    if wanted > 0:
        by_odds = left[np.argsort(-odds[left], kind="stable")]
        n_surest = math.ceil(recipe.surest * wanted)
        surest, others = by_odds[:n_surest], by_odds[n_surest:]
        unsure = others[np.argsort(np.abs(probabilities[others] - 0.5), kind="stable")]
        wanted -= n_surest
        if recipe.spread > 1:
            no_yes = rows[:0] if told.any() else rows[-_LATEST:]
            unsure = unsure[: recipe.spread * (wanted + len(no_yes))]
            unsure = unsure[_far_apart(features.parts[-1], unsure, no_yes, wanted)]
        chosen = np.concatenate([surest, unsure[:wanted]])
    asked = np.concatenate([chosen, drawn])
    known = np.concatenate([np.full(len(chosen), np.nan), chances])
    order = np.random.default_rng([seed, 1]).permutation(len(asked))
    return asked[order], known[order]


def _far_apart(part: NDArray[np.float32], candidates: Rows, others: Rows, wanted: int) -> Rows:
    """Places of ``wanted`` candidates, each the farthest from those before it and from ``others``."""
    seen = part[candidates].astype(np.float64)
    away = np.full(len(seen), np.inf)
    for row in others:
        away = np.minimum(away, np.square(seen - part[row]).sum(axis=1))
    places = np.zeros(wanted, np.int64)
    for k in range(wanted):
        places[k] = away.argmax()
        away = np.minimum(away, np.square(seen - seen[places[k]]).sum(axis=1))
        away[places[: k + 1]] = -1
    return places
