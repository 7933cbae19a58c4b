"""Groups on the other half: methods run again on halves of the data, and judged on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.core.parts import deal
from backend.core.progress import Progress
from backend.slices.chance import p_of_groups
from backend.slices.found import FoundGroups, weighted_jaccard
from backend.slices.inputs import Inputs, needed

LEAST_ALIKE = 0.2
"""A group found on fewer examples that overlaps less is another group."""


def split_halves(
    n: int, labels: NDArray[np.int64] | None, seed: int, units: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves, ascending; without units their sizes within a label differ by at most one."""
    parts = deal(n, key=seed, shares=(1, 1), labels=labels, groups=units)
    return np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)


def held_out_numbers(
    results: Sequence[FoundGroups],
    losses: NDArray[np.float64],
    shuffles: int,
    seed: int,
    progress: Progress,
    *,
    known: NDArray[np.int64],
    units: NDArray[np.int64] | None,
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Mean loss of the halves of the known rows; held-out loss, rediscovery and p of every group."""
    labels = next((r.inputs.labels for r in results if r.inputs.labels is not None), None)
    first, second = split_halves(
        len(known),
        None if labels is None else labels[known],
        seed,
        None if units is None else units[known],
    )
    halves = known[first], known[second]
    total = sum(len(result) for result in results)
    loss = np.full((2, total), np.nan)
    alike = np.full((2, total), np.nan)
    p = np.full((2, total), np.nan)
    for direction, (found_on, scored_on) in enumerate((halves, halves[::-1])):
        start = 0
        for index, result in enumerate(results):
            step = _Step(progress, direction * len(results) + index, 2 * len(results))
            groups = slice(start, start + len(result))
            start += len(result)
            if len(result) == 0 or result.own is not None or result.refit is None:
                continue
            again = result.refit(result.inputs.take(found_on), progress=step.half(0))
            if len(again) == 0:
                alike[direction, groups] = 0.0
                p[direction, groups] = np.nan if "losses" in result.sees else 1.0
                continue
            hard = replace(result.inputs, probabilities=None)
            overlap = np.nan_to_num(weighted_jaccard(result.weights, again.rule(hard)[0]))
            match, best = overlap.argmax(axis=1), overlap.max(axis=1)
            alike[direction, groups] = best
            again_there = best >= LEAST_ALIKE
            unseen = hard.take(scored_on)
            weights = again.rule(unseen)[0]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = weights @ losses[scored_on] / weights.sum(axis=1)
            loss[direction, groups] = np.where(again_there, means[match], np.nan)
            if "losses" not in result.sees:
                random = np.random.default_rng([seed, direction])
                claimed = p_of_groups(
                    weights,
                    losses[scored_on],
                    _strata(unseen, result.sees),
                    shuffles,
                    random,
                    units=None if units is None else units[scored_on],
                    progress=step.half(1),
                )
                p[direction, groups] = np.where(again_there, claimed[match], 1.0)
    base = float(np.mean([losses[half].mean() for half in halves]))
    return base, {
        "held_out_loss": _mean_of_both(loss),
        "rediscovered": _mean_of_both(alike),
        "p": np.minimum(2 * np.fmin(p[0], p[1]), 1.0),
    }


@dataclass(frozen=True)
class _Step:
    """The share of the progress that one method in one direction has: half search, half test."""

    progress: Progress
    done: int
    of: int

    def half(self, which: int) -> Progress:
        def told(fraction: float, message: str) -> None:
            share = (self.done + (which + fraction) / 2) / self.of
            self.progress(share, f"On the other half: {message}")

        return told


def _mean_of_both(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the two directions; of one where the other has no value; NaN where both have none."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)


def _strata(inputs: Inputs, sees: Sequence[str]) -> NDArray[np.int64]:
    """Stratum of each example: losses are exchangeable only among examples a rule cannot tell."""
    strata = np.zeros(len(inputs), dtype=np.int64)
    if inputs.labels is not None:
        strata = strata + inputs.labels
    if "predictions" in sees:
        strata = strata * len(inputs.classes) + needed(inputs.predictions)
    return strata
