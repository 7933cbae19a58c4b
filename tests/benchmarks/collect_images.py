"""Collecting 60 000 pictures: memory above the model, and time beside a bare inference loop.

    python -m tests.benchmarks.collect_images [--rows 60000] [--pairs 5] [--skip-memory]

Budget: less than 1 GiB of anonymous memory above the model, at most 1.3 times the loop. The pictures
(3 x 64 x 64, 737 MB) lie on disk and are read batch by batch. Times are compared in pairs, one after
the other on a fifth of the pictures, since other work on a machine changes even processor seconds;
the three passes over the first batch, which do not grow, are in them.

Memory is that of all pictures, in a process of its own for the loop and for each way to collect:
what glibc keeps of buffers that one way gave back would else count as the next one's. It is what no
file backs (RssAnon); pages of files that are read or written belong to the system's cache, which
takes them back when it needs to. Each is run twice, as a user would and with
``MALLOC_MMAP_THRESHOLD_`` at 1 MiB, where a large buffer goes back to the system as soon as it is
freed: what is in use at once, without what the allocator keeps.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip
import torch
from torch import nn

from backend.collect import collect
from tests.benchmarks.spotlight_streaming import Watch, anonymous_bytes

SIDE, BATCH, CLASSES, BLOCK = 64, 256, 10, 2000
MOST_BYTES, MOST_TIMES = 2**30, 1.3
RETURNED = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}


class Batches:
    """Pictures of a file and their labels, a batch at a time."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return -(-len(self.labels) // BATCH)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(self.labels), BATCH):
            rows = slice(start, start + BATCH)
            pictures = torch.from_numpy(np.array(self.pixels[rows])).float() / 255
            yield pictures, torch.from_numpy(self.labels[rows])


def network() -> nn.Module:
    """A small convolutional network, 128 dimensions before its last layer."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES)]
    return nn.Sequential(*layers, *pooled).eval()


def bare(model: nn.Module, loader: Batches) -> None:
    """What everybody writes first: run the model, keep the losses."""
    losses = []
    with torch.no_grad():
        for pictures, labels in loader:
            logits = model(pictures)
            losses.append(nn.functional.cross_entropy(logits, labels, reduction="none"))
    torch.cat(losses)


def measured(work: Callable[[], Any], out: Path) -> tuple[float, float, int]:
    """Processor seconds, seconds on the wall, and the most anonymous memory while it ran."""
    shutil.rmtree(out, ignore_errors=True)
    wall, cpu = time.perf_counter(), time.process_time()
    with Watch() as watch:
        work()
    return time.process_time() - cpu, time.perf_counter() - wall, watch.peak


def make(path: Path, rows: int) -> None:
    """Pictures of noise on disk."""
    random = np.random.default_rng(0)
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (rows, 3, SIDE, SIDE))
    for start in range(0, rows, BLOCK):
        block = pixels[start : start + BLOCK]
        block[:] = random.integers(0, 256, block.shape, dtype=np.uint8)
    pixels.flush()


def ways(folder: Path, rows: int) -> dict[str, Callable[[], Any]]:
    """What is compared, on the first of the pictures."""
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")[:rows]
    labels = np.random.default_rng(1).integers(0, CLASSES, rows)
    model, loader, out = network(), Batches(pixels, labels), folder / "bundle"
    return {
        "a bare loop": lambda: bare(model, loader),
        "collect": lambda: collect(model, loader, out=out),
        "collect, pictures kept": lambda: collect(model, loader, out=out, images="inputs"),
    }


def show_memory(folder: Path, rows: int, way: str) -> None:
    """One line of one way, in this process alone."""
    work = ways(folder, rows)[way]
    before = anonymous_bytes()
    cpu, wall, peak = measured(work, folder / "bundle")
    most = peak - before
    held = "" if way == "a bare loop" else f", less than {MOST_BYTES >> 20}: "
    held += "" if not held else "yes" if most < MOST_BYTES else "NO"
    print(
        f"  {way}: {most / 2**20:.0f} MiB{held} ({cpu:.0f} s of processors, {wall:.0f} s)",
        flush=True,
    )


def show_times(folder: Path, rows: int, pairs: int) -> None:
    """The loop and collecting in turn, and how many times the one takes the other's."""
    both = dict(list(ways(folder, rows).items())[:2])
    both["a bare loop"]()  # warm
    print(f"{rows} pictures of 3 x {SIDE} x {SIDE}, {torch.get_num_threads()} threads, pairs:")
    ratios = []
    for number in range(pairs):
        pair = list(both.items())[:: 1 - 2 * (number % 2)]  # either first in turn
        times = {way: measured(work, folder / "bundle")[0] for way, work in pair}
        ratios.append(times["collect"] / times["a bare loop"])
        told = ", ".join(f"{way} {seconds:.2f} s" for way, seconds in sorted(times.items()))
        print(f"  {told}: {ratios[-1]:.2f} times", flush=True)
    middle = float(np.median(ratios))
    verdict = "yes" if middle <= MOST_TIMES else "NO"
    print(f"median {middle:.2f} times the loop, at most {MOST_TIMES}: {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--skip-memory", action="store_true", help="times only")
    parser.add_argument("--only", nargs=2, metavar=("FOLDER", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        show_memory(Path(options.only[0]), options.rows, options.only[1])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "pixels.npy", options.rows)
        show_times(folder, options.rows // 5, options.pairs)
        if options.skip_memory:
            return
        again = [sys.executable, "-m", "tests.benchmarks.collect_images", "--only", name]
        for told, setting in (("as it is", {}), ("nothing freed is kept", RETURNED)):
            print(f"{options.rows} pictures, MiB above the model, allocator {told}:", flush=True)
            for way in ways(folder, options.rows):
                subprocess.run(
                    [*again, way, "--rows", str(options.rows)],
                    env={**os.environ, **setting},
                    check=True,
                )


if __name__ == "__main__":
    main()
