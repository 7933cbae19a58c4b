"""How often is a group called better or worse where only the seed differs? And how long does 100 000 rows take?

Run with ``python -m tests.benchmarks.before_after``, perhaps with ``--seeds 24`` or ``--time``. Networks
with one hidden layer of 64 are trained on half of the test images of Fashion-MNIST (the demo), each
with another seed, and asked about the other half. Every ordered pair of them is a run before and a
run after, though nothing was changed; a third one is the control where there is one. Groups: all
examples, the labels, attributes of the images cut into ranges, and the regions that the run before
and the run after themselves lead to (``find_regions`` in their own embeddings).

The table says, of each kind of group, how many were compared; how often p is at most .05, how often
the group is called better and how often worse, judged as the page judges a table, without and with a
control; and how many tables call anything better or worse. Regions are also measured on their members
that found them, which is what nobody should do. Below, the same for runs whose training lacked most
pictures of one class: changes that are there.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections import defaultdict
from dataclasses import dataclass

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
    common_direction,
    paired_change,
)
from backend.bundle import read_bundle
from backend.core.parts import kept_aside
from backend.demo import demo_path
from backend.spotlight import find_regions

EPOCHS = 12
LACKING = 6
"""The class (shirts) of which the changed runs saw a fifth."""


@dataclass(frozen=True)
class Run:
    """One trained network's answers on the evaluation half, and the regions they lead to."""

    losses: np.ndarray
    wrong: np.ndarray
    regions: list[np.ndarray]
    aside: np.ndarray


def images() -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Pixels, labels and attributes of the demo."""
    bundle = read_bundle(demo_path("fashion"))
    pixels = np.stack(
        [np.asarray(Image.open(io.BytesIO(bundle.image(row) or b"")).convert("L")) for row in range(bundle.n)]
    )  # fmt: skip
    return pixels.reshape(bundle.n, -1) / np.float32(255), bundle.label_codes, bundle.examples


def train(x: np.ndarray, y: np.ndarray, rows: np.ndarray, asked: np.ndarray, seed: int) -> Run:
    """Train on some rows, ask about others, and search regions there."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 10))
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimiser = torch.optim.Adam(network.parameters(), 0.002)
    for _ in range(EPOCHS):
        for batch in torch.from_numpy(rows)[torch.randperm(len(rows))].split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        hidden = network[:2](inputs[asked])
        logits = network[2](hidden)
    losses = nn.functional.cross_entropy(logits, labels[asked], reduction="none").double().numpy()
    predictions = logits.argmax(1).numpy()
    aside = kept_aside(len(asked), key=f"run {seed} {len(rows)}", labels=y[asked])
    found = find_regions(
        hidden.numpy(),
        losses,
        labels=y[asked],
        predictions=predictions,
        probabilities=logits.softmax(1).numpy(),
        kept_aside=aside,
    )
    return Run(losses, predictions != y[asked], [np.asarray(one) for one in found.members], aside)


def groups_of(
    before: Run, after: Run, fixed: dict[str, list[np.ndarray]]
) -> list[tuple[str, np.ndarray]]:
    """Kind and measured rows of each group of one table."""
    table = [(kind, rows) for kind, many in fixed.items() for rows in many]
    for kind, run in (("regions of before", before), ("regions of after", after)):
        table += [(kind, rows[run.aside[rows]]) for rows in run.regions]
    return table


def change(before: Run, after: Run, rows: np.ndarray, together: float = 0.0) -> PairedChange:
    return paired_change(
        before.losses[rows],
        after.losses[rows],
        wrong_before=before.wrong[rows],
        wrong_after=after.wrong[rows],
        together=together,
    )


def tables(olds: list[Run], news: list[Run], fixed: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    """One line per group of every pair of runs, with what is said of it with and without a control."""
    lines = []
    for a, b in itertools.product(range(len(olds)), range(len(news))):
        before, after = olds[a], news[b]
        if before is after:
            continue
        control = olds[next(k for k in (np.arange(1, 4) + a) % len(olds) if olds[k] is not after)]
        table = groups_of(before, after, fixed)
        alone = [change(before, after, rows) for _, rows in table]
        untouched = [rows for kind, rows in table if not kind.startswith("regions")]
        together = common_direction(change(before, control, rows) for rows in untouched)
        spread = [change(before, after, rows, together) for _, rows in table]
        beside = [change(control, after, rows, together) for _, rows in table]
        ends = [kind.removeprefix("regions of ") for kind, _ in table]
        by = [one if one in (BEFORE, AFTER) else "" for one in ends]
        said, _ = change_verdicts(alone, found_by=by)
        controlled, _ = change_verdicts(spread, beside, found_by=by)
        for at, (kind, rows) in enumerate(table):
            lines.append((f"{a} {b}", kind, len(rows), alone[at].p, alone[at].change, said[at],
                          controlled[at], beside[at].p, together))  # fmt: skip
        for rows in before.regions:
            inside = rows[~before.aside[rows]]
            found = change(before, after, inside)
            lines.append((f"{a} {b}", "regions of before, on what found them", len(inside), found.p,
                          found.change, change_verdicts([found])[0][0], "", np.nan, together))  # fmt: skip
    return pd.DataFrame(
        lines, columns=["pair", "kind", "n", "p", "change", "said", "controlled", "p_control", "together"]
    )  # fmt: skip


def told(lines: pd.DataFrame) -> str:
    """Shares of each kind of group, and of whole tables."""
    rows = []
    for kind, own in lines.groupby("kind", sort=False):
        row: dict[str, object] = {
            "groups": kind,
            "compared": len(own),
            "p <= .05": (own["p"] <= 0.05).mean(),
        }
        row["change"] = own["change"].mean()
        for name, said in (("alone", own["said"]), ("with control", own["controlled"])):
            row |= {
                f"better, {name}": (said == BETTER).mean(),
                f"worse, {name}": (said == WORSE).mean(),
            }
        rows.append(row | {"p to control <= .05": (own["p_control"] <= 0.05).mean()})
    shares = pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}")
    return f"{shares}\ncommon direction between seeds: {lines['together'].mean():.3f}"


def timed(n: int = 100_000) -> None:
    """What comparing costs: 200 groups of up to a tenth of the rows."""
    rng = np.random.default_rng(0)
    before, after = (
        Run(rng.exponential(1.0, n), rng.random(n) < 0.1, [], np.zeros(n, bool)) for _ in range(2)
    )
    sizes = rng.integers(100, n // 10, 200)
    table = [rng.choice(n, size, replace=False) for size in sizes]
    began = time.perf_counter()
    change_verdicts([change(before, after, rows) for rows in table])
    print(f"{n:,} rows, 200 groups: {time.perf_counter() - began:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    timed()
    if options.time:
        return
    x, y, examples = images()
    half = np.random.default_rng(0).permutation(len(y))
    taught, asked = half[: len(y) // 2], half[len(y) // 2 :]
    fixed: dict[str, list[np.ndarray]] = defaultdict(list)
    fixed["all"].append(np.arange(len(asked)))
    fixed["labels"] += [np.flatnonzero(y[asked] == label) for label in range(10)]
    for name in ("width", "brightness", "texture"):
        cut = pd.qcut(examples[name].to_numpy()[asked], 4, labels=False, duplicates="drop")
        fixed["attributes"] += [np.flatnonzero(cut == one) for one in np.unique(cut)]
    began = time.perf_counter()
    runs = [train(x, y, taught, asked, seed) for seed in range(options.seeds)]
    print(f"{len(runs)} runs trained and searched in {time.perf_counter() - began:.0f} s; error rates "
          f"{min(r.wrong.mean() for r in runs):.3f} to {max(r.wrong.mean() for r in runs):.3f}")  # fmt: skip
    lines = tables(runs, runs, fixed)
    print(f"\nOnly the seed differs\n{told(lines)}")
    few = np.random.default_rng(1).random(len(taught)) < 0.2
    lacking = taught[(y[taught] != LACKING) | few]
    changed = [
        train(x, y, lacking, asked, 1000 + seed) for seed in range(max(2, options.seeds // 4))
    ]
    fixed["the class"] = [fixed["labels"].pop(LACKING)]
    print(f"\nOne class had a fifth of its pictures\n{told(tables(runs, changed, fixed))}")


if __name__ == "__main__":
    main()
