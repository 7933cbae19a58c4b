"""Peak memory of worker and server for small files that unpack to much, and for an honest bundle.

    python -m tests.benchmarks.bombs [--honest-mb 400]

Each file is imported through the job manager, as a page does it, by a fresh worker; the manager's
process stands for the server. Memory is all that is resident (``VmHWM``): mapped files, libraries
and the upload itself included. Allowed is four times the file and 1 GiB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from backend.core.memory import allowance
from backend.jobs import Jobs
from tests.bombs import BOMBS


def peak_of(pid: int) -> int:
    """Most bytes that a process ever held."""
    told = Path(f"/proc/{pid}/status").read_text()
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024


def one(path: Path, home: Path) -> str:
    """A row of the table for one upload."""
    start = time.monotonic()
    with Jobs(home) as jobs:
        job = jobs.submit("import", "", {"path": str(path)})
        peak = 0
        while not job.wait(0.01):
            for child in psutil.Process().children():
                peak = max(peak, peak_of(child.pid))
        for child in psutil.Process().children():
            peak = max(peak, peak_of(child.pid))
        server = peak_of(psutil.Process().pid)
    said = "taken" if job.state == "done" else (job.error or "").partition(": ")[2][:60]
    cells = [path.stat().st_size / 1e6, peak / 2**20, server / 2**20, allowance(path) / 2**20]
    numbers = " | ".join(
        f"{cell:,.2f}" if k == 0 else f"{cell:,.0f}" for k, cell in enumerate(cells)
    )
    return f"| {numbers} | {time.monotonic() - start:.1f} | {said} |"


def honest(path: Path, megabytes: int) -> None:
    """Embeddings of 512 numbers, losses, labels and a column, as ``np.savez`` writes them."""
    n = megabytes * 10**6 // (4 * 512)
    random = np.random.default_rng(0)
    np.savez(
        path,
        embeddings=random.standard_normal((n, 512), dtype=np.float32),
        losses=random.exponential(size=n),
        labels=random.integers(0, 10, n),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--honest-mb", type=int, default=400)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(one(Path(options.one[0]), Path(options.one[1])), flush=True)
        return
    print("| upload | MB | worker MiB | server MiB | allowed MiB | s | what is said |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        files = [(name, row[0], row[1]) for name, row in BOMBS.items()]
        size = options.honest_mb
        files.append((f"an honest bundle of {size} MB", ".npz", lambda path: honest(path, size)))
        for number, (name, suffix, make) in enumerate(files):
            path = Path(folder) / f"{number}{suffix}"
            make(path)
            # A process of its own, which made nothing of the file.
            call = [sys.executable, "-m", "tests.benchmarks.bombs", "--one"]
            call += [str(path), str(Path(folder) / f"home{number}")]
            row = subprocess.run(call, capture_output=True, text=True, check=True).stdout
            print(f"| {name} {row.strip()}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
