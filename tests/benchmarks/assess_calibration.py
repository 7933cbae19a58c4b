"""How often is a region called real? Run with ``python -m tests.benchmarks.assess_calibration``.

First losses that do not depend on the embeddings: some region may be called real in at most 5 % of
bundles. Then a planted region of 2 % of the examples with doubled losses, whose chance of being
called real depends on the spread of the losses (their standard deviation over their mean).

The planted examples are a cluster: half as wide as the rest along each axis, around a point about
as far out as the others are. ``claim`` is what verdicts are made from; ``search`` counts bundles
where the first region's shuffled-search p is at most 5 %. A planted region counts as found when one
called real has at least half of the planted examples among its members.

``--bundles``, ``--permutations`` and ``--processes`` change the amount of work.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.statistics import wilson_interval
from backend.spotlight import assess_spotlights, find_spotlights, members

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

NOISES: dict[str, Draw] = {
    "normal": lambda random, n: random.normal(0, 1, n),
    "gamma, spread 0.5": lambda random, n: random.gamma(4, 0.25, n),
    "exponential": lambda random, n: random.exponential(size=n),
    "lognormal, sigma 1.5": lambda random, n: random.lognormal(0, 1.5, n),
    "Pareto, index 1.5": lambda random, n: random.pareto(1.5, n),
    "0/1, 20 % errors": lambda random, n: (random.random(n) < 0.2).astype(float),
    "0/1, 3 % errors": lambda random, n: (random.random(n) < 0.03).astype(float),
    "by label, 5 labels": lambda random, n: random.exponential(size=n),
}
SPREADS = (0.25, 0.5, 0.75, 1.0)
PLANTED_SHARE, N_SPOTLIGHTS, STARTS, LEVEL = 0.02, 5, 8, 0.05


@dataclass(frozen=True)
class Case:
    """One bundle: a noise by name, or a planted region in losses of some spread."""

    kind: str
    seed: int
    spread: float | None
    n_permutations: int


@dataclass(frozen=True)
class Seen:
    """What was said of one bundle."""

    kind: str
    real: bool
    found: bool
    family_wise: bool
    search: bool
    lift: float
    covered: bool


def make_noise(case: Case) -> tuple[Floats, Floats, NDArray[np.int64] | None]:
    """Embeddings with or without clusters, and losses drawn without looking at them."""
    random = np.random.default_rng([case.seed, 1])
    n, d = int(random.integers(300, 1001)), int(random.integers(8, 33))
    embeddings = random.normal(size=(n, d))
    if random.random() < 0.5:
        embeddings += 3 * random.normal(size=(6, d))[random.integers(0, 6, n)]
    losses = NOISES[case.kind](random, n)
    labels = random.integers(0, 5, n) if "label" in case.kind else None
    return embeddings, losses, labels


def make_planted(case: Case) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """1000 embeddings, gamma losses of mean 1 and the spread asked for, and the planted rows."""
    random = np.random.default_rng([case.seed, 2])
    n, d = 1000, int(random.integers(8, 33))
    embeddings = random.normal(size=(n, d))
    rows = np.arange(int(PLANTED_SHARE * n))
    embeddings[rows] = random.normal(size=d) + 0.5 * embeddings[rows]
    assert case.spread is not None
    shape = 1 / case.spread**2
    losses = random.gamma(shape, 1 / shape, n)
    losses[rows] *= 2
    return embeddings, losses, rows


def assess_case(case: Case) -> Seen:
    torch.set_num_threads(1)
    planted = np.empty(0, np.int64)
    labels = None
    if case.spread is None:
        embeddings, losses, labels = make_noise(case)
    else:
        embeddings, losses, planted = make_planted(case)
    options = {
        "size": PLANTED_SHARE,
        "n_spotlights": N_SPOTLIGHTS,
        "starts": STARTS,
        "seed": case.seed,
    }
    shown = find_spotlights(embeddings, losses, **options)
    said = assess_spotlights(
        embeddings,
        losses,
        **options,
        labels=labels,
        n_permutations=case.n_permutations,
        n_bootstrap=0,
        level=LEVEL,
        time_budget_s=math.inf,
        found=shown,
    )
    real = [region.verdict == "real" for region in said.regions]
    hits = [
        len(planted) > 0 and np.isin(planted, members(weights, total)).sum() >= len(planted) / 2
        for weights, total in zip(shown.weights, shown.total_weights, strict=True)
    ]
    first = said.regions[0]
    lift = first.held_out_lift
    return Seen(
        case.kind,
        any(real),
        any(called and hit for called, hit in zip(real, hits, strict=True)),
        any(region.p_value <= LEVEL for region in said.regions),
        first.search_p <= LEVEL,
        lift.value,
        lift.low <= 1 <= lift.high,
    )


def make_cases(bundles: int, n_permutations: int) -> tuple[list[Case], list[Case]]:
    """``bundles`` of noise, its kinds in turn, and as many for each spread."""
    kinds = list(NOISES)
    noise = [Case(kinds[i % len(kinds)], i, None, n_permutations) for i in range(bundles)]
    planted = [
        Case(f"spread {spread}", i, spread, n_permutations)
        for spread in SPREADS
        for i in range(bundles)
    ]
    return noise, planted


def describe(name: str, seen: list[Seen], planted: bool) -> str:
    count = len(seen)
    called = sum(one.found if planted else one.real for one in seen)
    low, high = wilson_interval(called, count)
    lifts = np.array([one.lift for one in seen])
    lift = f"{np.nanmean(lifts):8.3f}" if np.isfinite(lifts).any() else f"{'':8s}"
    family = sum(one.family_wise for one in seen) / count
    search = sum(one.search for one in seen) / count
    covered = sum(one.covered for one in seen) / count
    return (
        f"{name:24s}{count:8d}{called / count:9.3f}  ({low:.3f}-{high:.3f})"
        f"{family:12.3f}{search:9.3f}{lift}{covered:9.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=99)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    noise, planted = make_cases(chosen.bundles, chosen.permutations)
    began = time.perf_counter()
    with get_context("spawn").Pool(chosen.processes) as pool:
        seen = pool.map(assess_case, [*noise, *planted], chunksize=4)
    print(
        f"{'bundles':24s}{'number':>8s}{'called real':>11s}{'95 %':>13s}{'before BH':>13s}"
        f"{'search':>9s}{'lift':>8s}{'holds 1':>9s}"
    )
    print(describe("no region", seen[: len(noise)], planted=False))
    for kind in NOISES:
        few = [one for one in seen if one.kind == kind]
        if few:
            print(describe(f"  {kind}", few, planted=False))
    for spread in SPREADS:
        few = [one for one in seen if one.kind == f"spread {spread}"]
        print(describe(f"planted, spread {spread}", few, planted=True))
    print("lift and 'holds 1': held-out lift of the first region, and how often its 95 % interval")
    print(f"holds 1. {time.perf_counter() - began:.0f} s with {chosen.processes} processes.")


if __name__ == "__main__":
    main()
