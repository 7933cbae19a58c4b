"""The command that asks which training examples cause it, and writes lists to keep and to remove."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from backend.bundle import Bundle
from backend.bundle.training import Training, training_of
from backend.cache import Cache, Entry
from backend.cli.bundles import find_bundle
from backend.cli.report import Report, StderrProgress, aligned, plain, taken_out, write_file
from backend.core.errors import InputError
from backend.report import evaluate
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.attribution import METHODS, cells_of
from backend.tasks.kept import kept_result
from backend.tasks.populations import grouping_columns
from backend.tasks.removal import (
    RemovalRule,
    removal_files,
    replay_removal,
    subpopulations,
    training_labels,
)
from backend.tasks.task import Options

LISTED = 10
"""Training examples of each end that are printed."""


def attribute(options: Namespace) -> Report:
    """Which training examples help and harm a group; by default the worst one."""
    bundle = find_bundle(options.bundle, home=options.home, layer="")
    folder = None if options.out is None else Path(options.out)
    if folder is not None and not folder.is_dir():
        raise InputError(f"'{folder}' must be a folder that is there: make it first.")
    if folder is None and (options.replay is not None or options.remove is not None):
        raise InputError("--remove and --replay write lists: name a folder with --out.")
    if options.replay is not None and folder is not None:
        files = replay_removal(Path(options.replay).read_bytes(), bundle, progress=StderrProgress())
        taken_out(bundle, "lists of training examples", options)
        return _written(folder, files, {"bundle": bundle.digest})
    name, question = _question(bundle, options)
    wanted = complete_options("attribution", question | {"method": options.method})
    found = kept_result(
        "attribution", bundle, wanted, progress=StderrProgress(), cache=Cache(options.home)
    )
    training = training_of(bundle)
    assert training is not None  # scored just now
    data, text = _told(name, training, found)
    if folder is None:
        return Report(plain(data), text)
    files = removal_files(bundle, found["scores"], wanted, _rule(options.remove))
    written = _written(folder, files, data)
    taken_out(bundle, "lists of training examples", options)
    return Report(written.data, f"{text}\n\n{written.text}")


def _question(bundle: Bundle, options: Namespace) -> tuple[str, Options]:
    """What is asked about, in words and as options of the task."""
    if options.pseudo:
        return "groups of its own", {"question": "pseudo"}
    if options.columns is not None:
        words = " and ".join(["label", *options.columns])
        return f"groups of {words}", {"question": "groups", "columns": options.columns}
    if options.rule is None and options.tag is None:
        first = list(grouping_columns(bundle).first[:1])
        worst = cells_of(bundle, first)[0]
        return f"the worst group: {worst.name}", _about(worst.rows)
    store = Store(home=options.home)
    try:
        tags = store.tags(bundle.digest)
    finally:
        store.close()
    if options.rule is not None:
        return options.rule, _about(np.flatnonzero(evaluate(options.rule, bundle, tags)))
    rows = np.sort(bundle.rows_of(tags["id"][tags["tag"] == options.tag]))
    return f"tag: {options.tag}", _about(rows)


def _about(rows: Any) -> Options:
    if not len(rows):
        raise InputError("no example is meant: nothing can be asked about it.")
    return {"question": "rows", "rows": [int(row) for row in rows]}


def _rule(remove: str | None) -> RemovalRule:
    if remove in (None, "harmful"):
        return RemovalRule("sign")
    if not str(remove).isdecimal():
        raise InputError(f"--remove must be a number or 'harmful': got {remove!r}.")
    return RemovalRule("number", number=int(str(remove)))


def _told(name: str, training: Training, found: Entry) -> tuple[dict[str, Any], str]:
    scores, labels = found["scores"], training_labels(training)
    order = np.argsort(scores, kind="stable")
    ends = {"harmful": order[:LISTED], "helpful": order[::-1][:LISTED]}
    listed = {
        end: [
            {
                "row": int(row),
                "id": str(training.ids[row]),
                "label": None if labels is None else labels[row],
                "score": float(scores[row]),
            }
            for row in rows
        ]
        for end, rows in ends.items()
    }
    table = subpopulations(training, scores)
    agreement = found.meta["agreement"]
    data = {
        "about": name,
        "method": found.meta["method"],
        "how": found.meta["how"],
        "notes": found.meta["notes"],
        "groups": found.meta["groups"],
        "agreement": agreement,
        **listed,
        "labels": table,
    }
    repeats = "Whether the ranking repeats cannot be said."
    if agreement is not None and agreement["correlation"] is not None:
        what = "projections" if agreement["of"] == "projections" else "halves of the examples"
        repeats = f"Two {what} rank alike with a correlation of {agreement['correlation']:.2f}."
    parts = [
        f"{name}. {METHODS[found.meta['method']]}. {' '.join(found.meta['how'])} {repeats}",
        *found.meta["notes"],
    ]
    for end, lines in listed.items():
        cells = [[one["id"], one["label"], one["score"]] for one in lines]
        parts.append(f"Most {end}:\n" + aligned(cells, ["id", "label", "score"]))
    cells = table[["label", "n", "mean"]].to_numpy().tolist()
    parts.append(aligned(cells, ["label", "training examples", "mean score"]))
    return data, "\n\n".join(parts)


def _written(folder: Path, files: dict[str, bytes], data: dict[str, Any]) -> Report:
    paths = [str(write_file(folder / name, content)) for name, content in files.items()]
    return Report(plain(data | {"files": paths}), "Written: " + ", ".join(paths))
