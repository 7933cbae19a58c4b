"""Spotlights and regions in the form of the other methods, so that one table can hold them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.core.shape import Shape
from backend.core.wording import verdict
from backend.slices.found import FoundGroups, OwnTest, Ranked, found_groups
from backend.slices.inputs import Inputs
from backend.spotlight import Regions
from backend.spotlight.find import search_spotlights
from backend.spotlight.options import NO_MORE_OPTIMA, SearchOptions
from backend.tasks.results import NONE_STAND_OUT


def spotlight_groups(
    inputs: Inputs, options: SearchOptions, *, device: Any, progress: Progress
) -> FoundGroups:
    """Spotlights as ``find_spotlights`` finds them, on all examples.

    Unseen rows get the kernel's weight. A size in examples is scaled to the rows of a refit.
    """
    n = len(inputs)

    def fit(inputs: Inputs, *, progress: Progress) -> FoundGroups:
        size = options.size if options.size < 1 else options.size * len(inputs) / n
        found = search_spotlights(
            inputs.embeddings,
            inputs.losses,
            replace(options, size=size),
            device=device,
            progress=progress,
        )
        balls = [
            Shape.ball(center, precision, kernel=options.kernel)
            for center, precision in zip(found.centers, found.precisions, strict=True)
        ]

        def rule(unseen: Inputs) -> Ranked:
            rows = unseen.embeddings
            rows = rows if found.preparation is None else found.preparation.apply(rows)
            weights = np.stack([ball.weights(rows) for ball in balls])
            return weights, weights

        groups: FoundGroups = found_groups(
            "spotlights",
            inputs,
            rule,
            fit,
            names=[f"spotlight {at + 1}" for at in range(len(found))],
            kinds=["all"] * len(found),
            notes=() if found.preparation is None else (found.preparation.note,),
            asked=(options.n_spotlights, NO_MORE_OPTIMA),
            parameters=dict(vars(options)),
            ranked=(found.weights, found.weights),
        )
        return groups

    return fit(inputs, progress=progress)


def region_groups(
    found: Regions, facts: Sequence[Mapping[str, Any]], inputs: Inputs, n_groups: int
) -> FoundGroups:
    """The first regions of a search, as many as there are facts, with what the search says of them.

    Parameters
    ----------
    found : Regions
    facts : sequence of mappings
        ``region_facts`` of those that are listed, each with its ``name``.
    inputs : Inputs
        The examples that were searched, with what was kept aside.
    n_groups : int
        How many were asked for; labels that fail as a whole come on top.
    """
    weights = np.zeros((len(facts), len(inputs)))
    for row, members in zip(weights, found.members, strict=False):
        row[members] = 1.0
    groups: FoundGroups = found_groups(
        "regions",
        inputs,
        _no_rule,
        None,
        names=[f"{one['number']} {one['name']}" for one in facts],
        kinds=["class" if one["bound"] else "all" for one in facts],
        sees=("labels",) if any(one["bound"] for one in facts) else (),
        notes=found.notes,
        asked=(n_groups, NONE_STAND_OUT),
        parameters=dict(found.options),
        ranked=(weights, found.scores[: len(facts)]),
        own=OwnTest(
            found.p_values[: len(facts)],
            found.effects[: len(facts)],
            tuple(_verdict(one) for one in facts),
        ),
    )
    return groups


def _verdict(fact: Mapping[str, Any]) -> str:
    effect = Effect.from_dict(fact["effect"])
    return verdict(fact["p"], effect, fact["kind"], bound=fact["bound"], cell=fact["cell"])


def _no_rule(unseen: Inputs) -> Ranked:
    raise InputError("regions weigh other examples by their shapes: see backend.core.shape.")
