"""Does refitting the last layer repair the failures of a network that knows one style of drawing?

Run with ``python -m tests.benchmarks.repair_emoji`` (``--seeds 5``; ``--data`` names the folder of the two
archives of ``backend.demo.domains.emoji``, which are downloaded without it). Each seed splits the names of
the emoji anew: on Google's drawings of two in five (yellow and five tones) a network learns what is done
(the kinds of the demo). Of the other names, in both styles, one half is the debug pool and the other the test
set, so no name of the test set was seen by anything; seed and heldout failures can share a name. Sets as in
``tests.benchmarks.repair``:

* *targeted*: drawings of the trained names in the style picked for the class, five for each seed failure,
  or as many as there are (what a generator would make);
* *random*: as many of Google's drawings of the trained names, moved anew;
* *up-weighted*: the pool's own drawings of the class in its first style, of which half refits;
* *variations* and *network*: made by a VAE that has learnt that half (``--vae-steps``, 0 for none).

The style of a class is picked by a second network that tells styles, taught on the trained names; a style's
"text" is the mean embedding of forty other drawings. The truth is Twitter for every class.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
import pandas as pd
import torch

from backend.core.statistics import wilson_interval
from backend.demo.compact import Embedder, Plan, ask, train_plan
from backend.demo.domains.emoji import FEWEST, STYLES, TONES, read_style, untaught
from backend.imagetext.pixels import squares
from backend.repair import DebugSet, pick_contexts, split_failures
from tests.benchmarks.repair_arms import heads_of, made_by_vae, print_table

SIDE = 32
CONTEXTS = tuple(STYLES)
PER_FAILURE = 5
COPIES = 4


def network(classes: int) -> Embedder:
    """That of the demo at 32 pixels, in single precision."""
    return untaught(classes, SIDE).float()


def tensor(images: np.ndarray) -> torch.Tensor:
    """Drawings (n, 32, 32, 3) of uint8 as the networks read them."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each drawing shifted by up to three pixels, every second one mirrored."""
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), constant_values=255)
    found = np.empty_like(images)
    for at, (down, right) in enumerate(rng.integers(0, 7, (len(images), 2))):
        one = padded[at, down : down + SIDE, right : right + SIDE]
        found[at] = one[:, ::-1] if at % 2 else one
    return found


class Drawings:
    """All drawings of the kinds that the demo asks about."""

    def __init__(self, data: str | None) -> None:
        table = pd.concat([read_style(style, data) for style in STYLES], ignore_index=True)
        kinds = table["kind"].value_counts()
        self.classes = sorted(kinds.index[kinds >= FEWEST * len(STYLES) * (1 + len(TONES))])
        table = table[table["kind"].isin(self.classes)].reset_index(drop=True)
        self.labels = np.array([self.classes.index(kind) for kind in table["kind"]])
        self.styles = np.array([CONTEXTS.index(style) for style in table["style"]])
        self.names = table["name"].to_numpy()
        self.images = np.ascontiguousarray(
            squares(table["image"].tolist(), SIDE).transpose(0, 2, 3, 1)
        )


def trained(
    images: np.ndarray, labels: np.ndarray, classes: int, seed: int, epochs: int
) -> Embedder:
    rng = np.random.default_rng(seed)
    copies = np.concatenate([moved(images, rng) for _ in range(COPIES)])
    told = torch.from_numpy(np.tile(labels, COPIES))
    return train_plan(partial(network, classes), tensor(copies), told, Plan(seed, epochs))


def one_seed(world: Drawings, seed: int, asked: argparse.Namespace) -> tuple[pd.DataFrame, list]:
    """What each set repairs with one seed, and whether Twitter was picked for each class."""
    rng = np.random.default_rng(100 + seed)
    lot = dict(
        zip(np.unique(world.names), rng.permutation(len(np.unique(world.names))), strict=True)
    )
    part = np.array([lot[name] for name in world.names]) / len(lot)
    known = part < 0.4
    google = world.styles == CONTEXTS.index("Google")
    trains = np.flatnonzero(known & google)
    examined = trained(
        world.images[trains], world.labels[trains], len(world.classes), seed, asked.epochs
    )
    train_raw = ask(examined, tensor(world.images[trains])).embeddings
    center, spread = train_raw.mean(0), train_raw.std(0) + 1e-6

    def scale(raw: np.ndarray) -> np.ndarray:
        return np.asarray((raw - center) / spread, np.float32)

    def encode(images: np.ndarray) -> np.ndarray:
        return scale(ask(examined, tensor(images)).embeddings)

    told = ask(examined, tensor(world.images))
    x, said = scale(told.embeddings), told.logits.argmax(1)
    pool = np.flatnonzero((part >= 0.4) & (part < 0.7))
    test = np.flatnonzero(part >= 0.7)
    split = split_failures(world.labels[pool], said[pool], seed=seed)
    first, heldout = pool[split.seed], pool[split.heldout]

    both = rng.permutation(np.flatnonzero(known))
    eye = trained(world.images[both[80:]], world.styles[both[80:]], 2, seed + 50, 2)
    seen = ask(eye, tensor(world.images)).embeddings + 1e-6
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    shown = both[:80]
    texts = np.stack([seen[shown[world.styles[shown] == at]].mean(0) for at in (0, 1)])
    picked = pick_contexts(
        seen[first], texts, world.labels[first], list(CONTEXTS), predictions=said[first], rows=first
    )
    top = picked.table[picked.table["rank"] == 1]
    style_of = {
        label: CONTEXTS.index(context)
        for label, context in zip(top["label"], top["context"], strict=True)
    }

    half = np.zeros(len(world.names), bool)
    half[rng.permutation(pool)[: len(pool) // 2]] = True
    half[first], half[heldout] = True, False
    of_class = np.array([style_of.get(label, -1) for label in world.labels])
    weighed = np.flatnonzero(half & (world.styles == of_class))
    targeted = []
    for label, count in zip(*np.unique(world.labels[first], return_counts=True), strict=True):
        there = np.flatnonzero(known & (world.labels == label) & (world.styles == of_class))
        targeted.append(rng.permutation(there)[: PER_FAILURE * count])
    aimed = np.concatenate(targeted)
    lots = rng.choice(trains, len(aimed))
    arms = {
        "targeted": DebugSet(x[aimed], world.labels[aimed]),
        "random": DebugSet(encode(moved(world.images[lots], rng)), world.labels[lots]),
        "up-weighted": DebugSet(x[weighed], world.labels[weighed]),
    }
    note = f"{len(trains)} trained, {len(first)} seed failures, {len(heldout)} heldout"
    if asked.vae_steps:
        rows = np.flatnonzero(half)
        made, fit = made_by_vae(
            world.images[rows], told.embeddings[rows], world.labels[rows],
            np.flatnonzero(np.isin(rows, first)), n_classes=len(world.classes),
            per_row=PER_FAILURE, steps=asked.vae_steps, seed=seed, scale=scale, encode=encode,
        )  # fmt: skip
        arms |= made
        note += f", {fit}"
    measured = {"seed failures": first, "heldout failures": heldout, "test": test}
    measured |= {
        f"test, {style}": test[world.styles[test] == at] for at, style in enumerate(CONTEXTS)
    }
    before = {
        name: (said == world.labels)[rows].mean()
        for name, rows in measured.items()
        if name.startswith("test")
    }
    found = heads_of(
        (x[trains], world.labels[trains]), arms,
        {name: (x[rows], world.labels[rows]) for name, rows in measured.items()},
        before, seed, note, strengths=(0.5,), ks=(None,),
    )  # fmt: skip
    share = (world.styles[first] == CONTEXTS.index("Twitter")).mean()
    hits = [at == CONTEXTS.index("Twitter") for at in style_of.values()]
    print(
        f"  {share:.0%} of the seed failures are Twitter's; picked for {sum(hits)} of {len(hits)} classes"
    )
    return found, hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--vae-steps", type=int, default=300)
    parser.add_argument("--data")
    asked = parser.parse_args()
    began = time.process_time()
    world = Drawings(asked.data)
    print(
        f"{len(world.labels):,} drawings, {len(world.classes)} kinds: {world.classes}", flush=True
    )
    done = [one_seed(world, seed, asked) for seed in range(asked.seeds)]
    print_table([found for found, _ in done])
    hits = [one for _, own in done for one in own]
    low, high = wilson_interval(sum(hits), len(hits))
    print(
        f"Twitter's style picked first: {np.mean(hits):.0%} ({float(low):.0%} to {float(high):.0%}) of "
        f"{len(hits)} classes, chance 50%; {time.process_time() - began:.0f} CPU seconds"
    )


if __name__ == "__main__":
    main()
