"""The task "retraining": follow the recipes for the problem that this server was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backend.core.errors import InputError
from backend.core.progress import Progress, share_of
from backend.core.wording import DASH, percent, percent_range, points_words
from backend.retraining.factory import SETTING, configured
from backend.retraining.recipes import MOST_SEEDS, RECIPES, SEEDS
from backend.retraining.stored import RetrainingResult
from backend.tasks.checks import check_count, needs_bundle
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    import pandas as pd

    from backend.bundle import Bundle


def run_retraining(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Retrain into the folder of results of the bundle; ``meta["folder"]`` names it.

    What is finished there is not trained again.
    """
    from backend.retraining.bundles import check_same, keep_bundles
    from backend.retraining.factory import problem_of
    from backend.retraining.harness import place_of, retrain

    bundle = needs_bundle("retraining", bundle)
    progress(0.0, "Making the problem")
    problem = problem_of(options["factory"])
    check_same(bundle, problem)
    folder = place_of(problem, bundle.digest)
    retrain(
        problem,
        folder,
        seeds=options["seeds"],
        made_from=bundle.digest,
        progress=share_of(progress, 0.0, 0.95),
    )
    kept = keep_bundles(
        bundle, problem, folder, owner=options["owner"], progress=share_of(progress, 0.95, 1.0)
    )
    return {}, {"folder": str(folder), "bundles": [[one.digest, one.name] for one in kept]}


def readable_table(found: RetrainingResult) -> pd.DataFrame:
    """The table of a result as text: what was done, and how the groups fare."""
    import pandas as pd

    lines = []
    for line in found.table.to_dict("records"):
        lines.append(
            {
                "recipe": line["title"],
                "group labels seen": RECIPES[line["recipe"]].sees,
                "worst group": _share(line, "worst"),
                "change": _points(line),
                "balanced": _share(line, "balanced"),
                "left out": DASH if np.isnan(line["removed"]) else f"{line['removed']:,.0f}",
                "planted": DASH if np.isnan(line["planted"]) else percent(line["planted"]),
                "chosen": line["settings"] or DASH,
                "seeds": int(line["seeds"]),
            }
        )
    table = pd.DataFrame(lines)
    return table.drop(columns="planted") if found.facts["planted"] is None else table


def _share(line: dict[str, float], name: str) -> str:
    value, low, high = (line[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{percent(value)} ({percent_range(low, high)})" if np.isfinite(low) else percent(value)


def _points(line: dict[str, float]) -> str:
    return points_words(line["gain"], line["gain_low"], line["gain_high"])


def _check(options: Options) -> None:
    if not options["factory"] or options["factory"] != configured():
        raise InputError(
            f"only the problem that this server was given can be retrained ({SETTING}): got "
            f"{options['factory']!r}."
        )
    check_count("seeds", options["seeds"], 1, MOST_SEEDS)


TASK = Task(
    "backend.tasks.retraining:run_retraining",
    version=1,
    defaults={"of": "", "factory": "", "seeds": SEEDS, "owner": ""},
    check=_check,
    lane=lambda options: "background",
    # What it makes can be deleted, and goes on where it stands: a finished one is looked at again.
    source=lambda options: str(options["of"]),
)
