"""Does what is printed of regions hold on new data? Printed effect against the truth, where it is known.

Run with ``python -m tests.benchmarks.effects_hold``, perhaps with ``--seeds 50`` and the names of
cases. In every case each example has an expected loss, and its loss is drawn around that. The truth
of a region is the expected loss of its members that were kept aside; what was printed is their mean
loss with its 95 % interval. The table says, over all listed regions and over those called real: how
many; the sum of what was said over the sum of what is true; how often the interval holds the truth,
among regions with ten or more members kept aside; the same ratio for the multiple, and for the
first region of each list. Intervals of error rates likewise where there are predictions. Below:
how often some region is called real, and has p at most .05, in data without any structure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from backend.bundle import read_bundle
from backend.core.effects import FEWEST
from backend.core.neighbours import nearest
from backend.demo import demo_path
from backend.spotlight import find_regions

Random = np.random.Generator


@dataclass(frozen=True)
class Drawn:
    """Embeddings, labels or None, expected losses, drawn losses, and chances of an error or None."""

    embeddings: np.ndarray
    labels: np.ndarray | None
    expected: np.ndarray
    losses: np.ndarray
    chances: np.ndarray | None = None
    wrong: np.ndarray | None = None


def _space(random: Random, n: int, d: int = 16, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    label = random.integers(0, labels, n)
    return random.normal(size=(n, d)) + 2.0 * random.normal(size=(labels, d))[label], label


def _planted(embeddings: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    """The rows of label 1 nearest to one of them: a region of this share of all rows."""
    own = np.flatnonzero(labels == 1)
    apart = np.square(embeddings[own] - embeddings[own[0]]).sum(1)
    inside = np.zeros(len(labels), bool)
    inside[own[np.argsort(apart)[: round(share * len(labels))]]] = True
    return inside


def gamma(random: Random, n: int, times: float = 1.0, labelled: bool = True) -> Drawn:
    """Gamma losses of shape 2; a region of 6 % has ``times`` the mean."""
    embeddings, labels = _space(random, n)
    expected = np.where(_planted(embeddings, labels, 0.06), times, 1.0)
    losses = expected * random.gamma(2.0, 0.5, n)
    return Drawn(embeddings, labels if labelled else None, expected, losses)


def skewed(random: Random, n: int, times: float) -> Drawn:
    """Lognormal losses of deviation 1 on the log scale."""
    embeddings, labels = _space(random, n)
    expected = np.where(_planted(embeddings, labels, 0.06), times, 1.0)
    losses = expected * random.lognormal(-0.5, 1.0, n)
    return Drawn(embeddings, labels, expected, losses)


def errors(random: Random, n: int, times: float = 1.0) -> Drawn:
    """Losses of 0 and 1: the error itself, a tenth of the examples outside the region."""
    embeddings, labels = _space(random, n)
    chances = np.minimum(0.95, 0.1 * np.where(_planted(embeddings, labels, 0.06), times, 1.0))
    wrong = random.random(n) < chances
    return Drawn(embeddings, labels, chances, wrong.astype(float), chances, wrong)


def whole(random: Random, n: int) -> Drawn:
    """One label fails as a whole, and inside it a part fails more."""
    embeddings, labels = _space(random, n, labels=8)
    chances = np.where(labels == 1, 0.5, 0.08)
    chances = np.where(_planted(embeddings, labels, 0.03), 0.9, chances)
    wrong = random.random(n) < chances
    expected = 0.2 + 2.0 * chances
    losses = np.where(wrong, 2.0, 0.0) + random.gamma(1.0, 0.2, n)
    return Drawn(embeddings, labels, expected, losses, chances, wrong)


def smoothed(random: Random, n: int) -> Drawn:
    """Rows of the demo bundle; expected losses are means over their nearest neighbours' real ones."""
    bundle = read_bundle(demo_path("fashion"))
    rows = random.choice(bundle.n, n, replace=False)
    embeddings = np.asarray(bundle.embeddings[rows], float)
    real = np.asarray(bundle.losses[rows], float)
    expected = np.array([real[nearest(embeddings, row, k=15).rows].mean() for row in range(n)])
    expected = np.maximum(expected, 1e-3)
    return Drawn(
        embeddings, bundle.label_codes[rows], expected, expected * random.gamma(1.0, 1.0, n)
    )


CASES: dict[str, Callable[[Random], Drawn]] = {
    "noise, gamma, n 800": lambda random: gamma(random, 800),
    "noise, gamma, n 4000": lambda random: gamma(random, 4000),
    "noise, no labels, n 800": lambda random: gamma(random, 800, labelled=False),
    "noise, 0/1, n 800": lambda random: errors(random, 800),
    "noise, 0/1, n 4000": lambda random: errors(random, 4000),
    "planted x2, n 800": lambda random: gamma(random, 800, 2.0),
    "planted x2, n 4000": lambda random: gamma(random, 4000, 2.0),
    "planted x4, n 4000": lambda random: gamma(random, 4000, 4.0),
    "skewed x2, n 4000": lambda random: skewed(random, 4000, 2.0),
    "0/1 x4, n 4000": lambda random: errors(random, 4000, 4.0),
    "a label fails, n 4000": lambda random: whole(random, 4000),
    "demo, smoothed, n 4000": lambda random: smoothed(random, 4000),
}


@dataclass(frozen=True)
class Seen:
    """One listed region: what was said and what is true."""

    first: bool
    real: bool
    n: int
    said: float
    low: float
    high: float
    true: float
    said_times: float
    true_times: float
    error_held: float


def look(drawn: Drawn, seed: int) -> tuple[list[Seen], float, bool]:
    """All regions of one search, the smallest p of the search, and whether one is called real."""
    predictions = None
    if drawn.wrong is not None and drawn.labels is not None:
        count = int(drawn.labels.max()) + 1
        predictions = np.where(drawn.wrong, (drawn.labels + 1) % count, drawn.labels)
    found = find_regions(
        drawn.embeddings, drawn.losses, labels=drawn.labels, predictions=predictions, seed=seed
    )
    seen = []
    for at, effect in enumerate(found.effects):
        members = np.zeros(len(drawn.losses), bool)
        members[found.members[at]] = True
        inside, outside = members & found.kept_aside, ~members & found.kept_aside
        if not inside.any():
            continue
        measure = drawn.expected if drawn.chances is None else drawn.chances
        true, base = float(drawn.expected[inside].mean()), float(measure[outside].mean())
        held = np.nan
        if drawn.chances is not None and effect.n >= FEWEST:
            chance = float(drawn.chances[inside].mean())
            held = float(effect.error_low <= chance <= effect.error_high)
        seen.append(
            Seen(
                at == 0,
                bool(found.real[at]),
                effect.n,
                effect.loss,
                effect.loss_low,
                effect.loss_high,
                true,
                effect.multiple,
                float(measure[inside].mean()) / base,
                held,
            )
        )
    balls = [p for p, kind in zip(found.p_values, found.kinds, strict=True) if kind != "label"]
    return seen, min(balls, default=1.0), bool(found.real.any())


def line(title: str, seen: list[Seen]) -> str:
    if not seen:
        return f"{title:34s}{0:6d}"
    large = [one for one in seen if one.n >= FEWEST]
    held = [one.low <= one.true <= one.high for one in large]
    errors_held = [one.error_held for one in large if np.isfinite(one.error_held)]
    first = [one for one in seen if one.first]
    parts = [
        f"{title:34s}{len(seen):6d}",
        f"{sum(o.said for o in seen) / sum(o.true for o in seen):12.3f}",
        f"{np.nanmean([o.said_times for o in seen]) / np.nanmean([o.true_times for o in seen]):10.3f}",
        f"{np.mean(held):8.3f} of {len(large):4d}" if large else f"{'-':>16s}",
        f"{np.mean(errors_held):10.3f}" if errors_held else f"{'-':>10s}",
        f"{sum(o.said for o in first) / sum(o.true for o in first):10.3f}" if first else "",
    ]
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Does what is printed of regions hold?")
    parser.add_argument("cases", nargs="*", help="; ".join(CASES))
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'':34s}{'listed':>6s}{'said/true':>12s}{'times':>10s}{'interval holds':>16s}"
        f"{'errors':>10s}{'first':>10s}"
    )
    claims = []
    for name in options.cases or CASES:
        seen: list[Seen] = []
        ps, real = [], []
        for seed in range(options.seeds):
            one, p, called = look(CASES[name](np.random.default_rng(seed)), seed)
            seen += one
            ps.append(p)
            real.append(called)
        print(line(name, seen))
        print(line("    called real", [one for one in seen if one.real]), flush=True)
        if name.startswith("noise"):
            claims.append((name, np.mean(np.array(ps) <= 0.05), np.mean(real)))
    for name, claimed, called in claims:
        print(f"{name:34s} some p <= .05 in {claimed:.3f}, called real in {called:.3f}")


if __name__ == "__main__":
    main()
