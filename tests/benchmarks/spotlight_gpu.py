"""A search on a GPU beside what its memory can do: bytes per second of each pass over the data.

    python tests/benchmarks/spotlight_gpu.py

Without a GPU it says so and ends well. The two passes of an iteration (distances to all starts, and
the sums that move them) each read the data once; a plain copy on the same device, which reads and
writes, is the measure of what reading can reach. Budget: five regions of 50 000 x 512 in 0.1 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import torch  # isort: skip

from backend.spotlight import find_spotlights
from backend.spotlight.solver.rows import Rows
from tests.benchmarks.spotlight_problems import planted

STARTS = (1, 4, 16)


def seconds(work: Callable[[], object], times: int = 20) -> float:
    """Mean time of repeated work on the device, after a warm-up."""
    work()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / times


def copy_speed(device: torch.device) -> float:
    """Bytes per second that a plain copy reads and writes."""
    source = torch.empty(2**28, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(partial(target.copy_, source))


def main() -> int:
    if not torch.cuda.is_available():
        print("No GPU here: torch finds no CUDA device. Nothing was measured.")
        return 0
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    copied = copy_speed(device)
    print(f"copy on the device: {copied / 1e12:.2f} TB/s read and written")
    for n, d in ((50_000, 512), (1_000_000, 768)):
        x, losses = planted(min(n, 50_000), d, 1)
        rows = Rows.normalised(x, device)
        held = n * d * 4
        if n > len(x):  # the same rows again: the speed of a pass does not depend on their values
            rows._resident = rows._resident.repeat(n // len(x), 1)  # type: ignore[union-attr]
            rows.squares = rows.squares.repeat(n // len(x))
            rows.n = rows.own = rows.most = n
        for starts in STARTS:
            centers = torch.randn(starts, d, dtype=torch.float64, device=device)
            weights = torch.rand(starts, n, device=device)
            passes = {
                "distances": seconds(partial(rows.distances, centers)),
                "sums": seconds(partial(rows.moments, weights)),
            }
            for name, took in passes.items():
                speed = held / took
                print(
                    f"{n:>8} x {d:<4} {starts:>3} starts {name:>10}: {1e3 * took:7.3f} ms, "
                    f"{speed / 1e12:.2f} TB/s, {speed / copied:.0%} of the copy"
                )
        if n > len(x):
            continue
        find_spotlights(x, losses)
        begin = time.perf_counter()
        found = find_spotlights(x, losses)
        print(
            f"{n:>8} x {d:<4} five regions: {time.perf_counter() - begin:.3f} s (budget 0.1), "
            f"steps {[outcome.steps for outcome in found.outcomes]}"
        )
        cpu = find_spotlights(x, losses, device="cpu")
        apart = max(abs(found.weighted_losses - cpu.weighted_losses))
        print(f"largest difference of a weighted loss from the CPU's: {apart:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
