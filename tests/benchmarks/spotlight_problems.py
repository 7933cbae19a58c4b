"""Problems that the spotlight benchmarks share: clustered points with a few regions of high loss."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
DEMO = Path(__file__).resolve().parents[2] / "assets/demo/fashion-mnist.zip"


def planted(
    n: int, d: int, seed: int, *, kind: str = "exponential", modes: int = 8
) -> tuple[Floats, Floats]:
    """(n, d) float32 embeddings and (n,) losses that are higher around five random points.

    ``kind`` is the noise of the loss: "exponential", "binary" (0/1 errors) or "heavy" (log-normal).
    """
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(modes, d)) * rng.uniform(0.3, 1.5)
    x = (middles[rng.integers(0, modes, n)] + rng.normal(size=(n, d))).astype(np.float32)
    level = np.full(n, 0.08)
    for row in rng.integers(0, n, 5):
        distances = np.square(x - x[row]).sum(1)
        width = np.partition(distances, n // 40)[n // 40]
        level += rng.uniform(0.2, 0.7) * np.exp(-distances / width)
    level = np.clip(level, 0.0, 0.95)
    if kind == "binary":
        return x, (rng.random(n) < level).astype(np.float64)
    if kind == "heavy":
        return x, np.exp(rng.normal(size=n) + 3 * level)
    return x, rng.exponential(level)


SIZES = (0.02, 0.05, 0.005, 0.1, 0.01)
SHAPES = ((1000, 8), (2000, 16), (3000, 32), (4000, 64), (2000, 256), (1000, 1000))


def varied(count: int, *, largest: int = 4000) -> Iterator[tuple[str, Floats, Floats, float]]:
    """(name, embeddings, losses, size) of problems that differ in every respect.

    Every fourth is real: test examples of the demo's network (64 dimensions) and its losses.
    """
    kinds = ("exponential", "binary", "heavy")
    for number in range(count):
        share = SIZES[number % len(SIZES)]
        if number % 4 == 3:
            n = min(largest, 4000)
            x, losses = demo(n, seed=number)
            yield f"demo network {n} x {x.shape[1]}", x, losses, share * n
            continue
        n, d = SHAPES[number % len(SHAPES)]
        n, kind = min(n, largest), kinds[number // 2 % len(kinds)]
        x, losses = planted(n, d, 100 + number, kind=kind, modes=(3, 8, 20)[number % 3])
        yield f"{kind} {n} x {d}", x, losses, share * n


def demo(n: int, seed: int) -> tuple[Floats, Floats]:
    """So many examples of the shipped demo: embeddings of a trained network, its losses."""
    with zipfile.ZipFile(DEMO) as file:
        x = np.load(io.BytesIO(file.read("embeddings.npy")), allow_pickle=False)
        losses = np.load(io.BytesIO(file.read("losses.npy")), allow_pickle=False)
    rows = np.random.default_rng(seed).choice(len(x), n, replace=False)
    return x[rows], losses[rows].astype(np.float64)
