"""From two populations of 30 models on 100 000 examples to the ranked gallery: time and memory.

Run: ``python -m tests.benchmarks.populations_100k [examples] [models]``. Budget: 5 s on two cores,
and a peak of at most twice the memory of the predictions themselves.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.populations import matched_non_pies, select_pies, taxicab

CLASSES = 1000
REPEATS = 5


def made_populations(
    n: int, models: int, dtype: type[np.generic]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Predictions of two populations and labels: the second is wrong more often on hard examples."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, n)
    hard = random.beta(0.4, 2.0, n)  # how likely a model is to be wrong
    both = []
    for cost in (1.0, 1.4):
        said = np.empty((models, n), dtype)
        for row in said:
            wrong = random.random(n) < np.minimum(0.95, cost * hard)
            near = (labels + random.integers(1, 4, n)) % CLASSES
            row[:] = np.where(wrong, near, labels)
        both.append(said)
    return both[0], both[1], labels.astype(dtype)


def gallery(
    baseline: NDArray[Any], compressed: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """PIEs, those first on which the populations differ most, and as many others to compare with."""
    pies = select_pies(baseline, compressed, labels)
    distance = taxicab(baseline, compressed)
    rows = np.flatnonzero(pies.mask)
    ranked = rows[np.argsort(-distance[rows], kind="stable")]
    return ranked, matched_non_pies(pies.mask, seed=0)


def measured(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Median and largest of the seconds of five runs, and the peak of another, in bytes."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()  # numpy reports its arrays to it; timing under it would be unfair
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(np.median(seconds)), max(seconds), float(peak)


def main(n: int, models: int) -> None:
    head = ("dtype", "step", "median s", "largest s", "input MB", "peak MB", "peak / input")
    sys.stdout.write(f"{models} + {models} models, {n:,} examples, {CLASSES} classes\n")
    sys.stdout.write("{:>6}  {:<28}{:>9}{:>11}{:>10}{:>9}{:>14}\n".format(*head))
    for dtype in (np.int64, np.int32, np.int16):
        baseline, compressed, labels = made_populations(n, models, dtype)
        size = baseline.nbytes + compressed.nbytes
        steps: dict[str, Callable[[], Any]] = {
            "select_pies": partial(select_pies, baseline, compressed, labels),
            "taxicab": partial(taxicab, baseline, compressed),
            "all, to the ranked gallery": partial(gallery, baseline, compressed, labels),
        }
        for name, work in steps.items():
            median, largest, peak = measured(work)
            sys.stdout.write(
                f"{np.dtype(dtype).name:>6}  {name:<28}{median:>9.2f}{largest:>11.2f}"
                f"{size / 1e6:>10.1f}{peak / 1e6:>9.1f}{peak / size:>14.2f}\n"
            )
        ranked, others = gallery(baseline, compressed, labels)
        sys.stdout.write(f"{'':>8}{len(ranked):,} PIEs, {len(others):,} matched\n")


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:3]]
    main(*(given + [100_000, 30][len(given) :]))
