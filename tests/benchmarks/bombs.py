"""Peak memory of worker and server for small files that unpack to much, and for an honest bundle.

    python -m tests.benchmarks.bombs [--honest-mb 400] [--server]

Each file is imported through the job manager, as a page does it, by a fresh worker; the manager's
process stands for the server. Memory is all that is resident (``VmHWM``): mapped files, libraries
and the upload itself included. Allowed is four times the file and 1 GiB.

With ``--server`` each file is streamed to a real server and imported on its Bundles page instead, and
the most that the server held meanwhile is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from backend.bundle import import_bundle
from backend.core.memory import allowance
from backend.jobs import Jobs
from tests.benchmarks.wire import Client
from tests.bombs import BOMBS
from tests.e2e.conftest import Server, start_server


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


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with one small bundle."""
    home = folder / "served"
    home.mkdir()
    honest(folder / "first.npz", 1)
    import_bundle(folder / "first.npz", home)
    server = start_server(home)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(timeout=30)


def served(path: Path, server: Server) -> str:
    """A row of the table for one upload to a real server: its memory before, and at most."""
    return asyncio.run(_served(path, server))


async def _served(path: Path, server: Server) -> str:
    client = Client(server.url, patience_s=300)
    try:
        await client.open("bundles")
        await client.tick("stream", True)
        await client.until(lambda: client.has("streamed"), "the file chooser")
        before = psutil.Process(server.process.pid).memory_info().rss
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
        ticket, query = client.data("streamed")["ticket"], client.query
        await asyncio.to_thread(_put, f"{server.url}/upload/{ticket}?name={path.name}", path)
        await client.tell("streamed", {"sent": {"ticket": ticket, "count": 1}})

        def ended() -> bool:
            refused = any("was not imported" in text for text in client.texts)
            return refused or client.query != query

        await client.until(ended, "the import", wait_s=600)
        await asyncio.sleep(2)
        peak = peak_of(server.process.pid)
        said = "refused" if client.query == query else "taken"
        size = path.stat().st_size / 1e6
        return f"{size:,.2f} | {before / 2**20:,.0f} | {peak / 2**20:,.0f} | {said} |"
    finally:
        await client.close()


def _put(url: str, path: Path) -> None:
    with path.open("rb") as file:
        headers = {"Content-Length": str(path.stat().st_size)}
        request = urllib.request.Request(url, data=file, headers=headers, method="PUT")
        with urllib.request.urlopen(request, timeout=600):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--honest-mb", type=int, default=400)
    parser.add_argument("--server", action="store_true", help="the memory of a real server")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(one(Path(options.one[0]), Path(options.one[1])), flush=True)
        return
    if options.server:
        print("| upload | MB | server before, MiB | server at most, MiB | |")
        print("| --- | --- | --- | --- | --- |")
    else:
        print("| upload | MB | worker MiB | server MiB | allowed MiB | s | what is said |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(serving(Path(folder))) if options.server else None
        files = [(name, row[0], row[1]) for name, row in BOMBS.items()]
        size = options.honest_mb
        files.append((f"an honest bundle of {size} MB", ".npz", lambda path: honest(path, size)))
        for number, (name, suffix, make) in enumerate(files):
            path = Path(folder) / f"{number}{suffix}"
            make(path)
            if server is not None:
                print(f"| {name} | {served(path, server)}", flush=True)
                path.unlink()
                continue
            # A process of its own, which made nothing of the file.
            call = [sys.executable, "-m", "tests.benchmarks.bombs", "--one"]
            call += [str(path), str(Path(folder) / f"home{number}")]
            row = subprocess.run(call, capture_output=True, text=True, check=True).stdout
            print(f"| {name} {row.strip()}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
