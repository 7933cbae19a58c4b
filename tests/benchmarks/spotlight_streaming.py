"""A million memory-mapped rows: time, and the memory that is not the file's.

    python tests/benchmarks/spotlight_streaming.py [--rows 1000000] [--folder FOLDER]

Budget: five regions of 1 000 000 x 768 float16 in 120 s on two cores, with less than 2 GiB of
anonymous memory at the peak. The file (1.5 GB) is written once and removed at the end.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip

from backend.spotlight import find_spotlights, members
from tests.benchmarks.spotlight_problems import planted

DIMENSIONS, BLOCK, PLANTED = 768, 50_000, 2000


def anonymous_bytes() -> int:
    """Memory of this process that no file backs (Linux)."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) * 1024 if found else 0


class Watch:
    """The highest anonymous memory while it is open."""

    def __init__(self) -> None:
        self.peak, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, anonymous_bytes())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def write(path: Path, rows: int) -> np.ndarray:
    """Embeddings with one hard cluster, written block by block; returns the losses."""
    x = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, DIMENSIONS))
    losses = np.empty(rows)
    rng = np.random.default_rng(0)
    spot = rng.normal(size=DIMENSIONS)
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        block, noise = planted(size, DIMENSIONS, 7)
        hard = rng.choice(size, max(1, PLANTED * size // rows), replace=False)
        block += rng.normal(size=block.shape, scale=0.3)
        block[hard] = spot + 0.7 * rng.normal(size=(len(hard), DIMENSIONS))
        noise[hard] += 2.0
        x[start : start + size], losses[start : start + size] = block, noise
    x.flush()
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", default=None, help="where the file is written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "embeddings.npy"
        losses = write(path, given.rows)
        embeddings = np.load(path, mmap_mode="r")
        before = anonymous_bytes()
        begin = time.perf_counter()
        with Watch() as watch:
            found = find_spotlights(embeddings, losses, size=0.002)
        print(
            f"{given.rows} x {DIMENSIONS} float16: {time.perf_counter() - begin:.1f} s (budget 120)"
        )
        print(
            f"anonymous memory: {watch.peak / 2**30:.2f} GiB at the peak, {before / 2**30:.2f} "
            "before (budget 2)"
        )
        for loss, total, outcome in zip(
            found.weighted_losses, found.total_weights, found.outcomes, strict=True
        ):
            print(f"  loss {loss:.4f}  size {total:.0f}  {outcome.status} in {outcome.steps} steps")
        top = members(found.weights[0], PLANTED)
        print(
            f"mean loss of the first region's members {losses[top].mean():.3f}, of all {losses.mean():.3f}"
        )
