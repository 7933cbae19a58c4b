"""Spotlights and regions in the form of the other methods, so that one table can hold them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.core.reach import drawn_in
from backend.slices.found import FoundGroups, Ranked, found_groups
from backend.slices.inputs import Inputs, check_inputs
from backend.spotlight import find_regions, iterate_spotlights, spotlight_objective

_BLOCK_NUMBERS = 2**22


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
    """Regions as ``find_regions`` finds them; unseen rows get the kernel's weight within its labels.

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

        def rule(unseen: Inputs) -> Ranked:
            weights = np.zeros((len(found), len(unseen)))
            for line, center, root, codes in zip(
                weights, found.centers, found.roots, bound, strict=True
            ):
                if codes and unseen.labels is not None:
                    rows = np.flatnonzero(np.isin(unseen.labels, codes))
                else:
                    rows = np.arange(len(unseen))
                line[rows] = _kernel(
                    unseen.embeddings, rows, center, root, found.shift, found.reach
                )
            return weights, weights

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


def _kernel(
    embeddings: NDArray[Any],
    rows: NDArray[np.int64],
    center: NDArray[np.float64],
    root: NDArray[np.float64],
    shift: NDArray[np.float64],
    reach: float,
) -> NDArray[np.float64]:
    """``exp(-|(x - center) root|^2 / 2)`` of these rows, a few at a time, far ones drawn in."""
    made = np.empty(len(rows))
    step = max(1, _BLOCK_NUMBERS // len(center))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        near = drawn_in(np.asarray(embeddings[part], dtype=np.float64), shift, reach)
        apart = (near - center) @ root
        made[start : start + step] = np.exp(-0.5 * np.square(apart).sum(axis=1))
    return made
