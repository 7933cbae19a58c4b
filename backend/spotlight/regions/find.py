"""``find_regions``: a short, honest list of where a model fails, with or without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.core.threads import calm_threads
from backend.spotlight.regions.call import Call, check_call
from backend.spotlight.regions.choose import choose
from backend.spotlight.regions.collect import LAST, collected
from backend.spotlight.regions.pool import find_candidates
from backend.spotlight.regions.result import Regions
from backend.spotlight.regions.scopes import make_scopes
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.shuffled import claim
from backend.spotlight.regions.sides import deal
from backend.spotlight.regions.space import make_space, stored_anyhow
from backend.spotlight.regions.views import Ground

SETTINGS = Settings()
# Fewer rows are not searched: a half would be too small to judge anything.
_FEWEST = 20


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
    What one half of the examples finds is scored on the other half: by its mean loss above that of
    the scope and of all, less a standard error, and by how far its members stand apart from what
    surrounds them. The list takes the best, sparing what is covered already. Members
    are then ranked by the kernel together with a linear discriminant, which tells the region from
    examples of low loss in the half that found it.

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
    standard, mean, spread = standardised(clipped)
    if n < _FEWEST or spread == 0:
        why = (
            f"Fewer than {_FEWEST} examples: too few to find regions and judge them."
            if n < _FEWEST
            else "All losses are equal: no region is worse than another."
        )
        return collected(
            call, None, None, [], [], [], [], [], (mean, spread, cap), (why,), settings
        )
    space = make_space(
        call.values,
        settings.components,
        call.device,
        lambda: call.progress(0.0, "Reading the embeddings"),
    )
    order = stored_anyhow(clipped, space.points)
    generator = np.random.default_rng(call.seed)
    codes, groups = np.zeros(n, np.int64), None
    if call.codes is not None:
        firsts, codes = _renumbered(call.codes[order])
        call = replace(call, names=call.names[firsts])
    if call.groups is not None:
        _, groups = _renumbered(call.groups[order])
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
        steps(0.85, 1.0, LAST),
    )
    return collected(
        call, space, ground, order, pool, zs, ps, chosen, (mean, spread, cap), (), settings
    )


def clip(losses: NDArray[np.float64], quantile: float) -> tuple[NDArray[np.float64], float]:
    """Losses cut at a quantile, or at their mean where that is higher; and where they were cut."""
    cap = max(float(np.quantile(losses, quantile)), float(losses.mean()))
    return np.minimum(losses, cap), cap


def standardised(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Values with mean 0 and variance 1, their mean and deviation; 0 for no more than rounding."""
    largest = float(np.abs(values).max()) or 1.0
    shrunk = values / largest  # squares of huge or tiny losses would leave the range
    mean, spread = float(shrunk.mean()), float(shrunk.std())
    if spread <= 1e-12:
        return np.zeros(len(values)), mean * largest, 0.0
    return (shrunk - mean) / spread, mean * largest, spread * largest


def _renumbered(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct codes as they first occur, and the place among them of each row's.

    Draws follow these numbers, so what labels and groups are called does not matter.
    """
    distinct, firsts, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    return distinct[order], np.argsort(order)[inverse]


def _steps(progress: Progress) -> Callable[[float, float, str], Callable[[float], None]]:
    def stage(low: float, high: float, message: str) -> Callable[[float], None]:
        return lambda share: progress(low + (high - low) * min(share, 1.0), message)

    return stage
