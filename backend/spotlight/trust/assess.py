"""``assess_spotlights``: are the regions of a search real, or what searching alone would find?

Three answers, from cheap to dear. *Claim*: each half of the data is searched, and what it finds is
tested on the other half (``halves``, ``claim``). *Search null*: the search is repeated on shuffled losses.
*Stability*: it is repeated on bootstrap samples (both in ``refits``). The first two decide together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.spotlight.find import Spotlights, search_spotlights
from backend.spotlight.options import SearchOptions
from backend.spotlight.trust.effort import (
    RESAMPLED_S,
    SHUFFLED_S,
    affordable,
    search_cost,
    shuffles_needed,
)
from backend.spotlight.trust.findings import Assessment, RegionAssessment
from backend.spotlight.trust.halves import AssessCall, draw_rows, hold_out
from backend.spotlight.trust.refits import SearchNull, bootstrap_overlaps, search_null, share_of
from backend.spotlight.trust.verdicts import complete, conclude

# Rows of each refit: so many, fewer where they hold more numbers than this, down to the least; more
# where a region would hold fewer than these members (``halves.draw_rows``).
_REFIT_ROWS, _REFIT_NUMBERS, _LEAST_ROWS = 4096, 2**20, 1024
_REFIT_MEMBERS, _MOST_NUMBERS = 20, 2**25


def assess_spotlights(
    embeddings: Any,
    losses: Any,
    *,
    size: float = 0.02,
    n_spotlights: int = 5,
    kernel: str = "gaussian",
    precision: str = "spherical",
    solver: str = "fast",
    starts: int = 16,
    seed: int = 0,
    labels: Any = None,
    n_permutations: int = 199,
    n_bootstrap: int = 20,
    level: float = 0.05,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    found: Spotlights | None = None,
    early: Callable[[Assessment], None] | None = None,
) -> Assessment:
    """How sure the regions are that ``find_spotlights`` finds with these options.

    Parameters
    ----------
    embeddings, losses, size, n_spotlights, kernel, precision, solver, starts, seed, device, progress
        Of ``find_spotlights``.
    labels : array-like of shape (n,), optional
        True labels, numbers or names. The claim then also asks whether a region is worse than its
        labels.
    n_permutations : int
        Searches on shuffled losses, at most. 0 leaves them out: the claim then decides alone.
    n_bootstrap : int
        Searches on bootstrap samples, at most. 0 leaves them out. Of both, fewer are made where one
        search costs much (``effort``); ``note`` says so.
    level : float
        Chance of calling any region real when none is.
    found : Spotlights, optional
        The regions, when they are known already: the result of ``find_spotlights`` with these
        options. Otherwise they are searched first.
    early : callable, optional
        Called with the assessment when the claim is known: what is real stays so, the rest is
        ``pending``, ``search_p`` and ``stability`` still NaN. Called again, with final verdicts,
        when the shuffled searches have ended and refits for ``stability`` begin.

    Returns
    -------
    Assessment

    Raises
    ------
    InputError
        As ``find_spotlights``; if labels are not one per embedding, a number is out of range, or
        ``found`` is of other data.

    Notes
    -----
    *Claim.* The rows are split at random, balanced within labels. Each half is searched alone, from
    its own starts; its regions are tested on the other half against the largest statistic over all
    of them (``claim.max_t``). ``p = 2 (1 + b) / (1 + P)`` for the better of the two directions, and
    once more doubled when labels exist, for asking two questions. A shown region takes the p of
    its counterpart, matched by overlap of weights. Which one that is depends on the losses of both
    halves, as the shown regions do: p-values of single candidates would therefore be too small,
    those over the maximum of all are not.

    *Whole search.* The same search on shuffled losses, ``n_permutations`` times; ``search_p`` compares
    a region's in-sample weighted loss with the best region of each. It uses all rows at once and
    sees more where losses spread little; the claim sees more where a few extreme losses make the
    best region of any shuffle look bad.

    *Verdict.* ``p_value`` is twice the smaller of the two, at most 1 (Bonferroni; the claim alone
    with ``n_permutations`` 0). Both are family-wise: the chance that any region is called real when
    none is stays below ``level``. ``p_adjusted`` is Benjamini-Hochberg on top.

    *Held-out loss.* Each half is searched for as many regions as are shown; each of them is
    measured, with its own center and precision, on the rows that did not find it, and reported
    once. Real regions report their counterparts. The others report what is left in the order of
    finding: which of two chance findings overlaps a shown one is decided by the very losses that
    are to be reported, and would make noise look lifted.

    *Subsamples.* Large data is not searched whole again: the halves hold some 16 000 rows together,
    shuffled and resampled searches some 4000, fewer in many dimensions and more for small sizes;
    ``note`` says how many. Fewer rows make shuffled maxima larger and overlaps smaller: both err on
    the side of doubt. How much is searched again follows from the size of the data and the options
    alone, so that every machine gives the same p. Rows that are near-duplicates of one another, but
    for their place in different halves, are not independent, and make claims too strong.

    References
    ----------
    Westfall, Young, Resampling-Based Multiple Testing, Wiley 1993 (the maximum over a family).
    """
    values = check_matrix("embeddings", embeddings)
    n = len(values)
    loss = check_vector("losses", losses, n)
    _check_options(n_permutations, n_bootstrap, level)
    report = progress or ignore_progress
    options = SearchOptions(
        size=size,
        n_spotlights=n_spotlights,
        kernel=kernel,
        precision=precision,
        solver=solver,
        starts=starts,
        seed=seed,
    )
    chosen = choose_device(device)
    if found is None:
        found = search_spotlights(
            values, loss, options, device=chosen, progress=share_of(report, 0.0, 0.15)
        )
    elif found.weights.shape != (n_spotlights, n):
        raise InputError(
            f"found must hold {n_spotlights} regions of {n} examples: "
            f"got weights of shape {found.weights.shape}."
        )
    refit = replace(options, size=size if size < 1 else size / n, solver="fast")
    call = AssessCall(values, loss, _check_labels(labels, n), refit, chosen, level, report)
    notes = _adam_note(solver)
    held = hold_out(call, found, notes)
    rows = _refit_rows(call)
    cost = search_cost(len(rows), values.shape[1], refit)
    n_permutations = _shuffles(n_permutations, cost, level, notes)
    tests = 2 if n_permutations else 1
    assessment = conclude(call, held, notes, tests=tests)
    if early is not None and n_permutations + n_bootstrap > 0:
        early(assessment)
    if len(rows) < n and n_permutations + n_bootstrap > 0:
        notes.append(f"Shuffled and resampled searches used {len(rows)} of {n} rows.")
    best = float(found.weighted_losses[0])
    picked, own = np.asarray(values[rows]), loss[rows]
    null = search_null(
        picked,
        own,
        best,
        refit,
        device=chosen,
        n_permutations=n_permutations,
        level=level / tests,
        progress=share_of(report, 0.4, 0.75),
    )
    _note_null(null, n_permutations, level / tests, notes)
    if n_permutations:
        assessment = conclude(call, held, notes, tests=tests, search=(null, found.weighted_losses))
        if early is not None and n_bootstrap:
            early(assessment)
    if n_bootstrap and bool((picked == picked[0]).all()):
        # Every region is then all of them, and each refit would look for a precision it cannot find.
        notes.append("All examples lie on one point: resampling them says nothing of stability.")
        n_bootstrap = 0
    made = affordable(n_bootstrap, cost * n_spotlights, RESAMPLED_S)
    if made < n_bootstrap:
        notes.append(f"Data of this size allows {made} of {n_bootstrap} bootstrap refits.")
    samples = bootstrap_overlaps(
        picked,
        own,
        found.weights[:, rows],
        refit,
        device=chosen,
        n_bootstrap=made,
        progress=share_of(report, 0.75, 1.0),
    )
    report(1.0, "Regions assessed")
    return complete(assessment, samples, notes)


def assess_spotlight(
    embeddings: Any, losses: Any, *, region: int = 0, **options: Any
) -> RegionAssessment:
    """How sure one region is: ``assess_spotlights`` for the ``region``-th of its list.

    Parameters
    ----------
    embeddings, losses
        As there.
    region : int
        Position in the order of finding, from 0.
    **options
        As there; ``n_spotlights`` is ``region + 1`` unless given.

    Returns
    -------
    RegionAssessment
        ``.p_value``, ``.held_out_lift`` and ``.stability`` among others.
    """
    options.setdefault("n_spotlights", region + 1)
    if not 0 <= region < options["n_spotlights"]:
        raise InputError(f"region must be from 0 to {options['n_spotlights'] - 1}: got {region}.")
    return assess_spotlights(embeddings, losses, **options).regions[region]


def _check_options(n_permutations: int, n_bootstrap: int, level: float) -> None:
    for name, value in (("n_permutations", n_permutations), ("n_bootstrap", n_bootstrap)):
        if isinstance(value, bool) or value != int(value) or value < 0:
            raise InputError(f"{name} must be a whole number of at least 0: got {value!r}.")
    if not 0 < level < 1:
        raise InputError(f"level must be in (0, 1): got {level}.")


def _check_labels(labels: Any, n: int) -> NDArray[np.int64] | None:
    if labels is None:
        return None
    names = as_numpy(labels)
    if names.shape != (n,):
        raise InputError(f"labels must be one per embedding: got shape {names.shape} for {n}.")
    codes: NDArray[np.int64] = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return codes if codes.max() > 0 else None  # a single label asks nothing new


def _adam_note(solver: str) -> list[str]:
    if solver != "adam":
        return []
    return [
        "Halves, shuffled and resampled data were searched with the fast solver, whose optima are "
        "at least as good: what is said of Adam's regions errs on the side of doubt."
    ]


def _refit_rows(call: AssessCall) -> NDArray[np.int64]:
    """The rows that shuffled and resampled searches look at."""
    most = min(_REFIT_ROWS, _REFIT_NUMBERS // call.values.shape[1])
    return draw_rows(call, max(_LEAST_ROWS, most), _REFIT_MEMBERS, _MOST_NUMBERS)


def _shuffles(asked: int, cost: float, level: float, notes: list[str]) -> int:
    """How many shuffled searches are made at most."""
    made = affordable(asked, cost, SHUFFLED_S, needed=shuffles_needed(level / 2))
    if made < asked:
        notes.append(
            f"Data of this size allows {made} of {asked} shuffled searches."
            if made
            else "Data of this size allows too few shuffled searches to say anything: none is made."
        )
    return made


def _note_null(null: SearchNull, asked: int, level: float, notes: list[str]) -> None:
    made = len(null.maxima)
    if made < asked:
        notes.append(
            f"{made} of {asked} shuffled searches were made, then search p could no longer reach "
            f"{level:g}."
        )
