"""Where searches begin, and which rows a first search reads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from backend.spotlight.solver.rows import Rows

# Candidates among which k-means++ chooses; distances to each chosen one are computed for all.
_CANDIDATES = 512


def draw_starts(
    losses: NDArray[np.float64],
    counts: NDArray[np.float64] | None,
    order: NDArray[np.int64],
    rows: Rows,
    n_starts: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows at which searches start: half drawn by loss, half spread over high-loss points.

    Parameters
    ----------
    losses : float64 array of shape (n,)
        What the search maximises (higher is better to find).
    counts : float64 array of shape (n,) or None
    order : int array of shape (n,)
        A ranking of the rows that does not depend on how they are stored; draws follow it, so
        that shuffled input draws the same points.
    rows : Rows
    n_starts : int
    generator : numpy.random.Generator

    Returns
    -------
    int array of shape (n_starts,)
        A row may occur twice only when there are fewer distinct points than starts.
    """
    excess = np.maximum(losses - np.average(losses, weights=counts), 0.0)[order]
    if counts is not None:
        excess = excess * counts[order]
    if not excess.any():
        excess = np.ones(len(losses)) if counts is None else counts[order].copy()
    by_loss = order[_draw(excess, (n_starts + 1) // 2, generator)]
    candidates = order[_draw(excess, _CANDIDATES, generator)]
    points = rows.points(candidates).cpu().double()
    nearest = torch.cdist(points, rows.points(by_loss).cpu().double()).square().amin(1).numpy()
    spread = []
    for _ in range(n_starts - len(by_loss)):
        chosen = int(_draw(nearest, 1, generator)[0]) if nearest.any() else 0
        spread.append(chosen)
        distance = (points - points[chosen]).square().sum(1).numpy()
        nearest = np.minimum(nearest, distance)
    return np.concatenate([by_loss, candidates[spread]]).astype(np.int64)


def _draw(
    weights: NDArray[np.float64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Positions drawn in proportion to weights, evenly spaced along their running sum."""
    running = np.cumsum(weights)
    ticks = (np.arange(count) + generator.random(count)) / count * running[-1]
    return np.minimum(np.searchsorted(running, ticks, side="right"), len(weights) - 1)


def storage_free_order(losses: NDArray[np.float64], rows: Rows) -> NDArray[np.int64]:
    """Rows by loss, highest first; equal losses by distance from the mean, then by row."""
    return np.lexsort((rows.all_squares(), -losses)).astype(np.int64)


def draw_subsample(
    losses: NDArray[np.float64],
    counts: NDArray[np.float64] | None,
    order: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that stand for all, and how many each stands for.

    A row is drawn at a rate of ``sqrt(1 + z^2)`` of its standardised loss ``z``, at most once: few
    rows with a large loss weigh most in a region's loss, and leaving one out would cost most. Draws
    are at even steps along ``order``, so that the losses of the sample are spread like all.

    Parameters
    ----------
    losses : float64 array of shape (n,)
    counts : float64 array of shape (n,) or None
    order : int array of shape (n,)
        Rows by loss.
    size : int
        Rows to draw, fewer than n.
    generator : numpy.random.Generator

    Returns
    -------
    (int array, float64 array), each of shape (size,)
        Rows in ascending order, and their counts, which add up to those of all rows on average.
    """
    largest = np.abs(losses).max() or 1.0  # squares of tiny or huge losses would leave the range
    apart = losses / largest - np.average(losses / largest, weights=counts)
    variance = np.average(np.square(apart), weights=counts)
    rate = np.sqrt(1.0 + np.square(apart) / variance) if variance > 0 else np.ones(len(losses))
    count = np.ones(len(losses)) if counts is None else counts
    rate = rate * count
    sure = np.zeros(len(losses), dtype=bool)
    while True:
        room = size - sure.sum()
        chance = np.where(sure, 1.0, rate * (room / rate[~sure].sum()))
        over = chance > 1.0
        if not over.any():
            break
        sure |= over
    running = np.cumsum(chance[order])
    ticks = (np.arange(size) + generator.random()) * (running[-1] / size)
    places = np.minimum(np.searchsorted(running, ticks, side="right"), len(order) - 1)
    rows = np.sort(np.unique(order[places]))
    return rows, count[rows] / chance[rows]
