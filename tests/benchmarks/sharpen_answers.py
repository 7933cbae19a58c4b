"""How far do a person's answers sharpen a region, and how often does the counted number hold?

Run with ``python -m tests.benchmarks.sharpen_answers`` (``--set reporting``; ``--persons 4``).
``planted`` says what the problems are. A simulated person starts from the region whose first ten
hold most of a planted failure and answers truthfully, ten examples a round. Printed are the mean
average precision of the failure (answered examples as told) after 0, 10, 20, 40 and 80 answers,
and, for 80, how often the interval of the number of members holds the truth and how wide it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from sklearn.metrics import average_precision_score

from backend.sharpen import sharpen
from backend.spotlight import find_regions
from tests.benchmarks.planted import REPORTING, TUNING, Problem, problems

FAILS = 1.5
ROUNDS = 8
SHOWN = (0, 1, 2, 4, 8)


def starts(problem: Problem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(planted failure, scores of the region to start from) of each failure that took."""
    found = find_regions(
        problem.embeddings,
        problem.losses,
        labels=problem.labels,
        predictions=problem.probabilities.argmax(axis=1),
        probabilities=problem.probabilities,
        n_regions=8,
    )
    for planted, ratio in zip(problem.planted, problem.ratios, strict=True):
        if ratio >= FAILS:
            pure = [planted[np.argsort(-s, kind="stable")[:10]].mean() for s in found.scores]
            yield planted, found.scores[int(np.argmax(pure))]


def answer(
    problem: Problem, planted: np.ndarray, prior: np.ndarray, seed: int
) -> tuple[list[float], float, float, float]:
    """Average precision after each round; estimate and interval at the end."""
    rows, chances = np.zeros(0, np.int64), np.zeros(0)
    lowest = prior[np.isfinite(prior)].min() - 1
    curve = [average_precision_score(planted, np.where(np.isfinite(prior), prior, lowest))]
    for step in range(ROUNDS + 1):
        told = sharpen(
            problem.embeddings,
            prior,
            rows,
            planted[rows],
            chances=chances,
            labels=problem.labels,
            seed=seed,
        )
        if step:
            curve.append(average_precision_score(planted, told.scores))
        if step < ROUNDS:
            rows, chances = np.append(rows, told.next), np.append(chances, told.chances)
    return curve, told.expected, told.low, told.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--persons", type=int, default=4, help="for each failure")
    args = parser.parse_args()
    curves, held, widths, off = [], [], [], []
    for problem in problems(TUNING if args.set == "tuning" else REPORTING):
        for planted, prior in starts(problem):
            for seed in range(args.persons):
                curve, estimate, low, high = answer(problem, planted, prior, seed)
                truth = planted.sum()
                curves.append(curve)
                held.append(low <= truth <= high)
                widths.append((high - low) / truth)
                off.append(estimate / truth)
    means = np.mean(curves, axis=0)
    print(f"{args.set}: {len(curves)} simulated persons")
    for step in SHOWN:
        print(f"{10 * step:3d} answers: average precision {means[step]:.3f}")
    print(f"lowest step below the start: {min(0.0, float((means - means[0]).min())):.3f}")
    print(f"interval holds {np.mean(held):.3f}, median width {np.median(widths):.2f} x the truth")
    print(f"estimate over truth: mean {np.mean(off):.2f}, median {np.median(off):.2f}")


if __name__ == "__main__":
    main()
