"""Seconds from asking for the regions of a large bundle to the list of a sample, and to the whole.

Run with ``python -m tests.benchmarks.regions_first``; nothing else should be running. As the page
asks: a warm worker, the map laid out beside it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from backend.bundle import import_bundle
from backend.jobs import Jobs
from tests.bundles import npz

SHAPES = ((100_000, 512), (1_000_000, 64))
LABELS, WARM_S = 20, 15.0


def write(folder: Path, n: int, d: int) -> str:
    """Import a bundle with six clusters of high loss; its digest."""
    random = np.random.default_rng(0)
    labels = random.integers(0, LABELS, n)
    embeddings = random.standard_normal((n, d), dtype=np.float32)
    embeddings += (1.5 * random.standard_normal((LABELS, d)).astype(np.float32))[labels]
    losses = random.gamma(1.0, 0.3, n)
    for center in embeddings[random.choice(n, 6, replace=False)]:
        near = np.argpartition(((embeddings - center) ** 2).sum(1), n // 50)[: n // 50]
        losses[near] += random.gamma(2.0, 1.0, n // 50)
    wrong = random.random(n) < np.clip(losses / 4, 0, 0.95)
    predictions = np.where(wrong, (labels + random.integers(1, LABELS, n)) % LABELS, labels)
    path = folder / f"{n}.npz"
    path.write_bytes(
        npz(embeddings=embeddings, losses=losses, labels=labels, predictions=predictions)
    )
    return import_bundle(path, home=folder / "home").digest


def main() -> None:
    print(f"{'rows x dimensions':>20s} {'sample':>8s} {'whole':>8s}")
    with tempfile.TemporaryDirectory() as name:
        for n, d in SHAPES:
            digest = write(Path(name), n, d)
            with Jobs(Path(name) / "home", warm=True) as jobs:
                time.sleep(WARM_S)
                began, first = time.perf_counter(), float("nan")
                jobs.submit("projection", digest, {"method": "pca"}, watcher="page")
                job = jobs.submit("regions", digest, watcher="page")
                while not job.wait(0.05):
                    if first != first and job.partial():
                        first = time.perf_counter() - began
                whole = time.perf_counter() - began
            print(f"{f'{n:,} x {d}':>20s} {first:6.1f} s {whole:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
