"""Retrained networks as bundles that name the one they were made from, to be compared with it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.bundle import UNCHANGED, Bundle, import_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of
from backend.retraining.problem import RetrainingProblem
from backend.retraining.recipes import BASE, RECIPES
from backend.retraining.stored import Shelf

PART = "retraining part"
"""Column that says which half of the examples reported for this seed."""
PARTS = ("chose", "reported")


def check_same(bundle: Bundle, problem: RetrainingProblem) -> None:
    """Refuse a problem whose held-out examples are not the bundle's, in its order.

    Raises
    ------
    InputError
        Says what differs.
    """
    if problem.ids is None:
        raise InputError(
            "the problem must give ids, those of the bundle's examples, so that results can be set "
            "beside it: it gives none."
        )
    ids = np.asarray(problem.ids).astype(np.str_)
    if len(ids) != bundle.n:
        raise InputError(
            f"the problem must hold out the examples of the bundle: got {len(ids):,} for {bundle.n:,}."
        )
    if (ids != bundle.ids).any():
        row = int(np.flatnonzero(ids != bundle.ids)[0])
        raise InputError(
            "the problem's ids must be those of the bundle, in its order: row "
            f"{row} is {str(ids[row])!r}, there {str(bundle.ids[row])!r}."
        )
    names = bundle.label_names
    if names is None:
        return
    own = np.asarray(problem.classes)[np.asarray(problem.held_out.labels)]
    if (own != names).any():
        row = int(np.flatnonzero(own != names)[0])
        raise InputError(
            "the problem's labels must be those of the bundle: row "
            f"{row} is {str(own[row])!r}, there {str(names[row])!r}."
        )


def keep_bundles(
    bundle: Bundle,
    problem: RetrainingProblem,
    folder: str | Path,
    *,
    recipes: Sequence[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    owner: str = "",
    progress: Progress = ignore_progress,
) -> list[Bundle]:
    """Import a bundle for each finished recipe, and a second plain one as the control of all.

    Each has the examples, labels, columns and pictures of ``bundle``; predictions, probabilities,
    losses and embeddings are of the first seed's network (the control, the last of the list: the next seed's), populations
    ``before`` and ``retrained`` hold both networks' answers, ``made_from`` says of which bundle, how and beside which control, and
    the column ``retraining part`` which half of the examples had no part in any choice. What belongs to
    the old network alone is left out.

    Raises
    ------
    InputError
        If the problem is not about this bundle.
    """
    check_same(bundle, problem)
    shelf = Shelf.opened(Path(folder))
    held = shelf.finished()
    first = {name: min(seed for other, seed in held if other == name) for name, _ in held}
    work = [(name, seed) for name, seed in held if name == BASE and seed != first[name]][:1]
    work += [(name, seed) for name, seed in first.items() if not recipes or name in recipes]
    labels = np.asarray(problem.held_out.labels, np.int64)
    names = np.asarray(problem.classes, np.str_)
    given = bundle.fields()
    kept: list[Bundle] = []
    beside: list[str] = []
    for place, (name, seed) in enumerate(work):
        step = share_of(progress, place / len(work), (place + 1) / len(work))
        entry = shelf.read(name, seed)
        assert entry is not None  # finished
        log_p = entry["log_p"].astype(np.float64)
        how = how_made(name, entry.meta)
        control = name == BASE and seed != first[name]
        fields: dict[str, Any] = {one: given[one] for one in ("images",) if one in given}
        examples = bundle.examples.copy()
        examples[PART] = np.asarray(PARTS)[entry["parts"]]
        fields |= {
            "examples": examples,
            "embeddings": np.asarray(entry["embeddings"]),
            "labels": names[labels],
            "predictions": names[log_p.argmax(1)],
            "probabilities": np.exp(log_p).astype(np.float32),
            "losses": -log_p[np.arange(len(labels)), labels],
            "classes": tuple(names.tolist()),
            "made_from": np.array([bundle.digest, how, *([UNCHANGED] if control else beside)]),
        }
        if bundle.prediction_names is not None:
            after = names[log_p.argmax(1)]
            fields["populations"] = {
                "before": bundle.prediction_names.astype(np.str_)[None],
                "retrained": after[None],
            }
        with tempfile.TemporaryDirectory() as scratch:
            path = write_bundle(Path(scratch) / "retrained.zip", **fields)
            kept.append(
                import_bundle(
                    path, home, name=f"{bundle.name[:80]}, {how}"[:200], owner=owner, progress=step
                )
            )
        if control:
            beside = [kept[0].digest]
    return kept[len(beside) :] + kept[: len(beside)]


def how_made(name: str, meta: Any) -> str:
    """How a network was made, in a line: recipe, what is left out, seed."""
    chosen = meta["settings"][meta["chosen"]]
    told = f"retrained: {RECIPES[name].title}"
    if chosen["removed"] and name != BASE:
        told += f", {chosen['removed']:,} training examples left out"
    elif chosen["name"]:
        told += f", {chosen['name']}"
    return f"{told}, seed {meta['seed']}"
