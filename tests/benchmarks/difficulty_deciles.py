"""Errors by decile of every score that the demo bundles can give, as tables for measured.md.

Run: python -m tests.benchmarks.difficulty_deciles
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from backend.bundle import read_bundle
from backend.core.wording import percent, percent_range
from backend.demo import DEMOS, demo_path
from backend.scores import known_scores, score_worth


def ends_of(deciles: pd.DataFrame, *, rates: bool) -> list[str]:
    """What the easiest and the hardest tenth say: error rates, or mean losses of a regression."""
    cells = []
    for at in (0, -1):
        one = deciles.iloc[at]
        if rates:
            said = f"{percent(one['error'])} ({percent_range(one['error_low'], one['error_high'])})"
        else:
            said = f"{one['mean_loss']:.3g} ({one['mean_loss_low']:.3g} to {one['mean_loss_high']:.3g})"
        cells.append(f"{said} of {int(one['n']):,}")
    return cells


def main() -> None:
    """A row per score: the easiest and the hardest tenth, and accuracy without the hardest."""
    for name in DEMOS:
        if not demo_path(name).exists():
            continue
        bundle = read_bundle(demo_path(name))
        every = np.ones(bundle.n, dtype=bool)
        rates = bundle.accuracy is not None
        of_all = f"accuracy {percent(bundle.accuracy)}" if rates else "mean losses"
        print(f"\n{name}: {bundle.n:,} examples, {of_all}\n")
        print("| score | easiest decile | hardest decile |", end="")
        print(" accuracy without the hardest 10 % |" if rates else "")
        print("| --- | --- | --- |" + " --- |" * rates)
        for score in known_scores(bundle).values():
            worth = score_worth(bundle, score.name, every)
            cells = ends_of(worth.deciles, rates=rates)
            if worth.left_out is not None:
                left = worth.left_out[worth.left_out["share"] == 0.1].iloc[0]
                cells.append(percent(left["accuracy"]))
            print(f"| {score.title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
