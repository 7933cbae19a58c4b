"""Failure directions: in each class, the way from right to wrong through embedding space."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from backend.core.progress import Progress, ignore_progress
from backend.slices.axes import Axes, principal_axes
from backend.slices.found import MIN_MEMBERS, FoundGroups, Ranked, found_groups
from backend.slices.inputs import (
    Inputs,
    check_groups,
    check_inputs,
    check_least,
    check_size,
    needed,
)

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_FEWEST = 10
"""Right and wrong examples that a class needs of each."""
_FOLDS = 5
_LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class _DirectionOptions:
    n_groups: int
    size: float
    n_axes: int
    max_fit: int
    seed: int


@dataclass(frozen=True)
class _Direction:
    """The classifier of one class: ``x @ normal + offset`` is larger where wrong is likelier."""

    label: int
    axes: Axes
    normal: NDArray[np.float64]
    offset: float
    threshold: float
    lowest: float
    accuracy: float
    strength: float
    mean_loss: float

    def decide(self, embeddings: NDArray[Any]) -> NDArray[np.float64]:
        return _standard(self.axes, embeddings) @ self.normal + self.offset


def failure_directions(
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    size: float = 0.02,
    n_axes: int = 128,
    max_fit: int = 20_000,
    kept_aside: Any = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> FoundGroups:
    """Separate wrong from right examples of each class by a plane; return those beyond it.

    For each true class with at least 10 right and 10 wrong examples a linear support vector
    machine with balanced class weights is fitted on principal coordinates. Its strength is the one
    of four with the best balanced accuracy in cross-validation (ties: the weaker). The group is
    made of the examples with the largest decision values.

    What all methods take is told in ``find_groups``.

    Parameters
    ----------
    size : float
        Share of all examples, or number of them, in a group; at most half the class.
    n_axes : int
        Principal axes kept, per class.
    max_fit : int
        Larger classes are fitted on a seeded sample.

    Returns
    -------
    FoundGroups
        One group per class. Weights are 0 or 1, scores the decision values. Both are
        cross-validated: no example is ranked by a plane that was fitted to it. ``score`` uses the
        plane fitted to the whole class with the same threshold. ``group_notes`` give the balanced
        accuracy; 0.5 is chance.

    References
    ----------
    Jain, Lawrence, Moitra and Madry, Distilling Model Failures as Directions in Latent Space,
    ICLR 2023, arXiv:2206.14754, Section 2. There the embedding is CLIP's; here the model's own.
    """
    inputs = check_inputs(
        "failure_directions",
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        needs=("losses", "labels", "predictions"),
        kept_aside=kept_aside,
    )
    check_size(size, len(inputs))
    check_least(n_axes=(n_axes, 1), max_fit=(max_fit, 4 * _FEWEST))
    return _fit(
        inputs, _DirectionOptions(check_groups(n_groups), size, n_axes, max_fit, seed), progress
    )


@threadpool_limits.wrap(limits=1)  # many small fits: threads would only wait for each other
def _fit(
    inputs: Inputs, options: _DirectionOptions, progress: Progress = ignore_progress
) -> FoundGroups:
    known = inputs.known
    labels, wrong, losses = needed(known.labels), needed(known.wrong), needed(known.losses)
    count = check_size(options.size, len(inputs)) * len(known) / len(inputs)
    present = np.unique(labels).tolist()
    found: list[tuple[_Direction, NDArray[np.int64], NDArray[np.float64]]] = []
    without = []
    for done, label in enumerate(present):
        progress(done / len(present), f"Separating wrong from right in {inputs.classes[label]}")
        rows = np.flatnonzero(labels == label)
        bad = int(wrong[rows].sum())
        if min(bad, len(rows) - bad) < _FEWEST:
            without.append(f"{inputs.classes[label]} ({bad} wrong of {len(rows)})")
            continue
        found.append(_direction(known.embeddings, wrong, losses, label, rows, count, options))
    found.sort(key=lambda item: -item[0].mean_loss)
    found = found[: options.n_groups]
    notes = []
    if without:
        shown = ", ".join(without[:10]) + (f" and {len(without) - 10} more" * (len(without) > 10))
        notes.append(f"No direction, for fewer than {_FEWEST} right or wrong examples: {shown}.")
    weights = np.zeros((len(found), len(known)))
    scores = np.zeros_like(weights)
    for group, (direction, rows, values) in enumerate(found):
        weights[group, rows] = values >= direction.threshold
        scores[group] = direction.lowest
        scores[group, rows] = values
    directions = tuple(item[0] for item in found)
    progress(1.0, "Done")
    return found_groups(
        "directions",
        inputs,
        partial(_rule, directions),
        partial(_fit, options=options),
        names=[f"class {inputs.classes[direction.label]}" for direction in directions],
        kinds=["class"] * len(directions),
        sees=("labels",),
        group_notes=[
            f"balanced accuracy {direction.accuracy:.2f} in cross-validation (chance 0.50)"
            for direction in directions
        ],
        notes=notes,
        asked=(
            options.n_groups,
            "one direction in each class with right and wrong examples enough",
        ),
        parameters=dict(vars(options)),
        ranked=(weights, scores),
    )


def _rule(directions: tuple[_Direction, ...], inputs: Inputs) -> Ranked:
    labels = needed(inputs.labels)
    weights = np.zeros((len(directions), len(inputs)))
    scores = np.zeros_like(weights)
    for group, direction in enumerate(directions):
        rows = np.flatnonzero(labels == direction.label)
        values = direction.decide(inputs.embeddings[rows]) if len(rows) else np.empty(0)
        weights[group, rows] = values >= direction.threshold
        scores[group] = min(direction.lowest, float(values.min(initial=np.inf)) - 1)
        scores[group, rows] = values
    return weights, scores


def _direction(
    embeddings: NDArray[Any],
    wrong: NDArray[np.bool_],
    losses: NDArray[np.float64],
    label: int,
    rows: NDArray[np.int64],
    count: float,
    options: _DirectionOptions,
) -> tuple[_Direction, NDArray[np.int64], NDArray[np.float64]]:
    """The direction of one class, its rows, and their cross-validated decision values."""
    random = np.random.default_rng([options.seed, label])
    fitted = np.arange(len(rows))
    if len(rows) > options.max_fit:
        fitted = np.sort(random.choice(len(rows), options.max_fit, replace=False))
        if min(wrong[rows[fitted]].sum(), (~wrong[rows[fitted]]).sum()) < _FEWEST:
            # A class with very few mistakes: keep them all.
            rare = wrong[rows] if wrong[rows].mean() < 0.5 else ~wrong[rows]
            fitted = np.union1d(fitted, np.flatnonzero(rare))
    axes = principal_axes(embeddings[rows[fitted]], options.n_axes, seed=options.seed)
    points, target = _standard(axes, embeddings[rows]), wrong[rows]
    least = int(min(target[fitted].sum(), (~target[fitted]).sum()))
    folds = list(
        StratifiedKFold(min(_FOLDS, least), shuffle=True, random_state=options.seed).split(
            points[fitted], target[fitted]
        )
    )
    accuracy, strength, held_out = -1.0, STRENGTHS[0], np.empty(0)
    for tried in STRENGTHS:
        values = np.empty(len(fitted))
        for inside, outside in folds:
            plane = _plane(points[fitted[inside]], target[fitted[inside]], tried)
            values[outside] = plane.decision_function(points[fitted[outside]])
        reached = float(balanced_accuracy_score(target[fitted], values > 0))
        if reached > accuracy:
            accuracy, strength, held_out = reached, tried, values
    plane = _plane(points[fitted], target[fitted], strength)
    decided = plane.decision_function(points)
    decided[fitted] = held_out
    size = round(min(max(count, MIN_MEMBERS), max(_LARGEST_SHARE * len(rows), 1)))
    threshold = float(np.partition(decided, len(decided) - size)[len(decided) - size])
    direction = _Direction(
        label,
        axes,
        plane.coef_[0],
        float(plane.intercept_[0]),
        threshold,
        float(decided.min()) - 1,
        accuracy,
        strength,
        float(losses[rows[decided >= threshold]].mean()),
    )
    return direction, rows, decided


def _plane(points: NDArray[np.float64], wrong: NDArray[np.bool_], strength: float) -> Any:
    with warnings.catch_warnings():
        # Cross-validation judges the plane, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LinearSVC(
            C=strength, class_weight="balanced", dual=False, max_iter=200, random_state=0
        ).fit(points, wrong)


def _standard(axes: Axes, embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Coordinates whose mean variance is 1, so that one set of strengths fits all embeddings."""
    return axes.apply(embeddings) * np.sqrt(len(axes))
