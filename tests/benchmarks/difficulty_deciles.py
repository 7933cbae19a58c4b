"""Errors by decile of every score that the demo bundles can give, as tables for measured.md.

Run: python -m tests.benchmarks.difficulty_deciles
"""

from __future__ import annotations

import numpy as np

from backend.bundle import read_bundle
from backend.core.wording import percent, percent_range
from backend.demo import DEMOS, demo_path
from backend.scores import known_scores, score_worth


def main() -> None:
    """A row per score: error rates of the easiest, the fifth and the hardest tenth, and the rise."""
    for name in DEMOS:
        if not demo_path(name).exists():
            continue
        bundle = read_bundle(demo_path(name))
        every = np.ones(bundle.n, dtype=bool)
        print(f"\n{name}: {bundle.n:,} examples, accuracy {percent(bundle.accuracy)}\n")
        print("| score | easiest decile | hardest decile | accuracy without the hardest 10 % |")
        print("| --- | --- | --- | --- |")
        for score in known_scores(bundle).values():
            worth = score_worth(bundle, score.name, every)
            assert worth.left_out is not None, "the demos have labels and predictions"
            ends = [worth.deciles.iloc[at] for at in (0, -1)]
            cells = [
                f"{percent(one['error'])} ({percent_range(one['error_low'], one['error_high'])}) "
                f"of {int(one['n']):,}"
                for one in ends
            ]
            left = worth.left_out[worth.left_out["share"] == 0.1].iloc[0]
            print(f"| {score.title} | {' | '.join(cells)} | {percent(left['accuracy'])} |")


if __name__ == "__main__":
    main()
