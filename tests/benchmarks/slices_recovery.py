"""Which method finds failures that were planted in real data?

Run with ``python -m tests.benchmarks.slices_recovery``, or name the methods to compare and
``--set tuning`` for the problems on which choices were made, ``--set anew`` for those in sources
that no choice has seen. ``planted`` and ``planted_anew`` say what the problems are: real pictures,
tables and texts under small networks that are really trained. ``--first 3 5 8`` asks regions alone for a list of
eight, and marks the first three, five and eight of it; labels that fail as a whole stand on top of
these. ``--rows 900`` leaves each problem so many rows.

Every method lists five groups of the held-out examples. The table gives the share of a planted
failure among the ten first members of the best of the five, and the average precision of the best
ranking; the two may come from different groups. A problem may hold up to three failures and shows
their mean; ``loss x`` are their mean losses over that of all examples. A failure below 1.5 did not
take and does not count. A ranking by chance has the failure's share as its precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from backend.slices import METHODS, find_groups
from backend.spotlight import Regions, find_regions, find_spotlights
from tests.benchmarks import planted_anew
from tests.benchmarks.planted import KINDS, REPORTING, TUNING, Problem, cut_to, problems

GROUPS, SIZE = 5, 0.02
FAILS = 1.5

Method = Callable[[Problem, int], np.ndarray]


def _spotlights(problem: Problem, seed: int) -> np.ndarray:
    return find_spotlights(
        problem.embeddings, problem.losses, size=SIZE, n_spotlights=GROUPS, seed=seed
    ).weights


def _search(problem: Problem, seed: int, n_regions: int) -> Regions:
    return find_regions(
        problem.embeddings,
        problem.losses,
        labels=problem.labels,
        predictions=problem.probabilities.argmax(axis=1),
        probabilities=problem.probabilities,
        n_regions=n_regions,
        seed=seed,
    )


def _regions(problem: Problem, seed: int) -> np.ndarray:
    return _search(problem, seed, GROUPS).scores


def _unlabelled(problem: Problem, seed: int) -> np.ndarray:
    return find_regions(problem.embeddings, problem.losses, n_regions=GROUPS, seed=seed).scores


def _others(method: str) -> Method:
    def run(problem: Problem, seed: int) -> np.ndarray:
        return find_groups(
            method,
            problem.embeddings,
            problem.losses,
            problem.labels,
            probabilities=problem.probabilities,
            n_groups=GROUPS,
            seed=seed,
            **({"size": SIZE} if METHODS[method].takes_size else {}),
        ).scores

    return run


def methods() -> dict[str, Method]:
    own = {"regions": _regions, "no labels": _unlabelled, "spotlights": _spotlights}
    return own | {method: _others(method) for method in METHODS}


def best_of(scores: np.ndarray, planted: np.ndarray) -> tuple[float, float]:
    """Precision at 10 and average precision, each of the best of the rankings; 0 without any."""
    if len(scores) == 0:
        return 0.0, 0.0
    first = [planted[np.argsort(-score, kind="stable")[:10]].mean() for score in scores]
    finite = np.nan_to_num(scores, neginf=np.finfo(np.float64).min)
    return float(max(first)), max(float(average_precision_score(planted, s)) for s in finite)


def measure(run: Method, problem: Problem, seed: int) -> np.ndarray:
    """Precision at 10, average precision (means over failures that took) and cpu seconds."""
    began = time.process_time()
    scores = run(problem, seed)
    seconds = time.process_time() - began
    took = problem.planted[problem.ratios >= FAILS]
    return np.array([*np.mean([best_of(scores, mask) for mask in took], axis=0), seconds])


def first_of(problem: Problem, seed: int, counts: list[int]) -> np.ndarray:
    """The same two of the first so many entries of one list of regions, (k, 2)."""
    found = _search(problem, seed, max(counts))
    top = sum(kind == "label" for kind in found.kinds)
    took = problem.planted[problem.ratios >= FAILS]
    return np.array(
        [
            np.mean([best_of(found.scores[: top + count], mask) for mask in took], axis=0)
            for count in counts
        ]
    )


def _told(marks: np.ndarray) -> str:
    return "   ".join(f"{first:.3f} / {average:.3f}" for first, average in marks)


def main() -> None:
    parser = argparse.ArgumentParser(description="Which method finds planted failures?")
    parser.add_argument("methods", nargs="*", help=", ".join(methods()))
    parser.add_argument("--set", choices=("tuning", "reporting", "anew"), default="reporting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="rows that are left of a problem")
    parser.add_argument("--first", type=int, nargs="+", help="entries of regions that count")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = {name: run for name, run in methods().items() if name in (options.methods or methods())}
    given = {
        "tuning": lambda: problems(TUNING),
        "reporting": lambda: problems(REPORTING),
        "anew": planted_anew.problems,
    }[options.set]()
    if options.rows:
        given = (cut_to(problem, options.rows, options.seed) for problem in given)
    given = (problem for problem in given if (problem.ratios >= FAILS).any())
    if options.first:
        marks = []
        for problem in given:
            marks.append(first_of(problem, options.seed, options.first))
            print(f"{problem.name:22s}{len(problem.losses):6d}  {_told(marks[-1])}", flush=True)
        print(f"{f'mean of {len(marks)}':28s}  {_told(np.mean(marks, axis=0))}")
        return
    print(f"{'P@10 / AP of the best of five':22s}{'n':>6s}  {'loss x':14s}", end="")
    print("".join(f"{name:>16s}" for name in table))
    rows: list[tuple[str, dict[str, np.ndarray]]] = []
    for problem in given:
        told = " ".join(f"{ratio:.1f}" for ratio in problem.ratios)
        print(f"{problem.name:22s}{len(problem.losses):6d}  {told:14s}", end="")
        found = {}
        for name, run in table.items():
            found[name] = measure(run, problem, options.seed)
            print(f"{f'{found[name][0]:.2f} / {found[name][1]:.2f}':>16s}", end="", flush=True)
        rows.append((problem.name, found))
        print()
    for kind in (*KINDS, "frozen", "-"):
        some = [found for name, found in rows if kind in name]
        if not some:
            continue
        title = f"mean of {len(some)}" + (f", {kind}" if kind != "-" else "")
        means = [np.mean([found[name] for found in some], axis=0) for name in table]
        print(f"{title:44s}" + "".join(f"{f'{m[0]:.3f} / {m[1]:.3f}':>16s}" for m in means))
    print(f"{'cpu seconds per problem':44s}", end="")
    print("".join(f"{np.mean([found[name][2] for _, found in rows]):16.2f}" for name in table))


if __name__ == "__main__":
    main()
