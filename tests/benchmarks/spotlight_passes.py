"""How often a search reads its rows, and whether it should read on.

    python tests/benchmarks/spotlight_passes.py [--quality]

Passes are counted at the array itself, of which no copy is kept: five regions with 16 starts, the
check of the numbers (one pass) included. ``--quality`` searches the same losses, on data of which
starts converge on a sample, once more with ascents that go on to the end: how much higher do they
come?
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip
import torch  # isort: skip

from backend.spotlight.call import check_search
from backend.spotlight.options import SearchOptions
from backend.spotlight.runs import attenuated, run
from backend.spotlight.solver import fast, rows
from backend.spotlight.spotlights import Region
from tests.benchmarks.spotlight_problems import Floats, planted

# Examples, dimensions, noise of the loss, clusters, size.
COUNTED = (
    (50_000, 512, "exponential", 8, 0.02),
    (50_000, 512, "binary", 8, 0.02),
    (50_000, 128, "heavy", 20, 0.01),
    (100_000, 64, "exponential", 20, 0.02),
)
COMPARED = tuple(
    (30_000, d, kind, modes, size)
    for d, kind, modes, size in (
        (128, "heavy", 20, 0.01),
        (64, "exponential", 20, 0.02),
        (64, "binary", 8, 0.05),
        (256, "binary", 3, 0.02),
        (64, "heavy", 8, 0.1),
        (48, "heavy", 3, 0.015),
        (128, "exponential", 8, 0.1),
        (128, "exponential", 3, 0.01),
        (64, "heavy", 20, 0.02),
        (96, "binary", 20, 0.02),
        (40, "exponential", 8, 0.03),
        (512, "heavy", 8, 0.02),
    )
)


class Counted:
    """Rows that count how many of them were read in ranges (single ones are not counted)."""

    def __init__(self, values: Floats):
        self._values, self.read = values, 0
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, which: Any) -> Floats:
        taken = self._values[which]
        self.read += len(taken) if isinstance(which, slice) else 0
        return taken

    @property
    def passes(self) -> float:
        return self.read / len(self)


def regions(x: Floats, losses: Floats, size: float, count: int) -> Iterator[tuple[Region, float]]:
    """Each region, with the passes that it took."""
    options = SearchOptions(size=size, n_spotlights=count)
    search = check_search(x, losses, options, counts=None, device="cpu", progress=None)
    counted = Counted(x)
    before = 0.0
    for region in run(replace(search, values=counted)):  # type: ignore[arg-type]
        yield region, counted.passes - before
        before = counted.passes


def count() -> None:
    print("\nPasses over the rows for five regions, those of the first with reading the rows in")
    for seed, (n, d, kind, modes, size) in enumerate(COUNTED, start=1):
        x, losses = planted(n, d, seed, kind=kind, modes=modes)
        each = [passes for _, passes in regions(x, losses, size, 5)]
        told = " + ".join(f"{passes:.0f}" for passes in each)
        print(f"{kind:>12} {n:>6} x {d:<4} {1 + sum(each):4.0f} = 1 + {told}", flush=True)


def compare() -> None:
    print("\nThree regions after each other, and the same losses with ascents to the end")
    behind, passes = [], []
    for seed, (n, d, kind, modes, size) in enumerate(COMPARED, start=3):
        x, losses = planted(n, d, seed, kind=kind, modes=modes)
        for _ in range(3):
            [(found, few)] = regions(x, losses, size, 1)
            left, fast._LEFT = fast._LEFT, 0.0
            [(best, many)] = regions(x, losses, size, 1)
            fast._LEFT = left
            behind.append((best.objective - found.objective) / abs(best.objective))
            passes.append((few, many))
            losses = attenuated(
                losses.astype(np.float64), best.weights, min(0.0, float(losses.min()))
            )
        last = ", ".join(f"{share:.1e}" for share in behind[-3:])
        print(f"{kind:>12} {n:>6} x {d:<4} behind by shares of {last}", flush=True)
    few, many = np.mean(passes, axis=0)
    print(
        f"{len(behind)} searches: behind by {max(behind):.1e} at most (allowed: 1e-4), "
        f"{few:.1f} passes against {many:.1f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quality", action="store_true", help="compare objectives, too")
    given = parser.parse_args()
    rows.RESIDENT_BYTES = 0
    print(f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    count()
    if given.quality:
        compare()
