"""What the benchmarks of repairs share: sets made by a VAE, one seed's heads, and the table over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from backend.core.statistics import mean_interval
from backend.generate.vae import train_vae
from backend.repair import DebugSet, sweep_heads, vary_group


def made_by_vae(
    shown: Any, embeddings: Any, labels: Any, failing: Any, *, n_classes: int, per_row: int,
    steps: int, seed: int, scale: Callable[[Any], Any], encode: Callable[[Any], Any],
) -> tuple[dict[str, DebugSet], str]:  # fmt: skip
    """Variations of the failing rows, and what the VAE kept of held-out pictures and embeddings.

    *variations* have the embeddings that the VAE decodes, *network* those that the examined network has
    for the decoded pictures.
    """
    vae = train_vae(shown, embeddings, labels, n_classes=n_classes, steps=steps, seed=seed)
    latent = vae.encode(shown[failing], embeddings[failing], labels[failing])
    made, codes = vary_group(latent, labels[failing], per_row=per_row, seed=seed)
    pictures, told = vae.decode(made, codes)
    return {
        "variations": DebugSet(scale(told), codes),
        "network": DebugSet(encode(pictures), codes),
    }, f"VAE keeps {vae.picture_fit:.0%} of pictures, {vae.embedding_fit:.0%} of embeddings"


def heads_of(
    train: tuple[Any, Any], arms: Mapping[str, DebugSet], measured: Mapping[str, tuple[Any, Any]],
    before: Mapping[str, float], seed: int, said: str, **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Heads refitted for one seed; prints its line, so that nothing is lost of a run that ends early."""
    found = sweep_heads(*train, arms, measured, seeds=(seed,), **options)
    found["before"] = found["measured"].map(before)
    heldout = found[found["measured"] == "heldout failures"]
    shares = ", ".join(
        f"{name} {share:.1%}"
        for name, share in zip(heldout["set"], heldout["accuracy"], strict=True)
    )
    print(f"seed {seed}: {said}; heldout failures repaired: {shares}", flush=True)
    return found.assign(seed=seed)


def print_table(tables: Sequence[pd.DataFrame]) -> None:
    """Means over seeds with Student's t; then by how many points each arm differs from the plain refit."""
    every = pd.concat(tables)
    every["k"] = every["k"].fillna(np.inf).astype(float)
    columns = list(dict.fromkeys(every["measured"]))
    print("\n| refitted with | strength | contexts | examples | " + " | ".join(columns) + " |")
    print("| --- " * (4 + len(columns)) + "|")
    for (name, strength, k), own in every.groupby(["set", "strength", "k"], sort=False):
        cells = [_told(own[own["measured"] == what]["accuracy"]) for what in columns]
        told = "all" if np.isinf(k) else f"{k:g}"
        print(
            f"| {name} | {strength:g} | {told} | {own['n_debug'].mean():.0f} | "
            + " | ".join(cells) + " |"
        )  # fmt: skip
    print(
        "\n| beside the plain refit, points | strength | contexts | " + " | ".join(columns) + " |"
    )
    print("| --- " * (3 + len(columns)) + "|")
    plain = every[every["strength"] == 0].set_index(["seed", "measured"])["accuracy"]
    for (name, strength, k), own in every[every["strength"] > 0].groupby(
        ["set", "strength", "k"], sort=False
    ):
        gains = own.set_index(["seed", "measured"])["accuracy"] - plain
        cells = []
        for what in columns:
            mean = mean_interval(gains.xs(what, level="measured").tolist())
            cells.append(
                f"{100 * mean.value:+.1f} ({100 * mean.low:+.1f} to {100 * mean.high:+.1f})"
            )
        told = "all" if np.isinf(k) else f"{k:g}"
        print(f"| {name} | {strength:g} | {told} | " + " | ".join(cells) + " |")
    first = every[every["strength"] == 0].dropna(subset="before")
    for what, own in first.groupby("measured", sort=False):
        print(f"before, {what}: {_told(own['before'])}")


def _told(values: pd.Series) -> str:
    mean = mean_interval(values.tolist())
    return f"{mean.value:.1%} ({mean.low:.1%} to {mean.high:.1%})"
