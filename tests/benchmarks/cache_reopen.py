"""How long a stored result of five regions over 50 000 examples takes to come back.

Run with ``python -m tests.benchmarks.cache_reopen``; nothing else should be running.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from backend.cache import Cache, Entry, key_of

REGIONS, EXAMPLES, DIMENSIONS = 5, 50_000, 512
KEY = key_of("spotlights", "d" * 64, {"size": 0.02}, 1)
BUDGET_MS = 300


def fill(home: str) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "weights": random.random((REGIONS, EXAMPLES)).astype(np.float32),
        "members": random.integers(0, EXAMPLES, (REGIONS, EXAMPLES // 50)),
        "centers": random.standard_normal((REGIONS, DIMENSIONS)),
    }
    Cache(home).write(KEY, arrays, {"options": {"size": 0.02}})


def reopen(cache: Cache) -> float:
    """Milliseconds until every weight has been read."""
    began = time.perf_counter()
    entry = cache.read(KEY)
    assert isinstance(entry, Entry)
    entry["weights"].sum()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    if len(sys.argv) == 2:
        print(reopen(Cache(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        fill(home)
        written = 1000 * (time.perf_counter() - began)
        command = [sys.executable, "-m", "tests.benchmarks.cache_reopen", home]
        first = [float(subprocess.check_output(command)) for _ in range(5)]
        cache = Cache(home)
        reopen(cache)
        again = [reopen(cache) for _ in range(20)]
    print(f"{REGIONS} x {EXAMPLES} weights, budget {BUDGET_MS} ms")
    print(f"{'write':32s} {written:8.1f} ms")
    print(f"{'first read of a process (n=5)':32s} {statistics.median(first):8.1f} ms")
    print(f"{'later reads (n=20)':32s} {statistics.median(again):8.1f} ms")


if __name__ == "__main__":
    main()
