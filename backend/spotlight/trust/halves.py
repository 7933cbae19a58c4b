"""Each half of the data searched alone, and what it finds tested on the other half."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.spotlight.find import Spotlights, search_spotlights
from backend.spotlight.options import SearchOptions
from backend.spotlight.solver.rows import Rows
from backend.spotlight.trust.claim import effective_sizes, max_t, split_halves
from backend.spotlight.trust.refits import match, share_of, weights_of

# Shuffles of held-out losses: enough that Benjamini-Hochberg over the regions leaves room.
_CLAIM_SHUFFLES, _SHUFFLES_PER_REGION = 999, 200
_MIN_ROWS = 20
# Rows that are enough: for the two halves together, and for each refit. Small sizes need more, so
# that a region keeps this many examples, up to this many numbers.
_CLAIM_ROWS, _CLAIM_MEMBERS, _CLAIM_NUMBERS = 16_384, 200, 2**25
_FULL_EXAMPLES = 5


@dataclass(frozen=True)
class AssessCall:
    """A checked call of ``assess_spotlights``; ``refit`` are the options of searches made again."""

    values: NDArray[Any]
    losses: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    refit: SearchOptions
    device: torch.device
    level: float
    progress: Progress


@dataclass(frozen=True)
class HeldOut:
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


def hold_out(call: AssessCall, found: Spotlights, notes: list[str]) -> HeldOut:
    """Search each half alone and test what it finds on the other."""
    n, d = call.values.shape
    r = len(found)
    generator = np.random.default_rng(call.refit.seed)
    used = draw_rows(call, _CLAIM_ROWS, _CLAIM_MEMBERS, _CLAIM_NUMBERS)
    if len(used) < n:
        notes.append(f"The held-out claim used {len(used)} of {n} rows.")
    if call.refit.precision == "full" and call.refit.size * (len(used) // 2) < _FULL_EXAMPLES * d:
        notes.append("Halves are too small for a full precision: no claim could be made.")
        return _nothing_held_out(r)
    if len(used) < _MIN_ROWS:
        notes.append(f"Fewer than {_MIN_ROWS} examples: no claim could be made.")
        return _nothing_held_out(r)
    values, losses = np.asarray(call.values[used]), call.losses[used]
    labels = None if call.labels is None else call.labels[used]
    first = split_halves(len(used), labels, generator)
    rows = Rows.normalised(values, call.device)
    shuffles = max(_CLAIM_SHUFFLES, _SHUFFLES_PER_REGION * r)
    tests: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(HeldOut)[:-1]}
    for side, half in enumerate((first, ~first)):
        at = 0.15 + 0.125 * side
        other = ~half
        again = search_spotlights(
            values[half],
            losses[half],
            call.refit,
            device=call.device,
            progress=share_of(call.progress, at, at + 0.08, f"Searching half {side + 1} of 2"),
        )
        weights = weights_of(rows, again, call.refit.kernel)
        which, overlaps = match(found.weights[:, used], weights)
        questions: list[NDArray[np.int64] | None] = [None]
        if labels is not None:
            questions.append(labels[other])
        results = [
            max_t(
                weights[:, other],
                losses[other],
                question,
                share=call.refit.size,
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
    return HeldOut(**{name: np.array(pair) for name, pair in tests.items()}, losses=losses)


def _nothing_held_out(r: int) -> HeldOut:
    blank, zeros = np.full((2, r), np.nan), np.zeros((2, r))
    return HeldOut(
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


def draw_rows(call: AssessCall, enough: int, members: int, numbers: int) -> NDArray[np.int64]:
    """Random rows, ascending, or all when they are few: at least ``enough``, and more where a
    region would otherwise hold fewer than ``members`` examples, within ``numbers`` numbers.
    """
    n, d = call.values.shape
    most = max(enough, min(math.ceil(members / call.refit.size), numbers // d))
    if call.refit.precision == "full":
        most = max(most, math.ceil(2.1 * _FULL_EXAMPLES * d / call.refit.size))
    if n <= 1.2 * most:
        return np.arange(n)
    return np.sort(np.random.default_rng(call.refit.seed).choice(n, most, replace=False))
