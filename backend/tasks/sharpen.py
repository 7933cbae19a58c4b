"""The tasks that rank all examples by a person's answers: "components" once, "sharpen" every round."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.cache import Cache, key_of
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.sharpen import Tally, principal_parts, start_ranking
from backend.sharpen.record import VERSION, library_versions, rank
from backend.tasks.checks import check_count, check_layer, chosen_layer
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

_LISTS = ("start", "answered", "answers", "chances", "passed")


def run_components(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Whitened principal components: ``part_0``, ``part_1`` (n, k) float32, the widest last."""
    bundle = chosen_layer("components", bundle, options)
    began = time.perf_counter()
    progress(0.0, "reading the embeddings")
    parts = principal_parts(bundle.embeddings, seed=options["seed"])
    told = {"options": options, "seconds": time.perf_counter() - began}
    return {f"part_{place}": one for place, one in enumerate(parts)}, told


def run_sharpen(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Rank all examples by the answers so far, and say whom to ask next.

    Arrays: ``scores`` (n,), ``probabilities`` (n,) float32, ``next``, ``chances``, ``audit``,
    ``audit_weights`` as in ``Sharpened``; the rest of it in ``meta``.
    """
    bundle = chosen_layer("sharpen", bundle, options)
    began = time.perf_counter()
    wanted = {"seed": options["seed"], "layer": options["layer"]}
    key, cache = key_of("components", bundle.digest, wanted, COMPONENTS.version), Cache()
    held = cache.read(key) or cache.write(key, *run_components(bundle, wanted, progress, part))
    parts = tuple(held[f"part_{place}"] for place in range(len(held.arrays)))
    progress(0.5, "by the answers so far")
    told = Tally(
        np.array(options["answered"], np.int64),
        np.array(options["answers"], bool),
        np.array([np.nan if c is None else c for c in options["chances"]], np.float64),
        np.array(options["passed"], np.int64),
        np.zeros(0, np.int64),
    )
    start = start_ranking(parts, options["start"], ranked=options["ranked"])
    found = rank(parts, start, told, labels=bundle.label_codes, seed=options["seed"])
    arrays: dict[str, Any] = {
        "scores": found.scores,
        "probabilities": found.probabilities.astype(np.float32),
        "next": found.next,
        "chances": found.chances,
        "audit": found.audit,
        "audit_weights": found.audit_weights,
    }
    return arrays, {
        "version": TASK.version,
        "versions": library_versions(),
        "expected": found.expected,
        "low": found.low,
        "high": found.high,
        "drawn": found.drawn,
        "cut": found.cut,
        "changed": None if np.isnan(found.changed) else found.changed,
        "seconds": time.perf_counter() - began,
    }


def _check_components(options: Options) -> None:
    check_layer(options)
    check_count("seed", options["seed"], 0, 2**32 - 1)


def _check_sharpen(options: Options) -> None:
    _check_components(options)
    for name in _LISTS:
        if not isinstance(options[name], list):
            raise InputError(f"{name} must be a list: got {type(options[name]).__name__}.")
    if not isinstance(options["ranked"], bool):
        raise InputError(f"ranked must be true or false: got {options['ranked']!r}.")
    if not options["start"]:
        raise InputError("start must name at least one row: got none.")
    for row in options["start"]:
        check_count("a row of start", row, 0, 2**40)


COMPONENTS = Task(
    "backend.tasks.sharpen:run_components",
    version=VERSION,
    defaults={"seed": 0, "layer": ""},
    check=_check_components,
    lane=lambda options: "quick",
)
TASK = Task(
    "backend.tasks.sharpen:run_sharpen",
    version=VERSION,
    defaults={
        "start": [],
        "ranked": False,
        "answered": [],
        "answers": [],
        "chances": [],
        "passed": [],
        "seed": 0,
        "layer": "",
    },
    check=_check_sharpen,
    lane=lambda options: "quick",
)
