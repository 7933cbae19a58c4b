"""Problems that the spotlight benchmarks share: clustered points with a few regions of high loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


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


def varied(count: int, *, largest: int = 4000) -> list[tuple[str, Floats, Floats, float]]:
    """(name, embeddings, losses, size) of problems that differ in every respect."""
    shapes = [(1000, 8), (2000, 16), (3000, 32), (4000, 64), (4000, 256)]
    kinds = ("exponential", "binary", "heavy")
    problems = []
    for number in range(count):
        n, d = shapes[number % len(shapes)]
        n, kind = min(n, largest), kinds[number % len(kinds)]
        x, losses = planted(n, d, 100 + number, kind=kind, modes=(3, 8, 20)[number % 3])
        size = (0.02, 0.05)[number // len(shapes) % 2] * n
        problems.append((f"{kind} {n} x {d}", x, losses, size))
    return problems
