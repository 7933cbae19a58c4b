"""Collecting 60 000 pictures: memory above the model, and time beside a bare inference loop.

    python -m tests.benchmarks.collect_images [--rows 60000] [--pairs 5] [--skip-memory]

Budget: less than 1 GiB of anonymous memory above the model, at most 1.3 times the loop. The pictures
(3 x 64 x 64, 737 MB) lie on disk and are read batch by batch. Times are compared in pairs, one after
the other on a fifth of the pictures, since other work on a machine changes even processor seconds;
the three passes over the first batch, which do not grow, are in them. Memory is that of all pictures.
"""

from __future__ import annotations

import argparse
import shutil
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--skip-memory", action="store_true", help="times only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = (options.rows, 3, SIDE, SIDE)
        random = np.random.default_rng(0)
        pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)
        for start in range(0, options.rows, BLOCK):
            block = pixels[start : start + BLOCK]
            block[:] = random.integers(0, 256, block.shape, dtype=np.uint8)
        pixels.flush()
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        labels = random.integers(0, CLASSES, options.rows)
        model, out, fifth = network(), folder / "bundle", options.rows // 5

        def ways(rows: int) -> dict[str, Callable[[], Any]]:
            loader = Batches(pixels[:rows], labels[:rows])
            return {
                "a bare loop": lambda: bare(model, loader),
                "collect": lambda: collect(model, loader, out=out),
                "collect, pictures kept": lambda: collect(model, loader, out=out, images="inputs"),
            }

        before = anonymous_bytes()
        bare(model, Batches(pixels[: 4 * BATCH], labels[: 4 * BATCH]))  # warm
        print(f"{fifth} pictures of 3 x {SIDE} x {SIDE}, {torch.get_num_threads()} threads, pairs:")
        ratios = []
        for number in range(options.pairs):
            pair = list(ways(fifth).items())[:2]
            pair = pair[:: 1 - 2 * (number % 2)]  # either first in turn
            times = {way: measured(work, out)[0] for way, work in pair}
            ratios.append(times["collect"] / times["a bare loop"])
            told = ", ".join(f"{way} {seconds:.2f} s" for way, seconds in sorted(times.items()))
            print(f"  {told}: {ratios[-1]:.2f} times", flush=True)
        middle = float(np.median(ratios))
        print(
            f"median {middle:.2f} times the loop, at most {MOST_TIMES}: "
            f"{'yes' if middle <= MOST_TIMES else 'NO'}"
        )
        if options.skip_memory:
            return
        for way, work in ways(options.rows).items():
            cpu, wall, peak = measured(work, out)
            most = peak - before
            held = "" if way == "a bare loop" else f", less than {MOST_BYTES >> 20}: "
            held += "" if not held else "yes" if most < MOST_BYTES else "NO"
            print(
                f"{options.rows} pictures, {way}: {most / 2**20:.0f} MiB above the model{held} "
                f"({cpu:.0f} s of processors, {wall:.0f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
