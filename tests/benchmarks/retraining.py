"""D3M and Auto-D3M against everything else that the harness can do, on two problems and five seeds.

    python -m tests.benchmarks.retraining [marked] [census] [--seeds 5] [--folder FOLDER] [--recipes d3m_trak ...]

``marked``: 3,000 Fashion-MNIST pictures, in which a mark goes with coats, and 3,000 held-out ones, in
which it does not; groups are class x mark. ``census``: 3,000 people of Adult, nine of ten women with a
high income being left out, and 6,000 held-out ones; groups are gender x income. For each seed half
of the held-out examples chooses what a recipe leaves open, the other half is what is printed: mean of
the seeds with Student's t interval, and how many of the removed examples are planted ones. A folder
keeps what is finished, and a stopped run goes on in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from backend.retraining import RECIPES, problems, retrain

PROBLEMS = {
    "marked": lambda: problems.marked(n_train=3000, n_test=3000),
    "census": lambda: problems.census(n_train=3000, n_test=6000),
}


def share(line, name, *, sign=""):
    value, low, high = (100 * line[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "–"
    return f"{value:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def told(result):
    planted = result.facts["planted"]
    lines = [
        "| recipe | group labels seen | worst-group accuracy | change | balanced accuracy | removed | planted | chosen |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in result.table.to_dict("records"):
        removed = "–" if np.isnan(line["removed"]) else f"{line['removed']:,.0f}"
        known = "–" if np.isnan(line["planted"]) else f"{100 * line['planted']:.0f} %"
        lines.append(
            f"| {line['title']} | {RECIPES[line['recipe']].sees} | {share(line, 'worst')} | "
            f"{share(line, 'gain', sign='+')} | {share(line, 'balanced')} | {removed} | {known} | "
            f"{line['settings'] or '–'} |"
        )
    if planted is not None:
        every = 100 * planted / result.facts["n_train"]
        lines.append(f"\n{planted} of the training examples are planted: {every:.0f} % by lot.")
    lines += ["\n| recipe | removed | worst-group accuracy | balanced accuracy | planted |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for line in result.curve.to_dict("records"):
        known = "–" if np.isnan(line["planted"]) else f"{line['planted']:.0f}"
        lines.append(
            f"| {line['title']} | {line['removed']:,.0f} | {share(line, 'worst')} | "
            f"{share(line, 'balanced')} | {known} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("problems", nargs="*", metavar="PROBLEM")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--folder", type=Path)
    options.add_argument("--recipes", nargs="+", metavar="RECIPE", help="some, not all")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.problems or PROBLEMS:
            began = time.perf_counter()
            folder = (given.folder or Path(scratch)) / name
            result = retrain(
                PROBLEMS[name](),
                folder,
                recipes=given.recipes,
                seeds=given.seeds,
                progress=heard(),
            )
            print(
                f"\n## {name}, {time.perf_counter() - began:,.0f} s\n\n{told(result)}", flush=True
            )


def heard():
    """Progress on the error stream, one line for each thing that is trained."""
    last = ""

    def progress(fraction: float, message: str) -> None:
        nonlocal last
        if message != last:
            last = message
            print(f"{100 * fraction:5.1f} %  {message}", file=sys.stderr, flush=True)

    return progress


if __name__ == "__main__":
    main()
