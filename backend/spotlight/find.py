"""``find_spotlights``: a few regions of embedding space where the losses are high together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from backend.core.progress import Progress
from backend.spotlight.call import Search, check_search
from backend.spotlight.options import SearchOptions
from backend.spotlight.runs import run
from backend.spotlight.spotlights import Region, Spotlights

__all__ = ["Region", "Spotlights", "find_spotlights", "iterate_spotlights"]


def find_spotlights(
    embeddings: Any,
    losses: Any,
    *,
    size: float = 0.02,
    n_spotlights: int = 5,
    kernel: str = "gaussian",
    precision: str = "spherical",
    solver: str = "fast",
    starts: int = 16,
    counts: Any = None,
    flip: bool = False,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    mode: str = "successive",
    barrier_scale: float | None = None,
    max_steps: int | None = None,
    prepare: str = "none",
    components: int | None = None,
) -> Spotlights:
    """Regions of embedding space where the model does badly, the worst first.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Any float width; may be memory-mapped, and is then read in blocks.
    losses : array-like of shape (n,)
        Higher is worse.
    size : float
        Smallest allowed size of a region: a share of the total count in (0, 1), or a number of
        examples from 1 up.
    n_spotlights : int
    kernel : {"gaussian", "squared_distance"}
        How membership falls with the scaled squared distance q: ``exp(-q/2)`` as in the paper, or
        ``max(0, 1 - q)``, which leaves examples outside the region at exactly 0.
    precision : {"spherical", "diagonal", "full"}
        Round regions, regions stretched along the axes of the embedding, or any ellipsoid. With
        the fast solver no axis is more than 10 times as long as another, and ellipsoids need a size
        of 5 examples a dimension; with "adam" fewer are allowed, and the notes say so.
    solver : {"fast", "adam"}
        "fast" solves the size constraint exactly and climbs from many starts. "adam" repeats the
        published optimiser: one start at the origin of the embeddings, 5000 steps, in their units.
    starts : int
        Starts that the fast solver converges, out of four times as many that it tries; Adam has
        one.
    counts : array-like of shape (n,), optional
        How often each row counts; 1 by default. Sizes are then in counts.
    flip : bool
        Find the regions where the model does best.
    seed : int
        Of the fast solver's starts. Adam draws nothing.
    device : str or torch.device
        "auto" is a GPU where there is one.
    progress : callable, optional
        See ``backend.core.progress.Progress``.
    mode : {"successive", "distinct"}
        "successive", as in the paper: after each region the losses are taken away from its
        members, ``l <- (1 - k / max k) l``, and the search is repeated (for negative losses see
        Notes). "distinct" (fast solver only): the different optima of one search on the losses as
        they are, which may be fewer than asked for.
    barrier_scale : float, optional
        Adam only: penalty at ``W = S``, in loss units; 1 by default. Published runs took 10 for
        ImageNet and SQuAD.
    max_steps : int, optional
        Steps per ascent. "fast": 200 for round regions, which rarely need 50, and 1000 for others;
        "adam": 5000, over which the schedule of the barrier is stretched.
    prepare : {"none", "standardise", "pca", "projection"}
        What is done to the embeddings before the search: see ``prepare_embeddings``. Centers and
        precisions are then those of the prepared embeddings.
    components : int, optional
        Dimensions that "pca" and "projection" leave.

    Returns
    -------
    Spotlights

    Raises
    ------
    InputError
        If an argument has the wrong shape or value; if the size is not above 0 and below the
        total count; if the fast solver is asked for a full precision with fewer than 5 examples
        per dimension.

    Notes
    -----
    With the fast solver the regions do not depend on the order of the rows, nor (except for a
    diagonal precision) on shift, rotation or scale of the embeddings. The same input and seed give
    the same regions.

    Attenuation starts from the raw losses and accumulates. It moves the losses of members towards
    ``min(0, smallest loss)``: towards 0, as in the paper, unless losses are negative (log densities,
    margins), of which 0 would be the largest. A constant added to all losses therefore changes
    nothing in the first region, and nothing in later ones while the smallest loss is at most 0. A
    large positive constant does change later ones: members then lose far more than losses differ.
    Adam's published schedule goes by relative changes of the objective, and would end at once below
    0; it climbs on losses from which a negative smallest one is taken away. With it a positive
    constant can change the first region, too.

    With ``flip`` attenuation moves the losses of members towards the largest loss: towards 0 it
    would make the easiest region easier still. (The paper does not say; this makes a flipped search
    the search on ``max l - l``.)

    Equal losses everywhere give one arbitrary region with the outcome "no_contrast".

    References
    ----------
    d'Eon, d'Eon, Wright, Leyton-Brown, The Spotlight, FAccT 2022, arXiv:2107.00758.
    """
    options = SearchOptions(
        size=size,
        n_spotlights=n_spotlights,
        kernel=kernel,
        precision=precision,
        solver=solver,
        starts=starts,
        flip=flip,
        seed=seed,
        mode=mode,
        barrier_scale=barrier_scale,
        max_steps=max_steps,
        prepare=prepare,
        components=components,
    )
    return search_spotlights(
        embeddings, losses, options, counts=counts, device=device, progress=progress
    )


def iterate_spotlights(
    embeddings: Any,
    losses: Any,
    *,
    counts: Any = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[Region]:
    """The regions of ``find_spotlights``, each as soon as it is found.

    Parameters, defaults, errors and results are those of ``find_spotlights``. Arguments are checked
    at once, before the first region is asked for.
    """
    asked = SearchOptions(**options)
    return run(
        check_search(embeddings, losses, asked, counts=counts, device=device, progress=progress)
    )


def search_spotlights(
    embeddings: Any,
    losses: Any,
    options: SearchOptions,
    *,
    counts: Any = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Spotlights:
    """``find_spotlights`` with its options in one piece."""
    return collected(
        check_search(embeddings, losses, options, counts=counts, device=device, progress=progress)
    )


def collected(search: Search) -> Spotlights:
    """The regions of a search, in the order they are found, as one result."""
    regions = list(run(search))
    return Spotlights(
        weights=np.stack([region.weights for region in regions]),
        centers=np.stack([region.center for region in regions]),
        precisions=np.stack([np.asarray(region.precision) for region in regions]),
        weighted_losses=np.array([region.weighted_loss for region in regions]),
        objectives=np.array([region.objective for region in regions]),
        total_weights=np.array([region.total_weight for region in regions]),
        outcomes=tuple(region.outcome for region in regions),
        mean_loss=float(np.average(search.losses, weights=search.counts)),
        options=search.told(),
        preparation=search.preparation,
        warning=search.warning,
    )
