"""How often is a region called real? Run with ``python -m tests.benchmarks.assess_calibration``.

First losses that do not depend on the embeddings: some region may be called real in at most 5 % of
bundles. Then a planted region of 2 % of the examples with doubled losses, whose chance of being
called real depends on the spread of the losses (their standard deviation over their mean).

The planted examples are a cluster: half as wide as the rest along each axis, around a point about
as far out as the others are. Columns: ``real`` (with its 95 % interval ``low``-``high``) is the share
of bundles with a region called real, where one is planted with one called real that has at least
half of the planted examples among its members. ``BH``: some region's p is at most 5 % after
Benjamini-Hochberg, too. ``claim`` and ``search``: some such region's p of that test alone is at most
5 %. ``lift``, ``list``: mean held-out lift of the first region, and of the list; ``holds 1``: how
often the first one's 95 % interval holds 1.

What could be had at all: ``shown`` is the share of planted bundles in which a shown region has at
least half of the planted examples among its members; no test can find more. ``told`` is the exact
power of the best test at 5 % for somebody who is told which 20 examples to look at and how losses
are distributed elsewhere; ``of 50`` of one who is told that it is one of 50 groups that share no
example, and pays for that by Bonferroni. A search has far more places to choose from.

``--bundles``, ``--planted``, ``--permutations`` and ``--processes`` change the amount of work.
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
from scipy.stats import gamma

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
    "cross-entropy": lambda random, n: np.logaddexp(0.0, -random.normal(3, 3, n)),
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
    shown: bool
    adjusted: bool
    claim: bool
    search: bool
    lift: float
    list_lift: float
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
        found=shown,
    )
    real = [region.verdict == "real" for region in said.regions]
    hits = [
        len(planted) > 0 and np.isin(planted, members(weights, total)).sum() >= len(planted) / 2
        for weights, total in zip(shown.weights, shown.total_weights, strict=True)
    ]
    counted = hits if case.spread is not None else [True] * len(real)

    def below(ps: list[float]) -> bool:
        return any(p <= LEVEL and count for p, count in zip(ps, counted, strict=True))

    first = said.regions[0]
    lift = first.held_out_lift
    return Seen(
        case.kind,
        any(real),
        any(called and hit for called, hit in zip(real, hits, strict=True)),
        any(hits),
        below([region.p_adjusted for region in said.regions]),
        below([region.p_claim for region in said.regions]),
        below([region.search_p for region in said.regions]),
        lift.value,
        float(np.mean([region.held_out_lift.value for region in said.regions])),
        lift.low <= 1 <= lift.high,
    )


def make_cases(bundles: int, planted: int, n_permutations: int) -> tuple[list[Case], list[Case]]:
    """``bundles`` of noise, its kinds in turn, and ``planted`` for each spread."""
    kinds = list(NOISES)
    noise = [Case(kinds[i % len(kinds)], i, None, n_permutations) for i in range(bundles)]
    regions = [
        Case(f"spread {spread}", i, spread, n_permutations)
        for spread in SPREADS
        for i in range(planted)
    ]
    return noise, regions


def told(spread: float, places: int) -> float:
    """Power of the best test of one of so many groups of 20 gamma losses, known before.

    Their sum decides (Neyman and Pearson: the likelihood ratio of two scales rises with it).
    """
    shape = round(PLANTED_SHARE * 1000) / spread**2
    border = gamma.isf(LEVEL / places, shape)
    return float(gamma.sf(border / 2, shape))


def describe(name: str, seen: list[Seen], spread: float | None = None) -> str:
    """One row of the table. Losses around 0 have no lift, and are left out of its columns."""
    count = len(seen)
    called = sum(one.real if spread is None else one.found for one in seen)
    low, high = wilson_interval(called, count)
    lifted = [one for one in seen if one.kind != "normal"]
    numbers = [
        called / count,
        float(low),
        float(high),
        sum(one.adjusted for one in seen) / count,
        sum(one.claim for one in seen) / count,
        sum(one.search for one in seen) / count,
        *(
            [
                float(np.mean([one.lift for one in lifted])),
                float(np.mean([one.list_lift for one in lifted])),
                float(np.mean([one.covered for one in lifted])),
            ]
            if lifted
            else [math.nan] * 3
        ),
    ]
    if spread is not None:
        numbers += [sum(one.shown for one in seen) / count, told(spread, 1), told(spread, 50)]
    return f"{name:24s}{count:8d}" + "".join(f"{number:9.3f}" for number in numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=int, default=200)
    parser.add_argument("--planted", type=int, default=100)
    parser.add_argument("--permutations", type=int, default=99)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    noise, planted = make_cases(chosen.bundles, chosen.planted, chosen.permutations)
    began = time.perf_counter()
    heads = ("real", "low", "high", "BH", "claim", "search", "lift", "list", "holds 1")
    heads += ("shown", "told", "of 50")
    print(f"{'bundles':24s}{'number':>8s}" + "".join(f"{head:>9s}" for head in heads))
    with get_context("spawn").Pool(chosen.processes) as pool:
        seen = pool.map(assess_case, noise, chunksize=4)
        if seen:
            print(describe("no region", seen))
        for kind in NOISES:
            few = [one for one in seen if one.kind == kind]
            if few:
                print(describe(f"  {kind}", few), flush=True)
        for spread in SPREADS:
            cases = [case for case in planted if case.spread == spread]
            if cases:
                seen = pool.map(assess_case, cases, chunksize=2)
                print(describe(f"planted, spread {spread}", seen, spread), flush=True)
    print(f"{time.perf_counter() - began:.0f} s with {chosen.processes} processes")


if __name__ == "__main__":
    main()
