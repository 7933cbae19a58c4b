"""The command that trains small networks anew by every recipe, and says what that bought."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from backend.cli.bundles import find_bundle
from backend.cli.report import Report, StderrProgress, aligned, note, plain
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.core.progress import share_of
from backend.core.wording import DASH, percent, percent_range
from backend.retraining.recipes import RECIPES, SEEDS
from backend.retraining.stored import TABLE, RetrainingResult, records


def add_options(command: ArgumentParser) -> None:
    """The options of ``retrain``."""
    command.add_argument(
        "factory",
        metavar="MODULE:FACTORY",
        help="a function of yours, in a module or a file.py, that returns a RetrainingProblem",
    )
    command.add_argument(
        "--bundle",
        metavar="BUNDLE",
        help="whose examples are the held-out ones: results are shown on its page Training data",
    )
    command.add_argument(
        "--recipes",
        nargs="+",
        metavar="RECIPE",
        help=f"some of {', '.join(RECIPES)} (default: all)",
    )
    command.add_argument(
        "--seeds", type=int, default=SEEDS, help=f"trainings of each recipe (default: {SEEDS})"
    )
    command.add_argument(
        "--remove",
        nargs="+",
        type=int,
        metavar="K",
        help="numbers of training examples to try to remove (default: six shares of all)",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="where results are kept, and a stopped run goes on (default: with the bundle)",
    )
    command.add_argument(
        "--keep-bundles",
        action="store_true",
        help="with --bundle: also import each recipe's first network as a bundle made from it",
    )


def retrain(options: Namespace) -> Report:
    """Train by recipes and seeds, and print how the worst group fares."""
    from backend.retraining.bundles import check_same, keep_bundles
    from backend.retraining.factory import problem_of
    from backend.retraining.harness import place_of
    from backend.retraining.harness import retrain as run

    if options.bundle is None and options.out is None:
        raise InputError("name the folder of results with --out, or a bundle with --bundle.")
    if options.keep_bundles and options.bundle is None:
        raise InputError("--keep-bundles makes bundles from another: name it with --bundle.")
    problem = problem_of(options.factory)
    bundle = None
    if options.bundle is not None:
        bundle = find_bundle(options.bundle, home=options.home)
        check_same(bundle, problem)
    digest = "" if bundle is None else bundle.digest
    folder = (
        place_of(problem, digest, candidates=options.remove, home=options.home)
        if options.out is None
        else Path(options.out)
    )
    progress = StderrProgress()
    found = run(
        problem,
        folder,
        recipes=options.recipes,
        seeds=options.seeds,
        candidates=options.remove,
        made_from=digest,
        progress=share_of(progress, 0.0, 0.95 if options.keep_bundles else 1.0),
    )
    kept = []
    if bundle is not None and options.keep_bundles:
        kept = keep_bundles(
            bundle,
            problem,
            folder,
            recipes=options.recipes,
            home=options.home,
            progress=share_of(progress, 0.95, 1.0),
        )
        for one in kept:
            note(one.digest, "imported", home=options.home)
    data = {
        **found.facts,
        "folder": str(folder),
        "table": records(found.table),
        "curve": records(found.curve),
        "bundles": [{"digest": one.digest, "name": one.name} for one in kept],
    }
    parts = [told(found), f"Kept in {folder}, among it {TABLE}."]
    if kept:
        parts.append("Imported: " + "; ".join(one.name for one in kept) + ".")
    return Report(plain(data), "\n\n".join(parts))


def told(found: RetrainingResult) -> str:
    """The table in words and numbers for a terminal."""
    lines = []
    for line in found.table.to_dict("records"):
        lines.append(
            [
                line["title"],
                line["seeds"],
                _interval(line, "worst"),
                _interval(line, "balanced"),
                DASH if np.isnan(line["removed"]) else f"{line['removed']:,.0f}",
                DASH if np.isnan(line["planted"]) else percent(line["planted"]),
            ]
        )
    header = ["recipe", "seeds", "worst group", "balanced", "removed", "planted"]
    facts = found.facts
    about = (
        f"{found.name}: {counted(facts['n_train'], 'training example')}, of the held-out ones "
        f"{facts['n_validation']:,} choose and {facts['n_report']:,} report, "
        f"{counted(len(facts['groups']), 'group')}. Intervals are over seeds, at 95\u00a0%."
    )
    left_out = [f"{RECIPES[name].title}: {why}." for name, why in facts["skipped"].items()]
    return "\n".join([about, "", aligned(lines, header), *left_out])


def _interval(line: dict[str, Any], name: str) -> str:
    value, low, high = (line[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{percent(value)} ({percent_range(low, high)})" if np.isfinite(low) else percent(value)
