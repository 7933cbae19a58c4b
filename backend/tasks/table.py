"""The table of tasks, and the options that each of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.core.errors import InputError
from backend.tasks import (
    assess,
    attribution,
    contexts,
    demos,
    difficulty,
    encoded,
    imports,
    made,
    methods,
    populations,
    projection,
    regions,
    removal_search,
    repair,
    retraining,
    rules,
    sharpen,
    spotlights,
)
from backend.tasks.chapters import CHAPTERS
from backend.tasks.checks import check_count, check_layer
from backend.tasks.task import Options, Task, completed


def default_options(task: str) -> Options:
    """Every option of a task with its default; a fresh dict."""
    return dict(_task(task).defaults or {})


def complete_options(
    task: str, options: Mapping[str, Any], tasks: Mapping[str, Task] | None = None
) -> Options:
    """Options with defaults filled in.

    Raises
    ------
    InputError
        If the task or an option does not exist, or a value cannot be used.
    """
    return completed(task, _task(task, tasks), options)


def _task(name: str, tasks: Mapping[str, Task] | None = None) -> Task:
    tasks = TASKS if tasks is None else tasks
    if name not in tasks:
        raise InputError(f"there is no task {name!r}. There are {', '.join(sorted(tasks))}.")
    return tasks[name]


def _check_report(options: Options) -> None:
    check_layer(options)
    for task in ("regions", "spotlights", "methods"):
        if options[task] is not None and not isinstance(options[task], Mapping):
            raise InputError(f"{task} must be options or None: got {options[task]!r}.")
        complete_options(task, options[task] or {})
    if options["regions"] is not None and options["spotlights"] is not None:
        raise InputError("a report is of regions or of spotlights: got options for both.")
    if not isinstance(options["claim"], bool):
        raise InputError(f"claim must be true or false: got {options['claim']!r}.")
    check_count("log", options["log"], 0, 2**63 - 1)
    told, known = options["chapters"], {name: one.task for name, one in CHAPTERS.items()}
    if not isinstance(told, Mapping) or not set(told) <= set(known):
        raise InputError(f"chapters must be of {', '.join(known)}: got {str(told)[:80]}.")
    for name, one in told.items():
        complete_options(known[name], dict(one).get("options", {}))
        if not isinstance(one.get("of", ""), str):
            raise InputError(f"of must be the digest of a bundle: got {one['of']!r}.")


def _check_before_after(options: Options) -> None:
    for name in ("before", "control"):
        if not isinstance(options[name], str):
            raise InputError(f"{name} must be the digest of a bundle: got {options[name]!r}.")
    check_count("log", options["log"], 0, 2**63 - 1)


TASKS: dict[str, Task] = {
    "import": imports.TASK,
    "demo": demos.TASK,
    "spotlights": spotlights.TASK,
    "regions": regions.TASK,
    "methods": methods.TASK,
    "report": Task(
        "backend.tasks.report:run_report",
        version=8,
        defaults={
            "regions": None,
            "spotlights": None,
            "claim": True,
            "methods": None,
            "chapters": {},
            "log": 0,
            "layer": "",
        },
        check=_check_report,
    ),
    "populations": populations.TASK,
    "projection": projection.TASK,
    "words": Task(
        "backend.tasks.words:run_words",
        version=1,
        defaults={"min_count": 5},
        check=lambda options: check_count("min_count", options["min_count"], 1, 2**31),
        lane=lambda options: "quick",
    ),
    "cues": Task("backend.tasks.words:run_cues", version=1, defaults={}),
    "assess": assess.TASK,
    "attribution": attribution.TASK,
    "difficulty": difficulty.TASK,
    "tails": difficulty.TAILS,
    "components": sharpen.COMPONENTS,
    "sharpen": sharpen.TASK,
    "removal_search": removal_search.TASK,
    "repair": repair.TASK,
    "repaired": repair.REPAIRED,
    "made": made.MADE_TASK,
    "drawn": made.DRAWN_TASK,
    "retraining": retraining.TASK,
    "contexts": contexts.TASK,
    "before_after": Task(
        "backend.tasks.before_after:run_before_after",
        version=3,
        defaults={"before": "", "control": "", "log": 0},
        check=_check_before_after,
    ),
    "encoded": encoded.ENCODED,
    "candidates": encoded.CANDIDATES,
    "named": encoded.NAMED,
    "rules": rules.TASK,
}

PRELOAD: dict[str, tuple[str, ...]] = {
    "quick": ("backend.tasks", "backend.map.project"),
    "compute": ("backend.tasks", "backend.spotlight.find", "backend.spotlight.regions.find"),
    "background": (),
}
"""Modules that a warm worker of each lane imports before anybody asks."""
