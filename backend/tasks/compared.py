"""Spotlights and regions in the form of the other methods, so that one table can hold them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.core.progress import Progress
from backend.core.shape import Shape
from backend.slices.found import FoundGroups, Ranked, found_groups
from backend.slices.inputs import Inputs, check_inputs
from backend.spotlight import Regions, find_regions, iterate_spotlights, spotlight_objective


def spotlight_groups(
    embeddings: Any,
    losses: Any,
    *,
    fields: Mapping[str, Any],
    size: float,
    n_groups: int,
    seed: int,
    progress: Progress,
) -> FoundGroups:
    """Spotlights as ``find_spotlights`` finds them; unseen rows get the kernel's weight.

    Parameters
    ----------
    embeddings, losses : arrays of shape (n, d) and (n,)
    fields : mapping
        Labels, predictions, probabilities and classes, as the other methods take them. Spotlights
        look at none of them; the comparison does.
    size : float
        A share, or a number of examples; on halves of the data half as many.
    n_groups, seed : int
    progress : Progress
    """
    n = len(losses)

    def fit(inputs: Inputs, *, progress: Progress) -> FoundGroups:
        regions = list(
            iterate_spotlights(
                inputs.embeddings,
                inputs.losses,
                size=size if size < 1 else size * len(inputs) / n,
                n_spotlights=n_groups,
                seed=seed,
                progress=progress,
            )
        )

        def rule(unseen: Inputs) -> Ranked:
            nothing = np.zeros(len(unseen))
            weights = np.stack(
                [
                    spotlight_objective(
                        unseen.embeddings, nothing, region.center, region.precision, min_weight=0
                    ).weights
                    for region in regions
                ]
            )
            return weights, weights

        found: FoundGroups = found_groups(
            "spotlights",
            inputs,
            rule,
            fit,
            names=[f"spotlight {at + 1}" for at in range(len(regions))],
            kinds=["all"] * len(regions),
            notes=[],
            parameters={"size": size, "n_groups": n_groups, "seed": seed},
        )
        return found

    return fit(check_inputs("spotlights", embeddings, losses, **fields), progress=progress)


def region_groups(
    embeddings: Any,
    losses: Any,
    *,
    fields: Mapping[str, Any],
    n_groups: int,
    seed: int,
    progress: Progress,
) -> FoundGroups:
    """Regions as ``find_regions`` finds them; unseen rows get the weight that its shape gives them.

    Parameters
    ----------
    embeddings, losses, fields, n_groups, seed, progress
        As there.

    Notes
    -----
    ``find_regions`` halves the data itself. On each half of the comparison it therefore searches
    quarters, and finds less than it would.
    """

    def fit(inputs: Inputs, *, progress: Progress) -> FoundGroups:
        found = find_regions(
            inputs.embeddings,
            inputs.losses,
            labels=inputs.labels,
            n_regions=n_groups,
            seed=seed,
            progress=progress,
        )
        bound = [tuple(int(code) for code in codes) for codes in found.scope_labels]
        shapes = [_shape(found, at, codes) for at, codes in enumerate(bound)]

        def rule(unseen: Inputs) -> Ranked:
            scores = np.empty((len(shapes), len(unseen)))
            weights = np.empty_like(scores)
            for at, shape in enumerate(shapes):
                scores[at] = shape.scores(unseen.embeddings, unseen.labels)
                weights[at] = shape.weigh(scores[at])
            return weights, scores

        groups: FoundGroups = found_groups(
            "regions",
            inputs,
            rule,
            fit,
            names=[
                f"region {at + 1}, {_among(codes, inputs.classes)}"
                for at, codes in enumerate(bound)
            ],
            kinds=["class" if codes else "all" for codes in bound],
            sees=("labels",) if any(bound) else (),
            notes=found.notes,
            parameters={"n_groups": n_groups, "seed": seed},
            ranked=(found.weights, found.scores),
        )
        return groups

    return fit(check_inputs("regions", embeddings, losses, **fields), progress=progress)


def _among(codes: tuple[int, ...], classes: tuple[str, ...]) -> str:
    if not codes:
        return "whatever the label" if classes else "all examples"
    return f"among {', '.join(classes[code] for code in codes)}"


def _shape(found: Regions, at: int, codes: tuple[int, ...]) -> Shape:
    """Where a region lies, bound to the codes of its labels."""
    labels = tuple(map(str, codes))
    if found.kinds[at] == "label":
        return Shape.label(*labels)
    if found.kinds[at] == "direction":
        return Shape.direction(found.vectors[at], found.cuts[at], labels=labels)
    return Shape.ball(
        found.centers[at],
        root=found.roots[at],
        shift=found.shift,
        reach=found.reach,
        labels=labels,
    )
