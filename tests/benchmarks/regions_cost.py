"""What does a search for regions cost? Processor seconds of one ``find_regions``, on one thread.

Run with ``python -m tests.benchmarks.regions_cost``, perhaps with ``--n 100000``, ``--labels 0`` for
none, and ``--parts`` for the functions in which most of the time goes. Another version of the search
is timed by the same script with its folder first in ``PYTHONPATH`` and this file run by its path.

The data: normal rows around a mean for each label, losses of a gamma distribution, doubled in a part
of one label; predictions of a linear model that is right in about nine of ten, which the search takes
where it knows of predictions.
"""

from __future__ import annotations

import argparse
import cProfile
import inspect
import pstats
import time
from typing import Any

import numpy as np
import torch

import backend
from backend.spotlight import find_regions


def made(n: int, d: int, labels: int) -> dict[str, Any]:
    """Arguments of ``find_regions``."""
    random = np.random.default_rng(0)
    count = max(1, labels)
    label = random.integers(0, count, n)
    means = random.normal(size=(count, d)).astype(np.float32)
    embeddings = random.normal(size=(n, d)).astype(np.float32) + 0.5 * means[label]
    losses = random.gamma(2.0, 0.5, n)
    losses[(label == 0) & (embeddings[:, 0] > means[0, 0])] *= 2.0
    if not labels:
        return {"embeddings": embeddings, "losses": losses}
    scores = 0.02 * embeddings @ means.T + random.gumbel(size=(n, count))
    scores[np.arange(n), label] += 3.0
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return {
        "embeddings": embeddings,
        "losses": losses,
        "labels": label,
        "predictions": shares.argmax(axis=1),
        "probabilities": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What does a search for regions cost?")
    parser.add_argument("--n", type=int, default=50_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = inspect.signature(find_regions).parameters
    given = made(options.n, options.d, options.labels)
    given = {name: value for name, value in given.items() if name in known}
    profile = cProfile.Profile() if options.parts else None
    seconds = []
    for run in range(options.runs):
        began = time.process_time()
        if profile and run == options.runs - 1:
            profile.enable()
        find_regions(**given, device="cpu")
        if profile:
            profile.disable()
        seconds.append(time.process_time() - began)
    print(f"{backend.__path__[0]}: {options.n} x {options.d}, {options.labels} labels")
    told = ", ".join(f"{one:.2f}" for one in seconds)
    print(f"cpu seconds {min(seconds):.2f} (the least of {told})")
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
