"""``assess_spotlights``: are the regions of a search real, or what searching alone would find?

Three answers, from cheap to dear. *Claim*: each half of the data is searched, and what it finds is
tested on the other half (``claim``). *Search null*: the search is repeated on shuffled losses.
*Stability*: it is repeated on bootstrap samples (both in ``refits``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import (
    UNDEFINED,
    Interval,
    adjust_p,
    mean_interval,
    weighted_mean_interval,
)
from backend.spotlight.claim import MIN_EFFECTIVE, effective_sizes, max_t, split_halves
from backend.spotlight.find import Spotlights, find_spotlights
from backend.spotlight.findings import (
    Assessment,
    RegionAssessment,
    Verdict,
    write_sentence,
)
from backend.spotlight.refits import (
    SearchNull,
    bootstrap_overlaps,
    match,
    search_null,
    share_of,
    weights_of,
)
from backend.spotlight.rows import Rows

# A counterpart on half of the data overlaps the shown region at least this much.
MIN_OVERLAP = 0.2
# Shuffles of held-out losses: enough that Benjamini-Hochberg over the regions leaves room.
_CLAIM_SHUFFLES, _SHUFFLES_PER_REGION = 999, 200
_MIN_ROWS = 20
# Halves are drawn from at most this many numbers; refits from as many rows as starts are
# converged on by the search itself, or as hold this many of the region's examples.
_CLAIM_NUMBERS, _REFIT_NUMBERS = 2**25, 2**24
_REFIT_ROWS, _REFIT_MEMBERS = 8192, 100
# Share of the time budget by which shuffled searches end; bootstrap refits have the rest.
_NULL_SHARE = 0.7
_FULL_EXAMPLES = 5


@dataclass(frozen=True)
class _Call:
    """A checked call."""

    values: NDArray[Any]
    losses: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    share: float
    n_spotlights: int
    refit: dict[str, Any]
    seed: int
    level: float
    progress: Progress


@dataclass(frozen=True)
class _HeldOut:
    """What the halves say. ``r`` shown regions, ``r`` candidates and one test per direction.

    ``which``, ``p_within``, ``p_overall``, ``overlaps``, ``sizes`` and ``z`` are (2, r), of each
    shown region's counterpart; ``null`` is (2, P); ``weights`` (2, r, n) are the candidates' on the
    rows that did not find them, in order of finding, and ``losses`` (n,) those rows' losses.
    """

    which: NDArray[np.int64]
    p_within: NDArray[np.float64]
    p_overall: NDArray[np.float64]
    overlaps: NDArray[np.float64]
    sizes: NDArray[np.float64]
    z: NDArray[np.float64]
    null: NDArray[np.float64]
    weights: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def n_candidates(self) -> int:
        return 2 * self.weights.shape[1]


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
    time_budget_s: float = 60.0,
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
        Searches on shuffled losses, at most. 0 leaves them out.
    n_bootstrap : int
        Searches on bootstrap samples, at most. 0 leaves them out.
    time_budget_s : float
        Shuffled and resampled searches end when this has passed since the call. The claim is always
        finished.
    level : float
        Chance of calling any region real when none is.
    found : Spotlights, optional
        The regions, when they are known already: the result of ``find_spotlights`` with these
        options. Otherwise they are searched first.
    early : callable, optional
        Called with the assessment when the claim is known: verdicts are final, ``search_p`` and
        ``stability`` still NaN.

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

    Verdicts come from these p-values, which are family-wise already: the chance that any region is
    called real when none is stays below ``level``. ``p_adjusted`` is Benjamini-Hochberg on top.
    ``search_p`` is reported beside them and decides nothing: it compares in-sample losses, in which
    a few extreme ones can hide a real region.

    *Held-out loss.* Each half is searched for as many regions as are shown; each of them is
    measured, with its own center and precision, on the rows that did not find it, and reported
    once. Real regions report their counterparts. The others report what is left in the order of
    finding: which of two chance findings overlaps a shown one is decided by the very losses that
    are to be reported, and would make noise look lifted.

    *Subsamples.* Shuffled and resampled searches use at most some 8000 rows (more for small sizes),
    the halves some 33 million numbers; ``note`` says how many. Fewer rows make shuffled maxima
    larger and overlaps smaller: both err on the side of doubt. Rows that are near-duplicates of one
    another, but for their place in different halves, are not independent, and make claims too
    strong.

    References
    ----------
    Westfall, Young, Resampling-Based Multiple Testing, Wiley 1993 (the maximum over a family).
    """
    began = time.monotonic()
    values = check_matrix("embeddings", embeddings)
    n = len(values)
    loss = check_vector("losses", losses, n)
    _check_options(n_permutations, n_bootstrap, time_budget_s, level)
    report = progress or ignore_progress
    options: dict[str, Any] = {
        "kernel": kernel,
        "precision": precision,
        "starts": starts,
        "seed": seed,
        "device": choose_device(device),
    }
    if found is None:
        found = find_spotlights(
            values,
            loss,
            size=size,
            n_spotlights=n_spotlights,
            solver=solver,
            progress=share_of(report, 0.0, 0.15),
            **options,
        )
    elif found.weights.shape != (n_spotlights, n):
        raise InputError(
            f"found must hold {n_spotlights} regions of {n} examples: "
            f"got weights of shape {found.weights.shape}."
        )
    share = size if size < 1 else size / n
    call = _Call(
        values,
        loss,
        _check_labels(labels, n),
        share,
        n_spotlights,
        {**options, "size": share},
        seed,
        level,
        report,
    )
    notes = _adam_note(solver)
    held = _hold_out(call, found, notes)
    assessment = _conclude(call, held, notes)
    if early is not None:
        early(assessment)
    rows = _refit_rows(call)
    if len(rows) < n and n_permutations + n_bootstrap > 0:
        notes.append(f"Shuffled and resampled searches used {len(rows)} of {n} rows.")
    best = float(found.weighted_losses[0])
    picked, own = np.asarray(values[rows]), loss[rows]
    null = search_null(
        picked,
        own,
        best,
        call.refit,
        n_permutations=n_permutations,
        level=level,
        seed=seed,
        deadline=began + _NULL_SHARE * time_budget_s,
        progress=share_of(report, 0.4, 0.75),
    )
    _note_null(null, best, n_permutations, level, notes)
    samples = bootstrap_overlaps(
        picked,
        own,
        found.weights[:, rows],
        call.refit,
        n_bootstrap=n_bootstrap,
        n_spotlights=n_spotlights,
        seed=seed,
        deadline=began + time_budget_s,
        progress=share_of(report, 0.75, 1.0),
    )
    if len(samples) < n_bootstrap:
        notes.append(f"Time allowed {len(samples)} of {n_bootstrap} bootstrap refits.")
    report(1.0, "Regions assessed")
    return _complete(assessment, found, null, samples, notes)


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


def _check_options(
    n_permutations: int, n_bootstrap: int, time_budget_s: float, level: float
) -> None:
    for name, value in (("n_permutations", n_permutations), ("n_bootstrap", n_bootstrap)):
        if isinstance(value, bool) or value != int(value) or value < 0:
            raise InputError(f"{name} must be a whole number of at least 0: got {value!r}.")
    if not time_budget_s >= 0:
        raise InputError(f"time_budget_s must be at least 0 seconds: got {time_budget_s}.")
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


def _hold_out(call: _Call, found: Spotlights, notes: list[str]) -> _HeldOut:
    """Search each half alone and test what it finds on the other."""
    n, d = call.values.shape
    r = len(found)
    generator = np.random.default_rng(call.seed)
    used = _draw_rows(n, _CLAIM_NUMBERS // d, generator)
    if len(used) < n:
        notes.append(f"The held-out claim used {len(used)} of {n} rows.")
    if call.refit["precision"] == "full" and call.share * (len(used) // 2) < _FULL_EXAMPLES * d:
        notes.append("Halves are too small for a full precision: no claim could be made.")
        return _nothing_held_out(r)
    if len(used) < _MIN_ROWS:
        notes.append(f"Fewer than {_MIN_ROWS} examples: no claim could be made.")
        return _nothing_held_out(r)
    values, losses = np.asarray(call.values[used]), call.losses[used]
    labels = None if call.labels is None else call.labels[used]
    first = split_halves(len(used), labels, generator)
    rows = Rows.normalised(values, call.refit["device"])
    shuffles = max(_CLAIM_SHUFFLES, _SHUFFLES_PER_REGION * r)
    tests: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(_HeldOut)[:-1]}
    for side, half in enumerate((first, ~first)):
        at = 0.15 + 0.125 * side
        other = ~half
        again = find_spotlights(
            values[half],
            losses[half],
            n_spotlights=r,
            progress=share_of(call.progress, at, at + 0.08, f"Searching half {side + 1} of 2"),
            **call.refit,
        )
        weights = weights_of(rows, again, call.refit["kernel"])
        which, overlaps = match(found.weights[:, used], weights)
        questions: list[NDArray[np.int64] | None] = [None]
        if labels is not None:
            questions.append(labels[other])
        results = [
            max_t(
                weights[:, other],
                losses[other],
                question,
                share=call.share,
                n_shuffles=shuffles,
                generator=generator,
                progress=share_of(call.progress, at + 0.08, at + 0.125),
            )
            for question in questions
        ]
        weights[:, half] = 0.0
        tests["which"].append(which)
        tests["p_overall"].append(results[0].p[which])
        tests["p_within"].append(results[-1].p[which] if labels is not None else np.full(r, np.nan))
        tests["overlaps"].append(overlaps)
        tests["sizes"].append(effective_sizes(weights)[which])
        tests["z"].append(results[0].z[which])
        tests["null"].append(results[0].null)
        tests["weights"].append(weights)
    return _HeldOut(**{name: np.array(pair) for name, pair in tests.items()}, losses=losses)


def _nothing_held_out(r: int) -> _HeldOut:
    blank, zeros = np.full((2, r), np.nan), np.zeros((2, r))
    return _HeldOut(
        which=np.zeros((2, r), np.int64),
        p_within=blank,
        p_overall=blank,
        overlaps=zeros,
        sizes=zeros,
        z=zeros - np.inf,
        null=np.empty((2, 0)),
        weights=np.empty((2, 0, 0)),
        losses=np.empty(0),
    )


def _conclude(call: _Call, held: _HeldOut, notes: list[str]) -> Assessment:
    """Verdicts from the held-out tests."""
    again = held.overlaps >= MIN_OVERLAP
    tested = again & (held.sizes >= MIN_EFFECTIVE)
    large = call.share * len(call.losses) / 2 >= MIN_EFFECTIVE and held.n_candidates > 0
    lost = np.logical_not(again.any(axis=0)) & large
    tellable = np.logical_or(tested.any(axis=0), lost)
    p_overall = _better(np.where(tested, held.p_overall, np.nan), tellable)
    p_within = np.full(len(p_overall), np.nan)
    p = p_overall
    if call.labels is not None:
        p_within = _better(np.where(tested, held.p_within, np.nan), tellable)
        p = np.minimum(1.0, 2 * np.minimum(p_overall, p_within))
    adjusted = adjust_p(p)
    real = p <= call.level  # false for NaN
    measured = _measure(held, real)
    base = float(call.losses.mean())
    regions = []
    for i in range(len(p)):
        verdict: Verdict = "not distinguishable from chance"
        if not tellable[i]:
            verdict = "too small to tell"
        elif real[i]:
            verdict = "real"
        class_level = bool(verdict == "real" and p_within[i] > call.level)
        loss, held_out_size = measured[i]
        lift = UNDEFINED
        if base > 0:
            lift = Interval(loss.value / base, loss.low / base, loss.high / base)
        regions.append(
            RegionAssessment(
                p_value=float(p[i]),
                p_adjusted=float(adjusted[i]),
                p_within_labels=float(p_within[i]),
                p_overall=float(p_overall[i]),
                search_p=math.nan,
                held_out_loss=loss,
                held_out_lift=lift,
                held_out_size=held_out_size,
                overlaps=(float(held.overlaps[0, i]), float(held.overlaps[1, i])),
                stability=UNDEFINED,
                verdict=verdict,
                class_level=class_level,
                sentence=write_sentence(
                    loss=loss,
                    lift=lift,
                    base=base,
                    p=float(p[i]),
                    n_candidates=held.n_candidates,
                    verdict=verdict,
                    class_level=class_level,
                    found_again=bool(again[:, i].any()),
                ),
            )
        )
    return Assessment(
        regions=tuple(regions),
        level=call.level,
        n_candidates=held.n_candidates,
        base_loss=base,
        claim_z=np.where(again, held.z, -np.inf),
        claim_null=held.null,
        null_maxima=np.empty(0),
        stability_samples=np.empty((0, len(regions))),
        note=" ".join(notes),
    )


def _measure(held: _HeldOut, real: NDArray[np.bool_]) -> list[tuple[Interval, float]]:
    """Held-out loss and effective size of each shown region, both directions together.

    Real regions take their counterparts; the others take what is left, in order of finding.
    """
    r = len(real)
    if held.n_candidates == 0:
        return [(UNDEFINED, 0.0)] * r
    both = np.zeros((r, held.weights.shape[2]))
    for which, weights in zip(held.which, held.weights, strict=True):
        taken = np.where(real, which, -1)
        taken[~real] = np.setdiff1d(np.arange(r), taken[real])
        both += weights[taken]
    sizes = effective_sizes(both)
    return [
        (weighted_mean_interval(held.losses, weights), float(size))
        for weights, size in zip(both, sizes, strict=True)
    ]


def _better(p: NDArray[np.float64], tellable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(r,) ``2 min`` of the two directions, at most 1; 1 for regions not found again."""
    smaller = np.minimum(np.nan_to_num(p[0], nan=1.0), np.nan_to_num(p[1], nan=1.0))
    return np.where(tellable, np.minimum(1.0, 2 * smaller), np.nan)


def _draw_rows(n: int, most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most ``most`` rows (but not fewer than ``_MIN_ROWS``), ascending."""
    count = min(n, max(most, _MIN_ROWS))
    return np.arange(n) if count == n else np.sort(generator.choice(n, count, replace=False))


def _refit_rows(call: _Call) -> NDArray[np.int64]:
    n, d = call.values.shape
    most = max(_REFIT_ROWS, math.ceil(_REFIT_MEMBERS / call.share))
    most = min(most, max(_REFIT_ROWS, _REFIT_NUMBERS // d))
    if call.refit["precision"] == "full":
        most = max(most, math.ceil(_FULL_EXAMPLES * d / call.share) + 1)
    return _draw_rows(n, most, np.random.default_rng(call.seed))


def _note_null(null: SearchNull, best: float, asked: int, level: float, notes: list[str]) -> None:
    made = len(null.maxima)
    if made == asked:
        return
    if int((null.maxima >= best).sum()) >= null.limit:
        why = f"search p could no longer reach {level:g}"
    else:
        why = "time was up"
    notes.append(f"{made} of {asked} shuffled searches were made, then {why}.")


def _complete(
    assessment: Assessment,
    found: Spotlights,
    null: SearchNull,
    samples: NDArray[np.float64],
    notes: list[str],
) -> Assessment:
    """The assessment with what the refits add."""
    search_p = null.p(found.weighted_losses)
    regions = []
    for i, region in enumerate(assessment.regions):
        mean = mean_interval(samples[:, i])
        cut = Interval(mean.value, *np.clip([mean.low, mean.high], 0.0, 1.0).tolist())
        regions.append(replace(region, search_p=float(search_p[i]), stability=cut))
    return replace(
        assessment,
        regions=tuple(regions),
        null_maxima=null.maxima,
        stability_samples=samples,
        note=" ".join(notes),
    )
