"""From tests and refits to verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.core.statistics import (
    UNDEFINED,
    Interval,
    adjust_p,
    mean_share_interval,
    weighted_mean_interval,
)
from backend.spotlight.trust.claim import MIN_EFFECTIVE, effective_sizes
from backend.spotlight.trust.findings import Assessment, RegionAssessment, Verdict, write_sentence
from backend.spotlight.trust.halves import AssessCall, HeldOut
from backend.spotlight.trust.refits import SearchNull

# A counterpart on half of the data overlaps the shown region at least this much.
MIN_OVERLAP = 0.2


def conclude(
    call: AssessCall,
    held: HeldOut,
    notes: list[str],
    *,
    tests: int = 1,
    search: tuple[SearchNull, NDArray[np.float64]] | None = None,
) -> Assessment:
    """Verdicts from the held-out tests and, when it is known, the null of the whole search.

    Parameters
    ----------
    call : AssessCall
    held : HeldOut
    notes : list of str
    tests : int
        How many tests decide together; the smallest p counts so many times (Bonferroni). 1 where
        no shuffled search was asked for, else 2.
    search : (SearchNull, float64 array of shape (r,)), optional
        The null and the observed weighted losses.
    """
    again = held.overlaps >= MIN_OVERLAP
    tested = again & (held.sizes >= MIN_EFFECTIVE)
    large = call.refit.size * len(call.losses) / 2 >= MIN_EFFECTIVE and held.n_candidates > 0
    lost = np.logical_not(again.any(axis=0)) & large
    tellable = np.logical_or(tested.any(axis=0), lost)
    p_overall = _better(np.where(tested, held.p_overall, np.nan), tellable)
    p_within = np.full(len(p_overall), np.nan)
    claim = p_overall
    if call.labels is not None:
        p_within = _better(np.where(tested, held.p_within, np.nan), tellable)
        claim = np.minimum(1.0, 2 * np.minimum(p_overall, p_within))
    search_p, maxima = np.full(len(claim), np.nan), np.empty(0)
    if search is not None:
        search_p, maxima = search[0].p(search[1]), search[0].maxima
    p = np.where(tellable, np.minimum(1.0, tests * np.fmin(claim, search_p)), np.nan)
    pending = tests > 1 and search is None
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
                p_claim=float(claim[i]),
                p_adjusted=float(adjusted[i]),
                p_within_labels=float(p_within[i]),
                p_overall=float(p_overall[i]),
                search_p=float(search_p[i]),
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
                    pending=pending,
                ),
            )
        )
    return Assessment(
        regions=tuple(regions),
        level=call.level,
        n_candidates=held.n_candidates,
        base_loss=base,
        pending=pending,
        claim_z=np.where(again, held.z, -np.inf),
        claim_null=held.null,
        null_maxima=maxima,
        stability_samples=np.empty((0, len(regions))),
        note=" ".join(notes),
    )


def complete(assessment: Assessment, samples: NDArray[np.float64], notes: list[str]) -> Assessment:
    """The assessment with what the bootstrap refits add: (b, r) overlaps."""
    regions = []
    for i, region in enumerate(assessment.regions):
        regions.append(replace(region, stability=mean_share_interval(samples[:, i])))
    return replace(
        assessment, regions=tuple(regions), stability_samples=samples, note=" ".join(notes)
    )


def _measure(held: HeldOut, real: NDArray[np.bool_]) -> list[tuple[Interval, float]]:
    """Held-out loss and effective size of each shown region, both directions together.

    Real regions take their counterparts, where a half found one; the others take what is left, in
    order of finding.
    """
    r = len(real)
    if held.n_candidates == 0:
        return [(UNDEFINED, 0.0)] * r
    both = np.zeros((r, held.weights.shape[2]))
    for which, overlaps, weights in zip(held.which, held.overlaps, held.weights, strict=True):
        taken = np.where(real, which, -1)
        taken[~real] = np.setdiff1d(np.arange(r), taken[real])
        found = ~real | (overlaps >= MIN_OVERLAP)
        both += weights[taken] * found[:, None]
    sizes = effective_sizes(both)
    return [
        (weighted_mean_interval(held.losses, weights), float(size))
        for weights, size in zip(both, sizes, strict=True)
    ]


def _better(p: NDArray[np.float64], tellable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(r,) ``2 min`` of the two directions, at most 1; 1 for regions not found again."""
    smaller = np.minimum(np.nan_to_num(p[0], nan=1.0), np.nan_to_num(p[1], nan=1.0))
    return np.where(tellable, np.minimum(1.0, 2 * smaller), np.nan)
