"""Clusters of errors: the plain thing to do with wrong examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.slices.axes import Axes, principal_axes
from backend.slices.found import MIN_MEMBERS, FoundGroups, Ranked, found_groups, worst_first
from backend.slices.inputs import Inputs, check_groups, check_inputs, check_least, needed

ALGORITHMS = ("kmeans", "agglomerative", "dbscan")
CHOICES = ("auto", "wrong", "high_loss")
_FEWEST = 5
"""Hard examples that a cluster needs."""
_NEAREST = 5


@dataclass(frozen=True)
class _ErrorClusterOptions:
    n_groups: int
    algorithm: str
    of: str
    quantile: float
    n_clusters: int
    n_axes: int
    max_fit: int
    seed: int


@dataclass(frozen=True)
class _Ball:
    center: NDArray[np.float64]
    radius: float
    n_hard: int


def error_clusters(
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    algorithm: str = "kmeans",
    of: str = "auto",
    quantile: float = 0.9,
    n_clusters: int | None = None,
    n_axes: int = 64,
    max_fit: int = 5_000,
    kept_aside: Any = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> FoundGroups:
    """Cluster the hard examples, then take everything as near to their centers as half of them.

    What all methods take is told in ``find_groups``. Labels and predictions are optional: they say
    which examples are wrong.

    Parameters
    ----------
    algorithm : {"kmeans", "agglomerative", "dbscan"}
        Agglomerative: Ward's linkage. DBSCAN: links within the median distance to the fifth
        nearest hard example, cores with five.
    of : {"auto", "wrong", "high_loss"}
        Which examples are hard: wrong ones, or those with losses strictly above ``quantile``.
        ``auto`` takes the wrong ones where labels and predictions say which; ``wrong`` needs both.
    quantile : float
        In (0, 1); of the losses.
    n_clusters : int, optional
        Clusters of hard examples, twice ``n_groups`` by default. DBSCAN finds its own number.
    n_axes : int
        Principal axes kept.
    max_fit : int
        More hard examples than this are clustered on a seeded sample.

    Returns
    -------
    FoundGroups
        Groups with 10 members or more. Weights are 0 or 1: inside the ball around a cluster's mean
        whose radius is the median distance of its own examples. Scores are minus the distance over
        the radius.
    """
    check_choice("algorithm", algorithm, ALGORITHMS)
    check_choice("of", of, CHOICES)
    if not 0 < quantile < 1:
        raise InputError(f"quantile must be in (0, 1): got {quantile}.")
    n_groups = check_groups(n_groups)
    n_clusters = 2 * n_groups if n_clusters is None else n_clusters
    check_least(n_clusters=(n_clusters, 1), n_axes=(n_axes, 1), max_fit=(max_fit, _FEWEST))
    inputs = check_inputs(
        "error_clusters",
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        needs=("losses", "labels", "predictions") if of == "wrong" else ("losses",),
        kept_aside=kept_aside,
    )
    options = _ErrorClusterOptions(
        n_groups, algorithm, of, quantile, n_clusters, n_axes, max_fit, seed
    )
    return _fit(inputs, options, progress)


@threadpool_limits.wrap(limits=1)  # many small fits: threads would only wait for each other
def _fit(
    inputs: Inputs, options: _ErrorClusterOptions, progress: Progress = ignore_progress
) -> FoundGroups:
    progress(0.0, "Finding principal axes")
    known = inputs.known
    axes = principal_axes(known.embeddings, options.n_axes, seed=options.seed)
    points = axes.apply(known.embeddings)
    hard, said = _hard_rows(known, options)
    notes = [said]
    if len(hard) > options.max_fit:
        random = np.random.default_rng(options.seed)
        notes.append(f"Clustered a sample of {options.max_fit:,} of {len(hard):,} hard examples.")
        hard = np.sort(random.choice(hard, options.max_fit, replace=False))
    progress(0.3, f"Clustering {len(hard):,} hard examples")
    balls = _balls(points[hard], options) if len(hard) >= _FEWEST else []
    progress(0.8, "Finding who else lies there")
    weights, _ = _rule(axes, tuple(balls), known)
    kept = worst_first(weights, needed(known.losses), options.n_groups, MIN_MEMBERS)
    balls = [balls[at] for at in kept]
    progress(1.0, "Done")
    return found_groups(
        "error_clusters",
        inputs,
        partial(_rule, axes, tuple(balls)),
        partial(_fit, options=options),
        names=[f"cluster {at + 1}" for at in range(len(balls))],
        kinds=["all"] * len(balls),
        group_notes=[f"around {ball.n_hard} hard examples" for ball in balls],
        notes=notes,
        asked=(options.n_groups, f"no more clusters hold {MIN_MEMBERS} examples or more"),
        parameters=dict(vars(options)),
    )


def _hard_rows(inputs: Inputs, options: _ErrorClusterOptions) -> tuple[NDArray[np.int64], str]:
    losses, wrong = needed(inputs.losses), inputs.wrong
    if options.of != "high_loss" and wrong is not None:
        return np.flatnonzero(wrong), f"Hard examples: the {int(wrong.sum()):,} wrong ones."
    border = float(np.quantile(losses, options.quantile))
    rows = np.flatnonzero(losses > border)
    return rows, f"Hard examples: the {len(rows):,} with a loss above {border:.4g}."


def _balls(points: NDArray[np.float64], options: _ErrorClusterOptions) -> list[_Ball]:
    balls = []
    clusters = _clusters(points, options)
    for cluster in np.unique(clusters[clusters >= 0]):
        held = points[clusters == cluster]
        if len(held) < _FEWEST:
            continue
        center = held.mean(axis=0)
        radius = float(np.median(np.linalg.norm(held - center, axis=1)))
        balls.append(_Ball(center, radius, len(held)))
    return balls


def _clusters(points: NDArray[np.float64], options: _ErrorClusterOptions) -> NDArray[np.int64]:
    """Cluster of each point; -1 for those that DBSCAN calls noise."""
    k = min(options.n_clusters, len(np.unique(points, axis=0)))
    if options.algorithm == "kmeans":
        return KMeans(k, n_init=3, random_state=options.seed).fit_predict(points)
    if options.algorithm == "agglomerative":
        return AgglomerativeClustering(k).fit_predict(points)
    neighbours = min(_NEAREST, len(points) - 1)
    distances = NearestNeighbors(n_neighbors=neighbours).fit(points).kneighbors()[0][:, -1]
    reach = max(float(np.median(distances)), np.finfo(np.float64).tiny)
    return DBSCAN(eps=reach, min_samples=_FEWEST).fit_predict(points)


def _rule(axes: Axes, balls: tuple[_Ball, ...], inputs: Inputs) -> Ranked:
    points = axes.apply(inputs.embeddings)
    scores = np.zeros((len(balls), len(points)))
    for group, ball in enumerate(balls):
        distances = np.linalg.norm(points - ball.center, axis=1)
        # Identical hard examples make a ball of radius 0, which still holds them.
        scores[group] = -distances / max(ball.radius, 1e-9)
    return (scores >= -1 - 1e-9).astype(np.float64), scores
