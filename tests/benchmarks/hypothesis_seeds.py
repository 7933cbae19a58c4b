"""How often a false hypothesis is supported and a true one found, over 100 seeds each.

    python -m tests.benchmarks.hypothesis_seeds

Each seed makes new losses, a new rule, a new split and new permutations. Losses are lognormal
(sigma 1.2: skewness about 11, the largest of 2000 about 40 times the mean), Bernoulli (0/1 losses)
or mixed. "False" means that matching and other examples have the same mean loss; where they differ
otherwise it is said. "True" effects are stated in standard deviations of the loss and in percent of
the mean loss. Coverage is the share of 95 % intervals that hold the true difference. A false
hypothesis must not be supported in at least 95 of 100 seeds, a true one supported in at least 95.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.report.verdict import test_hypothesis as check
from backend.spotlight import find_spotlights, members

SEEDS = 100
SIGMA = 1.2
MEAN, SD = np.exp(SIGMA**2 / 2), np.exp(SIGMA**2 / 2) * np.sqrt(np.exp(SIGMA**2) - 1)

Random = np.random.Generator
Made = tuple[NDArray[np.float64], NDArray[np.bool_], float, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """``make`` returns losses, who matches, the true difference and options of the test."""

    name: str
    true: bool
    make: Callable[[Random], Made]


def bundle_of(losses: NDArray[np.float64], columns: dict[str, object] | None = None) -> Bundle:
    n = len(losses)
    examples = pd.DataFrame({"id": [str(row) for row in range(n)], **(columns or {})})
    return Bundle("seeds", "0" * 64, None, np.zeros((n, 1), np.float32), losses, examples)


def heavy(random: Random, n: int) -> NDArray[np.float64]:
    return random.lognormal(0, SIGMA, n)


def shifted(n: int, share: float, effect: float) -> Callable[[Random], Made]:
    """Matching examples lose ``effect`` standard deviations more."""

    def make(random: Random) -> Made:
        match = random.random(n) < share
        return heavy(random, n) + effect * SD * match, match, effect * SD, {}

    return make


def scaled(n: int, share: float, factor: float) -> Callable[[Random], Made]:
    """Matching examples lose ``factor`` times as much."""

    def make(random: Random) -> Made:
        match = random.random(n) < share
        return heavy(random, n) * np.where(match, factor, 1.0), match, (factor - 1) * MEAN, {}

    return make


def errors(n: int, share: float, rates: tuple[float, float]) -> Callable[[Random], Made]:
    def make(random: Random) -> Made:
        match = random.random(n) < share
        losses = (random.random(n) < np.where(match, rates[0], rates[1])).astype(float)
        return losses, match, rates[0] - rates[1], {}

    return make


def uneven(n: int, share: float) -> Callable[[Random], Made]:
    """The same mean, but the matching are spread three times as wide, or a third."""

    def make(random: Random) -> Made:
        match = random.random(n) < share
        return 5 + random.normal(size=n) * np.where(match, 3.0, 1.0), match, 0.0, {}

    return make


def after_region(n: int) -> Callable[[Random], Made]:
    """Pure noise; a spotlight is searched, and the rule is its wider surroundings."""

    def make(random: Random) -> Made:
        points = random.normal(size=(n, 8)).astype(np.float32)
        losses = heavy(random, n)
        found = find_spotlights(points, losses, size=0.03, n_spotlights=1, starts=4)
        rows = members(found.weights[0], float(found.total_weights[0]))
        order = np.argsort(-found.weights[0], kind="stable")
        match = np.zeros(n, dtype=bool)
        match[order[: 4 * len(rows)]] = True
        return losses, match, 0.0, {"used_rows": rows}

    return make


def duplicates(things: int, copies: int, effect: float) -> Callable[[Random], Made]:
    """Each thing is in the data ``copies`` times with nearly the same loss; groups say so."""

    def make(random: Random) -> Made:
        thing = np.repeat(np.arange(things), copies)
        match = random.random(things)[thing] < 0.2
        losses = heavy(random, things)[thing] + 0.01 * random.random(things * copies)
        return losses + effect * SD * match, match, effect * SD, {"groups": "thing", "thing": thing}

    return make


CASES = [
    Case("heavy tails, n 2000, 10 % match", False, shifted(2000, 0.1, 0)),
    Case("heavy tails, n 120, 20 % match", False, shifted(120, 0.2, 0)),
    Case("0/1 losses, 10 % wrong, n 2000, 5 % match", False, errors(2000, 0.05, (0.1, 0.1))),
    Case("spread 3 x wider, same mean, n 400, 10 % match", False, uneven(400, 0.1)),
    Case("near-duplicates, 200 things x 10, groups given", False, duplicates(200, 10, 0)),
    Case("noise, read from a region, n 2000", False, after_region(2000)),
    Case("+0.5 sd, n 2000, 10 % match", True, shifted(2000, 0.1, 0.5)),
    Case("+0.5 sd, n 4000, 5 % match", True, shifted(4000, 0.05, 0.5)),
    Case("losses doubled (+0.56 sd), n 4000, 10 % match", True, scaled(4000, 0.1, 2)),
    Case("30 % wrong against 10 %, n 2000, 10 % match", True, errors(2000, 0.1, (0.3, 0.1))),
    Case("+1 sd, near-duplicates, 400 things x 5", True, duplicates(400, 5, 1.0)),
]


def run(case: Case) -> tuple[int, float, float, float]:
    """Supported, share of intervals that hold the truth, median p, seconds."""
    began, supported, covered, ps = time.perf_counter(), 0, 0, []
    for seed in range(SEEDS):
        losses, match, truth, options = case.make(np.random.default_rng([seed, 1]))
        columns = {"thing": options.pop("thing")} if "thing" in options else {}
        bundle = bundle_of(losses, columns)
        verdict = check(bundle, match, seed=seed, permutations=999, **options)
        supported += verdict.supported
        covered += verdict.low is not None and verdict.low <= truth <= verdict.high
        ps += [] if verdict.p is None else [verdict.p]
    return supported, covered / len(ps), float(np.median(ps)), time.perf_counter() - began


def main() -> None:
    out = sys.stdout.write
    out(f"{'hypothesis':<52}{'supported':>10}{'not':>9}{'coverage':>10}{'p':>8}{'s':>7}\n")
    for case in CASES:
        supported, covered, p, seconds = run(case)
        good = supported >= 95 if case.true else SEEDS - supported >= 95
        name = f"{'true ' if case.true else 'false'} {case.name}"
        counts = f"{supported:>10}{SEEDS - supported:>9}{covered:>10.2f}"
        out(f"{name:<52}{counts}{p:>8.3f}{seconds:>7.1f}{'' if good else '  MISSED'}\n")


if __name__ == "__main__":
    main()
