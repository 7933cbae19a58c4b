"""Collecting 60 000 pictures: memory above the model, and time beside a bare inference loop.

    python -m tests.benchmarks.collect_images [--rows 60000] [--rounds 3]

Budget: less than 1 GiB of anonymous memory above the model, at most 1.3 times the loop. The pictures
(3 x 64 x 64, 737 MB) lie on disk and are read batch by batch; each round runs the loop and every way
of collecting, and the least of the rounds counts. Processor seconds are what a busy machine does not
change much; the wall is printed beside them.
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


def measured(work: Callable[[], Any]) -> tuple[float, float, int]:
    """Processor seconds, seconds on the wall, and the most anonymous memory above before."""
    before = anonymous_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    with Watch() as watch:
        work()
    return time.process_time() - cpu, time.perf_counter() - wall, max(0, watch.peak - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
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
        loader = Batches(pixels, random.integers(0, CLASSES, options.rows))
        model = network()
        out = folder / "bundle"
        ways: dict[str, Callable[[], Any]] = {
            "a bare loop": lambda: bare(model, loader),
            "collect": lambda: collect(model, loader, out=out),
            "collect, pictures kept": lambda: collect(model, loader, out=out, images="inputs"),
        }
        bare(model, Batches(pixels[: 4 * BATCH], loader.labels[: 4 * BATCH]))  # warm
        found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, work in ways.items():
                found[way].append(measured(work))
                cpu, wall, most = found[way][-1]
                print(f"{way}: {cpu:.1f} s, wall {wall:.1f} s, {most / 2**20:.0f} MiB", flush=True)
                if out.exists():
                    written = np.load(out / "embeddings.npy", mmap_mode="r")
                    assert written.shape == (options.rows, 128)
                    shutil.rmtree(out)
        print(f"{options.rows} pictures of 3 x {SIDE} x {SIDE}, {torch.get_num_threads()} threads")
        least = {
            way: [min(column) for column in zip(*rows, strict=True)] for way, rows in found.items()
        }
        loop = least["a bare loop"]
        print("| | processor s | times the loop | wall s | times | MiB above the model |")
        print("| --- | --- | --- | --- | --- | --- |")
        for way, (cpu, wall, _) in least.items():
            most = max(row[2] for row in found[way]) / 2**20
            print(
                f"| {way} | {cpu:.1f} | {cpu / loop[0]:.2f} | {wall:.1f} | {wall / loop[1]:.2f} | "
                f"{most:.0f} |"
            )
        times = least["collect"][0] / loop[0]
        most = max(row[2] for row in found["collect"])
        print(f"at most {MOST_TIMES} times the loop: {'yes' if times <= MOST_TIMES else 'NO'}")
        print(f"less than {MOST_BYTES / 2**20:.0f} MiB: {'yes' if most < MOST_BYTES else 'NO'}")


if __name__ == "__main__":
    main()
