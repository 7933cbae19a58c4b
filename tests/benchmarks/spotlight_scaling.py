"""How the cost of a search grows with examples and dimensions, as exponents of a fitted power.

    python tests/benchmarks/spotlight_scaling.py [--largest 200000]

Five regions of 2 %, 16 starts, one thread; processor time, the shortest of three. Exponents of at
most 1.1 are allowed: a search must not be worse than linear in what it reads. They may be well below
1, since the exploration on a sample of fixed size is the larger part of small searches.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip
import torch  # isort: skip

from backend.spotlight import find_spotlights
from tests.benchmarks.spotlight_problems import planted

DIMENSIONS, EXAMPLES, ALLOWED = (64, 128, 256, 512, 1024), 25_000, 1.1


def seconds(n: int, d: int) -> float:
    """Processor time of five regions."""
    x, losses = planted(n, d, 1)
    best = np.inf
    for _ in range(3):
        begin = time.process_time()
        find_spotlights(x, losses)
        best = min(best, time.process_time() - begin)
    return best


def exponent(name: str, sizes: list[int], times: list[float]) -> None:
    """Fit over all sizes, and between the two largest, where fixed costs weigh least."""
    whole = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    last = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2])
    verdict = "within" if whole <= ALLOWED else "above"
    print(f"exponent in {name}: {whole:.2f} ({verdict} {ALLOWED}); at the end {last:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--largest", type=int, default=200_000, help="examples of the largest run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread")
    print(f"{'n':>8} {'d':>5} {'cpu s':>8}")
    counts = [n for n in (12_500, 25_000, 50_000, 100_000, 200_000, 400_000) if n <= given.largest]
    for name, runs in (
        ("n", [(n, 128) for n in counts]),
        ("d", [(EXAMPLES, d) for d in DIMENSIONS]),
    ):
        times = []
        for n, d in runs:
            times.append(seconds(n, d))
            print(f"{n:>8} {d:>5} {times[-1]:8.2f}", flush=True)
        exponent(name, [n if name == "n" else d for n, d in runs], times)
