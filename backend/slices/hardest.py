"""The examples with the largest losses: the baseline that every method should beat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress, ignore_progress
from backend.slices.found import FoundGroups, Ranked, found_groups
from backend.slices.inputs import Inputs, check_groups, check_inputs, check_size, needed


@dataclass(frozen=True)
class _HighestLossOptions:
    n_groups: int
    size: float


def highest_loss(
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    size: float = 0.02,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> FoundGroups:
    """The hardest examples of all, then those within each of the worst classes.

    What all methods take is told in ``find_groups``; here only losses and labels are looked at, and
    of equal losses the lower row comes first. Without labels there is one group.

    Parameters
    ----------
    size : float
        Share of all examples, or number of them, in the first group, and at most in each class;
        of a class never more than half.

    Returns
    -------
    FoundGroups
        Weights are 0 or 1, scores the losses. The rule for unseen examples is a threshold on
        their loss, so what it finds there is hard by definition: no evidence of a pattern.
    """
    inputs = check_inputs(
        "highest_loss",
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        needs=("losses",),
    )
    check_size(size, len(inputs))
    return _fit(inputs, _HighestLossOptions(check_groups(n_groups), size), progress)


def _fit(
    inputs: Inputs, options: _HighestLossOptions, progress: Progress = ignore_progress
) -> FoundGroups:
    losses, labels = needed(inputs.losses), inputs.labels
    count = max(1, round(check_size(options.size, len(inputs))))
    chosen: list[tuple[int | None, NDArray[np.int64]]] = [(None, _top(losses, count))]
    if labels is not None:
        within = []
        for label in np.unique(labels).tolist():
            rows = np.flatnonzero(labels == label)
            within.append((label, rows[_top(losses[rows], min(count, max(1, len(rows) // 2)))]))
        within.sort(key=lambda item: -losses[item[1]].mean())
        chosen += within[: options.n_groups - 1]
    weights = np.zeros((len(chosen), len(inputs)))
    cuts = []
    for group, (label, rows) in enumerate(chosen):
        weights[group, rows] = 1.0
        cuts.append((label, float(losses[rows].min())))
    progress(1.0, "Done")
    return found_groups(
        "highest_loss",
        inputs,
        partial(_rule, tuple(cuts)),
        partial(_fit, options=options),
        names=[
            "all classes" if label is None else f"class {inputs.classes[label]}"
            for label, _ in chosen
        ],
        kinds=["all" if label is None else "class" for label, _ in chosen],
        sees=("losses", "labels") if labels is not None else ("losses",),
        notes=("These examples are hard by definition; nothing says that they belong together.",),
        asked=(options.n_groups, "all classes together, and each by itself"),
        parameters=dict(vars(options)),
        ranked=(weights, _scores(tuple(cuts), inputs)),
    )


def _top(losses: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.argsort(-losses, kind="stable")[:count]


def _rule(cuts: tuple[tuple[int | None, float], ...], inputs: Inputs) -> Ranked:
    scores = _scores(cuts, inputs)
    borders = np.array([cut for _, cut in cuts])
    return (scores >= borders[:, None]).astype(np.float64), scores


def _scores(cuts: tuple[tuple[int | None, float], ...], inputs: Inputs) -> NDArray[np.float64]:
    """Losses, those outside a group's class below all others."""
    losses = needed(inputs.losses)
    scores = np.tile(losses, (len(cuts), 1))
    for group, (label, cut) in enumerate(cuts):
        if label is not None:
            scores[group, needed(inputs.labels) != label] = min(losses.min(), cut) - 1
    return scores
