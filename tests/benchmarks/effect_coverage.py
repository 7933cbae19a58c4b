"""How often does an interval hold the truth? Run with ``python -m tests.benchmarks.effect_coverage``.

Samples of n kept-aside members are drawn, and the interval that ``measure_effect`` gives is compared
with the true mean. Every number is a share of the samples in percent, 95 wanted; behind it, after a
slash, the median width in units of ``3.92 sd / sqrt(n)``, the width for many examples.

Losses: ``t`` is Student's interval, ``boot`` the bootstrap-t of 999 resamples. ``no others`` is what
the members alone give, ``alike`` with 500 others of the same distribution (a region of chance),
``half`` with 500 others of half the loss (a region that is real). Rates: ``exact`` for losses of 0
and 1, ``Wilson`` for error rates. Groups: means and error rates where rows come in groups of one
truth, whose sizes differ; ``rows`` takes every row for independent.

``--repeats`` and ``--resamples`` change the amount of work; ``--resamples 0`` leaves ``boot`` out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from backend.core.effects import measure_effect

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

SIZES = (10, 12, 15, 20, 40, 100, 400)
RATES = (0.05, 0.3, 0.9)
OTHERS = 500


def _mixture(share: float) -> Draw:
    def draw(random: np.random.Generator, n: int) -> Floats:
        return np.where(random.random(n) < share, random.gamma(2, 5, n), random.gamma(2, 0.5, n))

    return draw


LOSSES: dict[str, Draw] = {
    "normal": lambda random, n: random.normal(size=n),
    "gamma(2)": lambda random, n: random.gamma(2, size=n),
    "exponential": lambda random, n: random.exponential(size=n),
    "lognormal(1)": lambda random, n: random.lognormal(0, 1, n),
    "5 % large": _mixture(0.05),
    "20 % large": _mixture(0.2),
    "cross-entropy": lambda random, n: np.logaddexp(0, -random.normal(3, 3, n)),
    "near 0 or 3": lambda random, n: np.where(
        random.random(n) < 0.7, random.normal(3, 0.3, n), random.exponential(0.05, n)
    ),
}


def truth(draw: Draw) -> tuple[float, float]:
    """Mean and standard deviation, from four million draws."""
    many = np.concatenate([draw(np.random.default_rng([7, part]), 10**6) for part in range(4)])
    return float(many.mean()), float(many.std())


def student(samples: Floats) -> tuple[Floats, Floats]:
    n = samples.shape[1]
    half = special.stdtrit(n - 1, 0.975) * samples.std(axis=1, ddof=1) / np.sqrt(n)
    return samples.mean(axis=1) - half, samples.mean(axis=1) + half


def bootstrap_t(
    samples: Floats, resamples: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    count, n = samples.shape
    mean, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(n)
    t = np.empty((count, resamples))
    for at in range(resamples):
        drawn = samples[:, random.integers(0, n, n)]
        apart, spread = drawn.mean(axis=1) - mean, drawn.std(axis=1, ddof=1) / np.sqrt(n)
        still = spread < 1e-12 * error
        t[:, at] = apart / np.where(still, 1e-300, spread)
    t.sort(axis=1)
    last = round((resamples + 1) * 0.025) - 1
    return mean - t[:, -1 - last] * error, mean - t[:, last] * error


def measured(samples: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Ends of the intervals of samples (r, n) beside others (r, m)."""
    n = samples.shape[1]
    aside = np.ones(n + others.shape[1], dtype=bool)
    ends = np.empty((2, len(samples)))
    for at, pair in enumerate(zip(samples, others, strict=True)):
        effect = measure_effect(np.arange(n), aside, np.concatenate(pair))
        ends[:, at] = effect.loss_low, effect.loss_high
    return ends[0], ends[1]


def shown(ends: tuple[Floats, Floats], mean: float, unit: float) -> str:
    low, high = ends
    covered = 100 * np.mean((low <= mean) & (mean <= high))
    return f"{covered:5.1f} /{np.median(high - low) / unit:5.2f}"


def losses(repeats: int, resamples: int) -> None:
    print(f"{'losses':14}{'n':>5}" + "".join(f"{name:>14}" for name in COLUMNS))
    for number, (name, draw) in enumerate(LOSSES.items()):
        mean, deviation = truth(draw)
        for n in SIZES:
            random = np.random.default_rng([number, n])
            samples = draw(random, repeats * n).reshape(repeats, n)
            others = draw(random, repeats * OTHERS).reshape(repeats, OTHERS)
            unit = 3.92 * deviation / np.sqrt(n)
            cells = [
                shown(student(samples), mean, unit),
                shown(bootstrap_t(samples, resamples, random), mean, unit) if resamples else "-",
                shown(measured(samples, others[:, :0]), mean, unit),
                shown(measured(samples, others), mean, unit),
                shown(measured(samples, others / 2), mean, unit),
            ]
            print(f"{name:14}{n:5d}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


COLUMNS = ("t", "boot", "no others", "alike", "half")


def rates(repeats: int) -> None:
    print(f"\n{'rate':14}{'n':>5}{'exact':>14}{'Wilson':>14}")
    for rate in RATES:
        for n in SIZES:
            random = np.random.default_rng([int(100 * rate), n])
            hits = random.random((repeats, n)) < rate
            ends = np.empty((4, repeats))
            aside, rest = np.ones(n + 2, dtype=bool), np.array([False, True])
            for at, row in enumerate(hits):
                wrong = np.concatenate([row, rest])
                effect = measure_effect(np.arange(n), aside, wrong.astype(float), wrong=wrong)
                ends[:, at] = (
                    effect.loss_low, effect.loss_high, effect.error_low, effect.error_high,
                )  # fmt: skip
            unit = 3.92 * np.sqrt(rate * (1 - rate) / n)
            cells = [shown((ends[a], ends[a + 1]), rate, unit) for a in (0, 2)]
            print(f"{rate:<14}{n:5d}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def grouped(random: np.random.Generator, count: int, kind: str) -> tuple[Floats, Floats, Floats]:
    """Losses, errors and group of the rows of so many groups."""
    if kind == "four each":
        sizes = np.full(count, 4)
    elif kind == "a few copies":
        sizes = np.where(random.random(count) < 0.8, 1, random.integers(2, 12, count))
    else:
        sizes = random.geometric(0.4, count)
    group = np.repeat(np.arange(count), sizes)
    level = np.ones(count) if kind == "not alike" else random.gamma(1, 1, count)
    chance = np.full(count, 0.3) if kind == "not alike" else random.beta(0.6, 1.4, count)
    loss = random.gamma(2, 0.5, len(group)) * level[group]
    return loss, random.random(len(group)) < chance[group], group


def groups(repeats: int) -> None:
    names = ("loss, rows", "loss", "rate, rows", "rate")
    print(f"\n{'groups':14}{'n':>5}" + "".join(f"{name:>14}" for name in names))
    for kind in ("four each", "sizes differ", "a few copies", "not alike"):
        for count in (10, 15, 20, 40, 100):
            random = np.random.default_rng(count)
            held, widths = np.zeros((repeats, 4)), np.zeros((repeats, 4))
            for at in range(repeats):
                loss, wrong, group = grouped(random, count, kind)
                other_loss, other_wrong, other_group = grouped(random, 200, kind)
                arguments = (
                    np.arange(len(loss)),
                    np.ones(len(loss) + len(other_loss), dtype=bool),
                    np.concatenate([loss, other_loss]),
                )
                failed = np.concatenate([wrong, other_wrong])
                for column, codes in enumerate(
                    (None, np.concatenate([group, other_group + count]))
                ):
                    effect = measure_effect(*arguments, wrong=failed, groups=codes, seed=at)
                    for place, low, high, mean in (
                        (column, effect.loss_low, effect.loss_high, 1.0),
                        (column + 2, effect.error_low, effect.error_high, 0.3),
                    ):
                        held[at, place] = low <= mean <= high
                        widths[at, place] = high - low
            cells = [
                f"{100 * held[:, column].mean():5.1f} /{np.median(widths[:, column]):5.2f}"
                for column in range(4)
            ]
            print(f"{kind:14}{count:5d}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=999)
    options = parser.parse_args()
    losses(options.repeats, options.resamples)
    rates(options.repeats)
    groups(options.repeats // 2)


if __name__ == "__main__":
    main()
