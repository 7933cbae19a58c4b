"""How long the maps take, how much memory, and how well placed examples keep their neighbours.

    python -m tests.benchmarks.projection_times [--million]

``--million`` adds a million examples of 64 dimensions in float32 and of 256 in float16, read from
files as imported bundles are, which takes minutes. Each row runs in a process of its own: memory is
the peak of that process, the pages of the file among it, and time holds loading and compiling UMAP.

``kept`` is the share of an example's 15 nearest sampled examples that are so on the map too: first
of the examples that UMAP laid out, then of those placed among them, from 2000 of each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from backend.core.pca import apply_components, principal_components
from backend.map.project import project

SIZES = [
    ("pca", 50_000, 512, "float32"),
    ("pca", 100_000, 768, "float32"),
    ("umap", 10_000, 512, "float32"),
    ("umap", 50_000, 512, "float32"),
]
MILLION = [
    ("pca", 1_000_000, 64, "float32"),
    ("umap", 1_000_000, 64, "float32"),
    ("pca", 1_000_000, 256, "float16"),
    ("umap", 1_000_000, 256, "float16"),
]
GROUPS, INNER, NEAR, LOOKED_AT = 60, 8, 15, 2000


def write_mixture(path: Path, n: int, d: int, dtype: str) -> None:
    """Groups of unequal size, each spread along eight directions of its own, with some noise."""
    random = np.random.default_rng(0)
    centers = 3 * random.standard_normal((GROUPS, d)).astype(np.float32)
    along = 0.6 * random.standard_normal((GROUPS, INNER, d)).astype(np.float32)
    group = random.choice(GROUPS, n, p=random.dirichlet(np.full(GROUPS, 2.0)))
    values = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n, d))
    for start in range(0, n, 50_000):
        own = group[start : start + 50_000]
        block = 0.3 * random.standard_normal((len(own), d), dtype=np.float32) + centers[own]
        for one in range(GROUPS):
            rows = np.flatnonzero(own == one)
            inner = random.standard_normal((len(rows), INNER), dtype=np.float32)
            block[rows] += inner @ along[one]
        values[start : start + len(own)] = block
    values.flush()


def kept(values: np.ndarray, losses: np.ndarray, xy: np.ndarray, size: int) -> tuple[float, float]:
    """As said above, for laid out and for placed examples."""
    from backend.map.umap_layout import sample_rows

    rows = sample_rows(len(values), size, losses, seed=0)
    random = np.random.default_rng(1)
    others = np.setdiff1d(random.choice(len(values), LOOKED_AT, replace=False), rows)
    found = principal_components(values, min(50, values.shape[1]))
    space = apply_components(values, found)
    nearest = NearestNeighbors(n_neighbors=NEAR, algorithm="brute").fit(space[rows])
    plane = cKDTree(xy[rows])
    shares = []
    for here, own in ((random.choice(rows, LOOKED_AT, replace=False), 1), (others, 0)):
        near = nearest.kneighbors(space[here], NEAR + own, return_distance=False)[:, own:]
        seen = plane.query(xy[here], k=NEAR + own)[1][:, own:]
        shares.append(float((near[:, :, None] == seen[:, None]).any(axis=2).mean()))
    return shares[0], shares[1]


def measure(method: str, path: Path, sender: multiprocessing.connection.Connection) -> None:
    values = np.load(path, mmap_mode="r")
    losses = np.random.default_rng(2).exponential(size=len(values))
    wall, cpu = time.perf_counter(), time.process_time()
    made = project(values, method=method, losses=losses)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # of kilobytes, on Linux
    shares = ""
    if made.sampled is not None:
        shares = "{:.3f} {:.3f}".format(*kept(values, losses, made.xy, made.sampled))
    sender.send((wall, cpu, peak, shares, made.note))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also a million examples")
    sizes = SIZES + (MILLION if parser.parse_args().million else [])
    spawn = multiprocessing.get_context("spawn")
    columns = f"{'wall s':>8s}{'cpu s':>8s}{'peak GB':>9s}  {'kept':12s}"
    print(f"{'method':7s}{'n':>9s}{'d':>5s}  {'type':8s}{columns}  note")
    with tempfile.TemporaryDirectory() as folder:
        for method, n, d, dtype in sizes:
            path = Path(folder) / f"{n}-{d}.npy"
            if not path.exists():
                write_mixture(path, n, d, dtype)
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(method, path, sender))
            process.start()
            sender.close()  # so that a process that died ends the wait
            wall, cpu, peak, shares, note = receiver.recv()
            process.join()
            told = f"{wall:8.1f}{cpu:8.1f}{peak:9.2f}  {shares:12s}"
            print(f"{method:7s}{n:9d}{d:5d}  {dtype:8s}{told}  {note}", flush=True)


if __name__ == "__main__":
    main()
