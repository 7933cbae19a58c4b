"""What examples kept aside say of the groups of several methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from backend.core.effects import Effect, measure_effect
from backend.core.progress import Progress
from backend.core.wording import LEVEL
from backend.slices.found import FoundGroups, weighted_jaccard
from backend.slices.held_out import LEAST_ALIKE

REFOUND = "found on all examples; measured on what is found without those kept aside"

Rows = NDArray[np.int64]


def measure_groups(
    results: Sequence[FoundGroups],
    members: Sequence[Rows],
    losses: NDArray[np.float64],
    aside: NDArray[np.bool_],
    p: NDArray[np.float64],
    *,
    units: NDArray[np.int64] | None,
    progress: Progress,
) -> tuple[Effect | None, ...]:
    """The effect of every group, in the order of ``members``; None where no group can be measured.

    ``p`` of each group decides whether what stands for it is its counterpart, where the method
    looked at all examples (see ``compare_groups``).
    """
    wrong = next((one.inputs.wrong for one in results if one.inputs.wrong is not None), None)
    labels = next((one.inputs.labels for one in results if one.inputs.labels is not None), None)
    effects: list[Effect | None] = []
    for done, result in enumerate(results):
        progress(done / len(results), "Measuring the groups on the examples kept aside")
        place = slice(len(effects), len(effects) + len(result))
        if result.own is not None:
            effects += result.own.effects
            continue
        measured: Sequence[Rows | None] = members[place]
        if "losses" in result.sees:
            measured = [None] * len(result)
        elif result.inputs.kept_aside is None:
            measured = _counterparts(
                result, aside, p[place] <= LEVEL, progress, done / len(results)
            )
        for rows, kind in zip(measured, result.kinds, strict=True):
            if rows is None:
                effects.append(None)
                continue
            own = None
            if labels is not None and kind == "class":
                own = np.isin(labels, labels[rows])
            effects.append(measure_effect(rows, aside, losses, wrong=wrong, own=own, groups=units))
    return tuple(effects)


def _counterparts(
    result: FoundGroups,
    aside: NDArray[np.bool_],
    real: NDArray[np.bool_],
    progress: Progress,
    at: float,
) -> list[Rows | None]:
    """Members of what the method finds without the rows kept aside, one for each of its groups."""
    if result.refit is None or not len(result):
        return [None] * len(result)
    again = result.refit(
        result.inputs.take(np.flatnonzero(~aside)),
        progress=lambda _, told: progress(at, f"Without the examples kept aside: {told}"),
    )
    if not len(again):
        return [None] * len(result)
    weights, scores = again.rule(replace(result.inputs, probabilities=None, losses=None))
    alike = np.nan_to_num(weighted_jaccard(result.weights, weights))
    taken = np.full(len(result), -1)
    ours, theirs = linear_sum_assignment(-alike)
    close = real[ours] & (alike[ours, theirs] >= LEAST_ALIKE)
    taken[ours[close]] = theirs[close]
    left = np.setdiff1d(np.arange(len(again)), taken)
    others = np.flatnonzero(~real)[: len(left)]
    taken[others] = left[: len(others)]
    sizes = np.minimum(np.round(weights.sum(axis=1)).astype(np.int64), len(aside))
    return [
        None if one < 0 else np.argsort(-scores[one], kind="stable")[: sizes[one]]
        for one in taken.tolist()
    ]
