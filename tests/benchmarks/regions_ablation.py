"""What each choice inside ``find_regions`` is worth, on the tuning problems of ``planted``.

Run with ``python -m tests.benchmarks.regions_ablation [NAME ...]``; ``--seeds 3`` averages over
seeds of the search. Columns: precision at 10 and average precision of the best of five, means over
problems, and cpu seconds per problem (without shuffles).

Measured with one seed on the 35 tuning problems in which a failure took. Repeating a row with
other random draws moves it by up to .03, so smaller differences are noise:

    as it is .801 / .603; first form .728 / .560; judged by the kernel .693 / .532; members by
    kernel only .750 / .533, by discriminant only .795 / .615; geometry x only .766 / .594, w only
    .733 / .549; around label means too .742 / .534; no size below 1 % .782 / .594; also size 10 %
    .762 / .577; clip at 95 % .731 / .552; one round .746 / .554; size does not count .766 / .563,
    counts more .777 / .590; base of all only .785 / .589, of the scope only .801 / .601

On the reporting problems, scored after these choices: as it is .714 / .486, first form .570 / .410.
The best candidate among all that a search finds reaches .96 / .77 on the tuning problems: what is
missing is lost when the list of five is chosen, not when candidates are found. So other kinds of
candidates were not added; judging on less clipped losses, slots for the most significant regions
and a discount for labels that are listed already were tried and gained nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from backend.spotlight.regions.call import check_call
from backend.spotlight.regions.find import SETTINGS, run
from backend.spotlight.regions.settings import Settings
from tests.benchmarks.planted import REPORTING, TUNING, Problem, problems
from tests.benchmarks.slices_recovery import FAILS, GROUPS, best_of

FIRST_FORM: dict[str, Any] = {
    "sizes": (0.01, 0.02, 0.05, 0.1),
    "min_size": 10,
    "judged_by": "kernel",
    "caution": 1.0,
    "own_base": 0.0,
    "growth": 0.0,
    "keep": 150,
}
"""Judged by the kernel's weights on the other half: how the search was before its members were."""

CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "first form": FIRST_FORM,
    "judged by the kernel": {"judged_by": "kernel"},
    "members by kernel only": {"ranking": "kernel"},
    "members by discriminant only": {"ranking": "linear"},
    "geometry x only": {"geometries": ("x",)},
    "geometry w only": {"geometries": ("w",)},
    "around label means too": {"geometries": ("x", "w", "cw")},
    "stronger whitening": {"whiteness": 0.8},
    "also size 10 %": {"sizes": (0.005, 0.01, 0.02, 0.05, 0.1)},
    "also size 0.25 %": {"sizes": (0.0025, 0.005, 0.01, 0.02, 0.05), "min_size": 6},
    "no size below 1 %": {"sizes": (0.01, 0.02, 0.05)},
    "clip at 80 %": {"quantile": 0.8},
    "clip at 95 %": {"quantile": 0.95},
    "one round": {"rounds": 1},
    "three rounds": {"rounds": 3},
    "6 iterations": {"iterations": 6},
    "12 starts": {"starts": 12},
    "caution 0": {"caution": 0.0},
    "caution 3": {"caution": 3.0},
    "base of all only": {"own_base": 0.0},
    "base of the scope only": {"own_base": 1.0},
    "size does not count": {"growth": 0.0},
    "size counts more": {"growth": 0.35},
}


def score(problem: Problem, settings: Settings, seed: int) -> np.ndarray:
    """Precision at 10, average precision, cpu seconds."""
    call = check_call(
        problem.embeddings,
        problem.losses,
        labels=problem.labels,
        groups=None,
        n_regions=GROUPS,
        seed=seed,
        device="cpu",
        progress=None,
    )
    began = time.process_time()
    with torch.no_grad():
        scores = run(call, settings).scores
    seconds = time.process_time() - began
    took = problem.planted[problem.ratios >= FAILS]
    return np.array([*np.mean([best_of(scores, mask) for mask in took], axis=0), seconds])


def main() -> None:
    parser = argparse.ArgumentParser(description="What is each choice of find_regions worth?")
    parser.add_argument("changes", nargs="*", help=", ".join(CHANGES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", choices=("tuning", "reporting"), default="tuning")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ready = list(problems(TUNING if options.set == "tuning" else REPORTING))
    ready = [problem for problem in ready if (problem.ratios >= FAILS).any()]
    print(f"{f'{len(ready)} problems, {options.seeds} seeds':32s}  P@10     AP   cpu s")
    for name in options.changes or CHANGES:
        settings = replace(SETTINGS, shuffles=0, **CHANGES[name])
        each = [score(p, settings, seed) for p in ready for seed in range(options.seeds)]
        mean = np.mean(each, axis=0)
        print(f"{name:32s}{mean[0]:6.3f} {mean[1]:6.3f} {mean[2]:7.2f}", flush=True)


if __name__ == "__main__":
    main()
