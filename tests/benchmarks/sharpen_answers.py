"""How far do a person's answers sharpen a region, and how often does the counted number hold?

Run with ``python -m tests.benchmarks.sharpen_answers`` (``--set reporting``; ``--persons 4``;
``--problems 10`` for the first so many; ``--start members`` for the members of the region in place of
its ranking, as any other group starts; ``--version 2`` for the method as it was before).
``planted`` says what the problems are. A simulated person starts from the region whose first ten
hold most of a planted failure and answers truthfully, ten examples a round. Printed are the mean
average precision of the failure (answered examples as told) after 0, 10, 20, 40 and 80 answers,
and, for 80, how often the intervals of the number of members and of the precision at the cut hold
the truth and how wide they are. ``--rounds`` prints instead how long a round takes at 100 000 x 512.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from sklearn.metrics import average_precision_score

from backend.sharpen import cut_precision, principal_parts, ranking, sharpen, start_ranking
from backend.sharpen.learner import LATEST, RECIPES
from backend.spotlight import find_regions
from tests.benchmarks.planted import REPORTING, TUNING, Problem, problems

FAILS = 1.5
ROUNDS = 8
SHOWN = (0, 1, 2, 4, 8)


def starts(problem: Problem, parts, by: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(planted failure, where to start) of each failure that took."""
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
            best = int(np.argmax(pure))
            yield (
                planted,
                found.scores[best] if by == "scores" else start_ranking(parts, found.members[best]),
            )


def answer(
    problem: Problem, parts, planted: np.ndarray, prior: np.ndarray, seed: int, version: int
):
    """Average precision after each round; what is told at the end, and the precision at the cut."""
    rows, chances = np.zeros(0, np.int64), np.zeros(0)
    lowest = prior[np.isfinite(prior)].min() - 1
    curve = [average_precision_score(planted, np.where(np.isfinite(prior), prior, lowest))]
    for step in range(ROUNDS + 1):
        told = sharpen(
            None,
            prior,
            rows,
            planted[rows],
            chances=chances,
            labels=problem.labels,
            seed=seed,
            parts=parts,
            version=version,
        )
        if step:
            curve.append(average_precision_score(planted, told.scores))
        if step < ROUNDS:
            rows, chances = np.append(rows, told.next), np.append(chances, told.chances)
    first = ranking(told.scores)[: told.cut]
    known = np.isin(first, rows[planted[rows] & np.isnan(chances)]).sum()
    precision = cut_precision(told.audit, told.audit_weights, told.cut, int(known))
    return curve, told, precision, planted[first].mean()


def time_rounds(n: int = 100_000, d: int = 512) -> None:
    """Seconds of the principal components, once, and of rounds up to 80 answers."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, d), dtype=np.float32)
    labels = random.integers(10, size=n)
    members = (x[:, 3] > 1.5) & (labels == 2)
    began, worked = time.perf_counter(), time.process_time()
    parts = principal_parts(x)
    took = time.perf_counter() - began, time.process_time() - worked
    print(f"components of {n:,} x {d}: {took[0]:.2f} s, {took[1]:.2f} s of processor")
    prior = start_ranking(parts, np.flatnonzero(members)[:200])
    rows, chances, took = np.zeros(0, np.int64), np.zeros(0), []
    for _ in range(9):
        began, worked = time.perf_counter(), time.process_time()
        told = sharpen(
            None, prior, rows, members[rows], chances=chances, labels=labels, parts=parts
        )
        took.append((time.perf_counter() - began, time.process_time() - worked))
        rows, chances = np.append(rows, told.next), np.append(chances, told.chances)
    for name, place in (("wall", 0), ("of processor", 1)):
        print(f"seconds {name} of rounds: " + ", ".join(f"{one[place]:.2f}" for one in took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--persons", type=int, default=4, help="for each failure")
    parser.add_argument("--problems", type=int, help="only the first so many")
    parser.add_argument("--start", choices=("scores", "members"), default="scores")
    parser.add_argument("--version", type=int, choices=sorted(RECIPES), default=LATEST)
    parser.add_argument("--rounds", action="store_true")
    args = parser.parse_args()
    if args.rounds:
        time_rounds()
        return
    curves, held, widths, off, precise, reach = [], [], [], [], [], []
    chosen = TUNING if args.set == "tuning" else REPORTING
    for problem in problems(chosen[: args.problems]):
        parts = principal_parts(problem.embeddings, version=args.version)
        for planted, prior in starts(problem, parts, args.start):
            for seed in range(args.persons):
                curve, told, precision, true = answer(
                    problem, parts, planted, prior, seed, args.version
                )
                truth = planted.sum()
                curves.append(curve)
                held.append(told.low <= truth <= told.high)
                widths.append((told.high - told.low) / truth)
                off.append(told.expected / truth)
                if precision[3] or precision[0] == 1:
                    precise.append(precision[1] - 1e-9 <= true <= precision[2] + 1e-9)
                    reach.append(precision[2] - precision[1])
    means = np.mean(curves, axis=0)
    print(f"{args.set}, from {args.start}: {len(curves)} simulated persons")
    for step in SHOWN:
        print(f"{10 * step:3d} answers: average precision {means[step]:.3f}")
    print(f"lowest step below the start: {min(0.0, float((means - means[0]).min())):.3f}")
    print(f"interval holds {np.mean(held):.3f}, median width {np.median(widths):.2f} x the truth")
    print(f"estimate over truth: mean {np.mean(off):.2f}, median {np.median(off):.2f}")
    print(
        f"precision at the cut: interval holds {np.mean(precise):.3f} of {len(precise)}, "
        f"median width {np.median(reach):.2f}"
    )


if __name__ == "__main__":
    main()
