"""How long the maps take, and what each says was laid out.

    python -m tests.benchmarks.projection_times [--million]

``--million`` adds a million examples of 64 dimensions, which takes minutes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from backend.projection import project

SIZES = [("pca", 50_000, 512), ("pca", 100_000, 768), ("umap", 10_000, 512), ("umap", 50_000, 512)]
MILLION = [("pca", 1_000_000, 64), ("umap", 1_000_000, 64)]


def blobs(n: int, d: int) -> np.ndarray:
    random = np.random.default_rng(0)
    centers = 2 * random.standard_normal((20, d)).astype(np.float32)
    values = random.standard_normal((n, d), dtype=np.float32)
    values += centers[random.integers(0, 20, n)]
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also a million examples")
    sizes = SIZES + (MILLION if parser.parse_args().million else [])
    print("The first UMAP of a process also loads and compiles it.")
    print(f"{'method':8s}{'n':>10s}{'d':>6s}{'wall s':>9s}{'cpu s':>9s}")
    for method, n, d in sizes:
        values = blobs(n, d)
        wall, cpu = time.perf_counter(), time.process_time()
        made = project(values, method=method)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{method:8s}{n:10d}{d:6d}{wall:9.2f}{cpu:9.2f}  {made.note}", flush=True)


if __name__ == "__main__":
    main()
