"""The clusters of one class: its coordinates, models of 2, 3, ... clusters, and the best of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from backend.slices.george.options import Options, compact, sample
from backend.slices.george.overcluster import overcluster_class
from backend.slices.george.reductions import Reduce, fit_reduction, unit_rows
from backend.slices.george.silhouette import separation, silhouettes
from backend.slices.george.small_mixtures import fit_small_mixtures

_FLOOR = 1e-6
_BLOCK_ROWS = 65_536
# Classes with so few rows in so few coordinates are fitted at once.
_SMALL_ROWS, _SMALL_AXES = 2048, 4


@dataclass(frozen=True)
class ClassClusters:
    """The clusters of one class. ``assign`` gives 0..k-1 for reduced rows."""

    prepare: Reduce
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]]
    means: NDArray[np.float64]
    inverses: NDArray[np.float64]
    score: float
    note: str

    @property
    def k(self) -> int:
        return len(self.means)

    def typicality(self, points: NDArray[np.float64], cluster: int) -> NDArray[np.float64]:
        """``1 / (1 + squared Mahalanobis distance)`` from the cluster's own members."""
        gap = points - self.means[cluster]
        return 1 / (1 + np.einsum("md,de,me->m", gap, self.inverses[cluster], gap))


@dataclass(frozen=True)
class ReadyClass:
    """A class of ``n`` examples before it is clustered: coordinates of the ``fitted`` ones.

    ``top`` is the largest number of clusters to try; below 2 there is one cluster.
    """

    n: int
    fitted: NDArray[np.int64]
    prepare: Reduce
    points: NDArray[np.float64]
    top: int
    notes: tuple[str, ...]


def prepare_class(
    embeddings: NDArray[Any],
    rows: NDArray[np.int64],
    options: Options,
    normal: NDArray[np.float64] | None,
) -> ReadyClass:
    """The coordinates of the class that holds these rows; ``normal`` as for ``fit_reduction``."""
    n = len(rows)
    fitted = sample(rows, options.max_fit, options.seed)
    values = np.asarray(embeddings[fitted], dtype=np.float64)
    mean = values.mean(axis=0) if options.center else np.zeros(values.shape[1])

    def scaled(block: NDArray[Any]) -> NDArray[np.float64]:
        return unit_rows(block - mean) if options.normalize else block - mean

    values = scaled(values)
    reduce, note = fit_reduction(
        options.reduction, values, options.n_components, options.seed, normal
    )
    points = reduce(values)
    notes = [note] if note else []
    distinct = len(np.unique(points.round(12), axis=0))
    if n < 3 or distinct < 2:
        notes.append(f"one cluster: {n} examples, {distinct} of them distinct")
        top = 1
    else:
        top = options.max_k
        if n < 2 * options.max_k:
            top = min(top, n - 1)
            notes.append(f"{n} examples: at most {top} clusters were tried")
        top = min(top, distinct)
    return ReadyClass(n, fitted, lambda block: reduce(scaled(block)), points, top, tuple(notes))


def fit_models(
    prepared: list[ReadyClass], names: list[str], options: Options, tick: Callable[[str], None]
) -> list[list[Any]]:
    """For each class the fitted models with 2, 3, ... ``top`` clusters."""
    made: list[list[Any]] = [[] for _ in prepared]
    together = [at for at, ready in enumerate(prepared) if _is_small(ready, options)]
    for k in range(2, options.max_k + 1):
        trying = [at for at in together if prepared[at].top >= k]
        if trying:
            tick(f"{names[trying[0]]} and {len(trying) - 1} more, {k} clusters")
            sets = [prepared[at].points for at in trying]
            fitted = fit_small_mixtures(sets, k, restarts=options.restarts, seed=options.seed)
            for at, model in zip(trying, fitted, strict=True):
                made[at].append(model)
    for at in sorted(set(range(len(prepared))) - set(together)):
        for k in range(2, prepared[at].top + 1):
            tick(names[at])
            made[at].append(_model(k, prepared[at].points, options))
    return made


def _is_small(ready: ReadyClass, options: Options) -> bool:
    n, d = ready.points.shape
    return options.clusterer == "gmm" and n <= _SMALL_ROWS and d <= _SMALL_AXES


def _model(k: int, points: NDArray[np.float64], options: Options) -> Any:
    with warnings.catch_warnings():
        # The silhouette judges the clusters, converged or not; duplicates may leave some empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if options.clusterer == "kmeans":
            return KMeans(k, n_init=options.restarts, random_state=options.seed).fit(points)
        return GaussianMixture(
            k, n_init=options.restarts, random_state=options.seed, reg_covar=_FLOOR
        ).fit(points)


def cluster_class(
    ready: ReadyClass, models: list[Any], losses: NDArray[np.float64], options: Options
) -> ClassClusters:
    """The best of the models, its clusters split further where that is asked for."""
    n, points, fitted, notes = ready.n, ready.points, ready.fitted, list(ready.notes)
    clusters, score = np.zeros(len(points), dtype=np.int64), float("nan")
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]] = _all_zero
    if models:
        assign, clusters, score = _best_clustering(points, models, options)
    if options.overcluster:
        kept_from = clusters.max() + 1
        assign, clusters = overcluster_class(points, losses[fitted], clusters, assign, n, options)
        if clusters.max() + 1 > kept_from:
            notes.append(f"{clusters.max() + 1 - kept_from} clusters more by splitting")
    means, inverses = _moments(points, clusters)
    if len(fitted) < n:
        notes.append(f"fitted on {len(fitted):,} of {n:,} examples")
    return ClassClusters(ready.prepare, assign, means, inverses, score, "; ".join(notes))


def _best_clustering(points: NDArray[np.float64], models: list[Any], options: Options) -> Any:
    """Assigning function, clusters 0..k-1 and score of the best number of clusters."""
    labelled = [compact(model.predict(points)) for model in models]
    seen = sample(np.arange(len(points)), options.max_silhouette, options.seed)
    # A cluster may have no row in the sample; silhouettes need numbers without gaps.
    parts = [compact(clusters[seen])[0] for clusters, _ in labelled]
    values = silhouettes(points[seen], parts)
    best, score = 0, -np.inf
    for index, (part, value) in enumerate(zip(parts, values, strict=True)):
        separated = separation(part, value)
        if separated >= score:  # ties go to the larger number of clusters
            best, score = index, separated
    clusters, used = labelled[best]
    return partial(_predict, models[best], used), clusters, score if np.isfinite(score) else np.nan


def _predict(model: Any, used: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cluster of each point, among those in use when the model was chosen."""
    clusters = model.predict(points)
    place = np.full(int(max(used.max(), clusters.max())) + 1, -1)
    place[used] = np.arange(len(used))
    # An unseen point may fall to a component that held no example: it joins the first.
    return np.maximum(place[clusters], 0).astype(np.int64)


def _all_zero(points: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.zeros(len(points), dtype=np.int64)


def assign_rows(
    found: ClassClusters, embeddings: NDArray[Any], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cluster of each row, and its reduced coordinates."""
    points = np.concatenate(
        [
            found.prepare(np.asarray(embeddings[rows[start : start + _BLOCK_ROWS]], np.float64))
            for start in range(0, len(rows), _BLOCK_ROWS)
        ]
    )
    return found.assign(points), points


def _moments(
    points: NDArray[np.float64], clusters: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and inverse covariance of each cluster's members."""
    d = points.shape[1]
    means, inverses = [], []
    for cluster in range(int(clusters.max()) + 1):
        held = points[clusters == cluster]
        means.append(held.mean(axis=0))
        gap = held - means[-1]
        covariance = gap.T @ gap / len(held)
        floor = max(1e-3 * np.trace(covariance) / d, _FLOOR)
        inverses.append(np.linalg.inv(covariance + floor * np.eye(d)))
    return np.array(means), np.array(inverses)
