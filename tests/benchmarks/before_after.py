"""How often is a group called better or worse where only the seed differs? And how long does it take?

Run with ``python -m tests.benchmarks.before_after``, perhaps with ``--seeds 12``, ``--regions`` or
``--time``. Every ordered pair of networks of one recipe is a run before and a run after, though
nothing was changed; a third one is the control where there is one. The networks: seven of the
Fashion-MNIST demo, which were trained on 30 000 images and answer 10 000; and networks with one
hidden layer of 64, trained here on half of these 10 000 images, which answer the other half.

A line is one kind of group (all examples, the ten labels, ranges of the images' attributes) and one
way to judge: plain McNemar, by the usual change of a label without a control, and with a control, as
the page does; the share called better or worse. "Any" is the share of tables in which some group is
called so. Below, the same where something was changed: networks pruned to a tenth, and networks that
saw a fifth of one class; and "planted", sixty examples of one class on which the new run fails nine
times in ten, nothing else being changed. ``--regions`` adds the regions that the run before and the run after lead to,
measured on kept-aside members and on those that found them; a search each, which takes minutes.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from backend.before_after import (
    AFTER,
    BEFORE,
    BETTER,
    WORSE,
    PairedChange,
    change_verdicts,
    changes_of_seeds,
    common_direction,
    paired_change,
    usual_direction,
)
from backend.bundle import read_bundle
from backend.core.parts import kept_aside
from backend.demo import demo_path
from backend.spotlight import find_regions

EPOCHS = 8
LACKING = 6
"""The class (shirts) of which the changed networks saw a fifth."""
NUMBERS = ("width", "brightness", "texture")
WAYS = ("McNemar alone", "usual change of a label", "with a control")


@dataclass(frozen=True)
class Run:
    """One network's answers, and the regions they lead to, if any were searched."""

    wrong: np.ndarray
    losses: np.ndarray
    regions: list[np.ndarray] = field(default_factory=list)
    aside: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


Groups = list[tuple[str, np.ndarray, str]]


def plain_groups(labels: np.ndarray, examples: pd.DataFrame) -> Groups:
    """Kind and rows of the groups that nobody's errors chose."""
    found: Groups = [("all", np.arange(len(labels)), "")]
    found += [("labels", np.flatnonzero(labels == one), "") for one in np.unique(labels)]
    for name in NUMBERS:
        cut = pd.qcut(examples[name].to_numpy(), 4, labels=False, duplicates="drop")
        found += [("attributes", np.flatnonzero(cut == one), "") for one in np.unique(cut)]
    return found


def train(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, asked: np.ndarray, seed: int, regions: bool
) -> Run:
    """Train on some rows, ask about others, and perhaps search regions there."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 10))
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.Adam(network.parameters(), 0.002)
    for _ in range(EPOCHS):
        for batch in torch.from_numpy(rows)[torch.randperm(len(rows))].split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        hidden = network[:2](inputs[asked])
        logits = network[2](hidden)
    losses = nn.functional.cross_entropy(logits, labels[asked], reduction="none").double().numpy()
    answers = logits.argmax(1).numpy()
    wrong = answers != y[asked]
    if not regions:
        return Run(wrong, losses)
    aside = kept_aside(len(asked), key=f"run {seed} {len(rows)}", labels=y[asked])
    found = find_regions(
        hidden.numpy(), losses, labels=y[asked], predictions=answers,
        probabilities=logits.softmax(1).numpy(), kept_aside=aside,
    )  # fmt: skip
    return Run(wrong, losses, [np.asarray(one) for one in found.members], aside)


def judged(olds: list[Run], news: list[Run], plain: Groups, labels: np.ndarray) -> pd.DataFrame:
    """Share called better and worse, by way and kind of group, over all pairs of two runs."""
    lines = []

    def change(
        first: Run, second: Run, rows: np.ndarray, together: float = 0.0,
        seeds: tuple[Run, Run] | None = None,
    ) -> PairedChange:  # fmt: skip
        most = None
        if seeds is not None:
            most = changes_of_seeds(seeds[0].wrong, seeds[1].wrong, labels, rows)
        return paired_change(
            first.losses[rows], second.losses[rows], wrong_before=first.wrong[rows],
            wrong_after=second.wrong[rows], labels=labels[rows], together=together,
            most_together=most,
        )  # fmt: skip

    of_labels = [rows for kind, rows, _ in plain if kind == "labels"]
    for a, b in itertools.product(range(len(olds)), range(len(news))):
        before, after = olds[a], news[b]
        if before is after:
            continue
        control = next(
            olds[k % len(olds)] for k in range(a + 1, a + 4) if olds[k % len(olds)] is not after
        )
        table = list(plain)
        for name, run, by in (("before", before, BEFORE), ("after", after, AFTER)):
            table += [(f"regions of {name}", rows[run.aside[rows]], by) for rows in run.regions]
        table += [
            ("regions of before, what found them", rows[~before.aside[rows]], "")
            for rows in before.regions
        ]
        by = [one for _, _, one in table]
        spreads = {
            WAYS[0]: 0.0,
            WAYS[1]: usual_direction([change(before, after, rows) for rows in of_labels]),
            WAYS[2]: common_direction(change(before, control, rows) for rows in of_labels),
        }
        for way, together in spreads.items():
            seeds = (before, control) if way == WAYS[2] else None
            changes = [change(before, after, rows, together, seeds) for _, rows, _ in table]
            beside = None
            if seeds is not None:
                beside = [change(control, after, rows, together, seeds) for _, rows, _ in table]
            said, _ = change_verdicts(changes, beside, found_by=by)
            lines += [
                (way, kind, f"{a} {b}", one, together)
                for (kind, _, _), one in zip(table, said, strict=True)
            ]
    told = pd.DataFrame(lines, columns=["way", "kind", "pair", "said", "together"])
    told["better"], told["worse"] = told["said"] == BETTER, told["said"] == WORSE
    shares = told.groupby(["way", "kind"], sort=False)[["better", "worse"]].mean()
    shares.insert(0, "groups", told.groupby(["way", "kind"], sort=False).size())
    plainly = told[~told["kind"].str.startswith("regions")]
    called = plainly.assign(any=plainly["better"] | plainly["worse"]).groupby(["way", "pair"])
    tables = called["any"].any().groupby("way").mean()
    shares["any"] = [tables[way] if kind == "all" else np.nan for way, kind in shares.index]
    return shares.round(3)


def demo() -> tuple[list[Run], list[Run], Groups, np.ndarray]:
    """The networks of the Fashion-MNIST demo: seven of one recipe, and pruned ones."""
    bundle = read_bundle(demo_path("fashion"))
    labels = np.asarray(bundle.label_codes)
    runs = [
        [Run(np.asarray(one) != labels, np.zeros(bundle.n)) for one in models[:7]]
        for models in bundle.populations.values()
    ]
    return runs[0], runs[1], plain_groups(labels, bundle.examples), labels


def small(seeds: int, regions: bool) -> tuple[list[Run], list[Run], Groups, np.ndarray]:
    """Networks trained here: of one recipe, and some that saw little of one class."""
    bundle = read_bundle(demo_path("fashion"))
    y, media = np.asarray(bundle.label_codes), bundle.media
    assert media is not None  # the demo has pictures
    pixels = [np.asarray(Image.open(io.BytesIO(media.read(row) or b"")).convert("L"))
              for row in range(bundle.n)]  # fmt: skip
    x = np.stack(pixels).reshape(bundle.n, -1) / np.float32(255)
    half = np.random.default_rng(0).permutation(bundle.n)
    taught, asked = half[: bundle.n // 2], half[bundle.n // 2 :]
    few = np.random.default_rng(1).random(len(taught)) < 0.2
    lacking = taught[(y[taught] != LACKING) | few]
    runs = [train(x, y, taught, asked, seed, regions) for seed in range(seeds)]
    changed = [train(x, y, lacking, asked, 1000 + seed, regions) for seed in range(3)]
    return runs, changed, plain_groups(y[asked], bundle.examples.iloc[asked]), y[asked]


def planted(
    runs: list[Run], groups: Groups, labels: np.ndarray, label: int
) -> tuple[list[Run], Groups]:
    """The same networks, wrong on 54 of the first 60 examples of a class, which are a group more."""
    rows = np.flatnonzero(labels == label)[:60]
    spoiled = []
    for run in runs:
        wrong = run.wrong.copy()
        wrong[rows[:54]] = True
        spoiled.append(replace(run, wrong=wrong))
    return spoiled, [*groups, ("planted", rows, "")]


def timed(n: int = 100_000) -> None:
    """What comparing costs: 200 groups of up to a tenth of the rows."""
    rng = np.random.default_rng(0)
    losses, wrong = rng.exponential(1.0, (2, n)), rng.random((2, n)) < 0.1
    table = [rng.choice(n, size, replace=False) for size in rng.integers(100, n // 10, 200)]
    began = time.process_time()
    change_verdicts(
        [
            paired_change(losses[0][rows], losses[1][rows],
                          wrong_before=wrong[0][rows], wrong_after=wrong[1][rows])
            for rows in table
        ]
    )  # fmt: skip
    print(f"{n:,} rows, 200 groups: {time.process_time() - began:.2f} CPU seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--regions", action="store_true")
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    timed()
    if options.time:
        return
    made: dict[str, Callable[[], tuple[list[Run], list[Run], Groups, np.ndarray]]] = {
        "the demo's networks, then pruned ones": demo,
        "small networks, then without most of a class": lambda: small(
            options.seeds, options.regions
        ),
    }
    for name, make in made.items():
        runs, changed, groups, labels = make()
        for what, news in (("only the seed differs", runs), ("something was changed", changed)):
            print(f"\n{name}: {what}; errors {np.mean([one.wrong.mean() for one in news]):.3f}")
            print(judged(runs, news, groups, labels).to_string(), flush=True)
        for label in (1, 4, LACKING):
            news, more = planted(runs, groups, labels, label)
            print(f"\n{name}: sixty of class {label} fail")
            print(judged(runs, news, more, labels).to_string(), flush=True)


if __name__ == "__main__":
    main()
