"""``find_regions``: a short, honest list of where a model fails, with or without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.parts import deal
from backend.core.parts import kept_aside as choose_aside
from backend.core.progress import Progress
from backend.core.threads import calm_threads
from backend.core.wording import LEVEL
from backend.spotlight.regions.call import RegionCall, check_call
from backend.spotlight.regions.choose import Tested, choose
from backend.spotlight.regions.collect import Searched, collected, nothing_found
from backend.spotlight.regions.directions import find_directions
from backend.spotlight.regions.known import lowered
from backend.spotlight.regions.pool import Judged, find_balls
from backend.spotlight.regions.result import Regions
from backend.spotlight.regions.scopes import make_scopes
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.shuffled import claim
from backend.spotlight.regions.space import (
    Space,
    make_spaces,
    read_rows,
    spread_over,
    stored_anyhow,
)
from backend.spotlight.regions.views import ASIDE, FIRST, SECOND, Ground
from backend.spotlight.regions.whole import Whole, failing_labels

SETTINGS = Settings()
# Fewer rows are not searched: a half would be too small to judge anything.
_FEWEST = 20
# Rows of a region that are few enough for a small data set: this share of it, but not below so many.
_SMALL, _LEAST = 0.04, 8
# Predictions with more distinct values than this are numbers rather than classes.
_MOST_ANSWERS = 1000
# The split is the same whatever the seed.
_SPLIT = "regions"


def find_regions(
    embeddings: Any,
    losses: Any,
    *,
    labels: Any = None,
    predictions: Any = None,
    probabilities: Any = None,
    groups: Any = None,
    kept_aside: Any = None,
    sizes: Any = None,
    known: Any = None,
    n_regions: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Regions:
    """A short list of regions where the model fails, each measured on examples that had no part in it.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Any float width; may be memory-mapped, and is then read in blocks.
    losses : array-like of shape (n,)
        Higher is worse. May be negative.
    labels : array-like of shape (n,), optional
        True labels, numbers or texts. Most failures are bound to one, so they help a lot.
    predictions : array-like of shape (n,), optional
        What the model answered, in the words of the labels. With labels they give error rates, and
        tell regions that are more than a cell of the confusion matrix from those that are one.
    probabilities : array-like of shape (n, c), optional
        What the model gave out. The search then also looks beside the model's own answer, in the
        embedding without the directions that tell it. With as many columns as there are labels,
        the most probable label is the prediction, where none is given.
    groups : array-like of shape (n,), optional
        What rows belong together (a patient, a video, copies of one image): such rows never lie in
        different parts of the data, and count as one where things are measured.
    kept_aside : bool array-like of shape (n,), optional
        Rows that neither find nor choose; a third of each label by default, the same whatever the
        losses and the seed.
    sizes : float or sequence of float, optional
        Shares of all rows that regions should have; 0.5, 1, 2 and 5 % by default.
    known : int array-like, or sequence of them, optional
        Rows of regions that were set aside before, as known or of no interest: the search goes on
        to further failures. Their losses count no more than what is left of their label has on
        average, no region that is listed holds half of one, or lies in one by half, and they have
        no part in any p.
    n_regions : int
        Regions to list, at most; labels that fail as a whole come on top.
    seed : int
        Of the starts and the shuffles, never of the split.
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
    The examples are dealt into three parts. Two of them search: what one finds the other judges.
    The third is kept aside until the list stands, and what is printed of a region, its losses and
    error rates, is of its members there alone.

    Labels that fail as a whole come first. Then the search asks many small questions: among all
    examples, each label and bundles of similar labels; at four sizes; with whitened distances, in the
    embedding and in what is left of it beside the model's own answer (of few examples also with
    distances as they are, and where the answer is not known, with these and whitened ones); from
    many starts, in two rounds; and along the linear direction of the loss. What one part finds is scored
    on the other: by its mean loss above that of the scope and of all, less a standard error, and by
    how far its members stand apart from what surrounds them. The list takes the best,
    sparing what is covered already, and of candidates that are nearly the same the surest; no region
    holds half of another. Cores of 15 examples or more are searched and judged, and filled up to 30
    by those that rank next. Members
    of a round region are ranked by its kernel together with a linear discriminant, which tells the
    region from examples of low loss in the parts that search, twice over; those of a direction by the
    direction, fitted again on both parts.

    Losses above their 90 % quantile (or their mean, where that is higher) count as that much in
    the search; inside a label that fails as a whole, above the quantile of the label.
    """
    asked = check_call(
        embeddings,
        losses,
        labels=labels,
        predictions=predictions,
        probabilities=probabilities,
        groups=groups,
        kept_aside=kept_aside,
        sizes=sizes,
        known=known,
        n_regions=n_regions,
        seed=seed,
        device=device,
        progress=progress,
    )
    with calm_threads(), torch.no_grad():
        return run(asked, SETTINGS if asked.sizes is None else replace(SETTINGS, sizes=asked.sizes))


def run(asked: RegionCall, settings: Settings) -> Regions:
    """A checked call under these settings."""
    n = len(asked.losses)
    asked = replace(asked, progress=_rising(asked.progress))
    least = max(_LEAST, round(_SMALL * n))
    settings = replace(
        settings,
        min_size=min(settings.min_size, least),
        min_core=min(settings.min_core, least),
    )
    if n <= settings.few:
        settings = replace(settings, views=settings.views_few)
    tick = _steps(asked.progress)
    reading = tick(0.0, 0.05, "Reading the embeddings")
    rows = read_rows(asked.values, settings.components, asked.device, lambda: reading(0))
    order = stored_anyhow(rows)
    asked = _in_order(asked, order)
    aside = _dealt_aside(asked, order) if asked.aside is None else asked.aside
    seen = ~aside
    if n < _FEWEST or seen.sum() < _FEWEST // 2:
        return nothing_found(
            asked, aside, f"Fewer than {_FEWEST} examples: too few to find regions and judge them."
        )
    set_aside = np.zeros(n, bool)
    for rows_known in asked.known:
        set_aside[rows_known] = True
    left = seen & ~set_aside
    if left.sum() < _FEWEST // 2:
        return nothing_found(
            asked, aside, "Too few examples are left beside what was set aside to judge a region."
        )
    codes = None if asked.codes is None else asked.codes[seen]
    cap = clip(asked.losses[left], settings.quantile)[1]
    clipped = lowered(np.minimum(asked.losses[seen], cap), set_aside[seen], codes)
    standard, mean, spread = standardised(clipped)
    if spread == 0:
        return nothing_found(asked, aside, "All losses are equal: no region is worse than another.")
    telling = spread_over(order, settings.axes_rows)
    beside = any(name.startswith("o") for name in settings.views)
    answers = _answers(asked, telling, seen[telling]) if beside else None
    spaces = make_spaces(rows, order, settings.components, telling, answers)
    ground, own, whole = _ground(
        asked, spaces, order, aside, set_aside, standard, (mean, spread), settings
    )
    generator = np.random.default_rng(asked.seed)
    labelled = None if asked.codes is None else ground.codes
    excess = np.nan_to_num(ground.losses.double().cpu().numpy(), nan=0.0).clip(min=0.0)
    scopes = make_scopes(ground.points, excess, labelled, settings, generator, own)
    pool = find_balls(
        ground, scopes, settings, generator, tick(0.05, 0.65, "Searching for regions")
    )
    if settings.directions:
        pool += find_directions(
            ground, rows, order, [one for one in scopes if len(one.labels) < 2], settings, generator,
            tick(0.65, 0.75, "Looking along directions"),
        )  # fmt: skip
    tested = _tested(asked, ground, order, pool, own, settings, generator, tick)
    chosen = choose(
        ground,
        tested,
        [np.flatnonzero(ground.codes == one.code) for one in whole],
        _placed(asked.known, order),
        asked.n_regions,
        settings,
        LEVEL,
        tick(0.85, 0.95, "Choosing among the candidates"),
    )
    search = Searched(rows, ground, order, (mean, spread, cap), settings, generator)
    return collected(asked, search, whole, chosen, sum(len(one) for one in pool))


def _placed(
    known: tuple[NDArray[np.int64], ...], order: NDArray[np.int64]
) -> list[NDArray[np.bool_]]:
    """(n,) masks of the known groups in this order."""
    masks = []
    for rows in known:
        mask = np.zeros(len(order), bool)
        mask[rows] = True
        masks.append(mask[order])
    return masks


def _in_order(asked: RegionCall, order: NDArray[np.int64]) -> RegionCall:
    """The call with labels and groups numbered as they first occur in this order.

    Draws follow these numbers, so what labels and groups are called does not matter.
    """
    changes: dict[str, Any] = {}
    for name in ("codes", "groups"):
        given = getattr(asked, name)
        if given is not None:
            firsts, ordered = _renumbered(given[order])
            changes[name] = np.empty_like(ordered)
            changes[name][order] = ordered
            if name == "codes":
                changes["names"] = asked.names[firsts]
    return replace(asked, **changes)


def _dealt_aside(asked: RegionCall, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The rows kept aside where the caller says nothing of it: the same rows however stored."""
    codes = None if asked.codes is None else asked.codes[order]
    groups = None if asked.groups is None else asked.groups[order]
    aside = np.zeros(len(order), bool)
    aside[order] = choose_aside(len(order), key=_SPLIT, labels=codes, groups=groups)
    return aside


def _answers(
    asked: RegionCall, rows: NDArray[np.int64], seen: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """What the model gave out for (k,) rows, centered over those that are seen, (k, c); others are 0.

    Log-probabilities without their mean, else predicted classes or numbers.
    """
    if asked.probabilities is not None:
        given = np.log(np.clip(asked.probabilities[rows], 1e-6, None))
        given -= given.mean(axis=1, keepdims=True)
    elif asked.answers is not None:
        names = asked.answer_names
        if len(names) <= min(_MOST_ANSWERS, max(2, len(asked.losses) // 10)):
            given = np.eye(len(names))[asked.answers[rows]]
        elif names.dtype.kind in "biuf":
            given = names[asked.answers[rows]].astype(np.float64)[:, None]
            given /= max(float(np.abs(given).max()), 1e-300)
        else:
            return None
    else:
        return None
    given -= given[seen].mean(axis=0)
    given[~seen] = 0.0
    return np.asarray(given)


def _ground(
    asked: RegionCall,
    spaces: tuple[Space, Space | None],
    order: NDArray[np.int64],
    aside: NDArray[np.bool_],
    set_aside: NDArray[np.bool_],
    standard: NDArray[np.float64],
    units: tuple[float, float],
    settings: Settings,
) -> tuple[Ground, dict[int, torch.Tensor], list[Whole]]:
    """What all searches share, in its own order; losses inside labels that fail; and these labels."""
    n = len(order)
    losses = np.full(n, np.nan)
    losses[~aside] = standard
    losses = losses[order]
    open_rows = ~aside[order]
    codes = np.zeros(n, np.int64) if asked.codes is None else asked.codes[order]
    side = np.full(n, ASIDE, np.int8)
    groups = None if asked.groups is None else asked.groups[order][open_rows]
    halves = deal(
        int(open_rows.sum()), key=_SPLIT, shares=(1, 1), labels=codes[open_rows], groups=groups
    )
    side[open_rows] = np.where(halves == 0, FIRST, SECOND)
    pairs = missed = None
    wrong = asked.wrong
    if wrong is not None and asked.answers is not None:
        missed = wrong[order]
        pairs = codes * len(asked.answer_names) + asked.answers[order]
    ground = Ground(
        tuple(space for space in spaces if space is not None),
        torch.from_numpy(losses).to(asked.device, spaces[0].points.dtype),
        side,
        codes,
        pairs,
        missed,
        set_aside[order],
    )
    if asked.codes is None:
        return ground, {}, []
    # Labels fail as a whole by what is left of them, and not where most was set aside.
    left = open_rows & ~ground.known
    whole = failing_labels(
        codes[left],
        asked.losses[order][left],
        None if missed is None else missed[left],
        None if groups is None else groups[left[open_rows]],
        settings,
        np.random.default_rng(0),
    )
    own = {}
    whole = [one for one in whole if ground.known[codes == one.code].mean() < settings.nested]
    mean, spread = units
    for one in whole:
        rows = np.flatnonzero(codes == one.code)
        raw = asked.losses[order[rows]]
        mine = open_rows[rows]
        cut = clip(raw[mine & ~ground.known[rows]], settings.quantile)[1]
        inside = np.full(len(rows), np.nan)
        inside[mine] = lowered(np.minimum(raw, cut)[mine], ground.known[rows][mine], None)
        inside = (inside - mean) / spread
        own[one.code] = torch.from_numpy(inside).to(ground.losses)
    return ground, own, whole


def _tested(
    asked: RegionCall,
    ground: Ground,
    order: NDArray[np.int64],
    pool: list[Judged],
    own: dict[int, torch.Tensor],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float, float, str], Callable[[float], None]],
) -> list[Tested]:
    """The candidates with the p of the search, and of being more than a cell where that is defined."""
    losses = ground.losses.double().cpu().numpy()
    for code, inside in own.items():
        losses[ground.codes == code] = inside.double().cpu().numpy()
    groups = None if asked.groups is None else asked.groups[order]
    zs, ps = claim(
        ground, pool, losses, ground.codes, groups, settings, generator,
        tick(0.75, 0.8, "Comparing with shuffled losses"),
    )  # fmt: skip
    cell_ps = [np.full(len(judged), np.nan) for judged in pool]
    graded = len(np.unique(losses[ground.open])) > 2
    if ground.pairs is not None and graded:
        _, cells = _renumbered(ground.pairs)
        _, cell_ps = claim(
            ground, pool, losses, cells, groups, settings, generator,
            tick(0.8, 0.85, "Comparing within the confusion matrix"),
        )  # fmt: skip
    return [Tested(*one) for one in zip(pool, zs, ps, cell_ps, strict=True)]


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
    """Distinct codes as they first occur, and the place among them of each row's."""
    distinct, firsts, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    return distinct[order], np.argsort(order)[inverse]


def _rising(progress: Progress) -> Progress:
    """The progress, never falling: embeddings are read again in later stages."""
    highest = 0.0

    def told(fraction: float, message: str) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        progress(highest, message)

    return told


def _steps(progress: Progress) -> Callable[[float, float, str], Callable[[float], None]]:
    def stage(low: float, high: float, message: str) -> Callable[[float], None]:
        return lambda share: progress(low + (high - low) * min(share, 1.0), message)

    return stage
