"""GEORGE's clustering stage: clusters of each true class by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.slices.found import FoundGroups, Ranked, check_groups, found_groups
from backend.slices.inputs import Inputs, check_inputs, needed
from backend.slices.reductions import (
    REDUCTIONS,
    Reduce,
    fit_reduction,
    head_normal,
    unit_rows,
)
from backend.slices.silhouette import separation, silhouettes
from backend.slices.small_mixtures import fit_small_mixtures

CLUSTERERS = ("gmm", "kmeans")
_SPLIT = 5
_KEEP_SHARE, _KEEP_ROWS = 0.005, 25
_FLOOR = 1e-6
_BLOCK_ROWS = 65_536
# Classes with so few rows in so few coordinates are fitted at once, so many at a time.
_SMALL_ROWS, _SMALL_AXES, _TOGETHER = 2048, 4, 64


@dataclass(frozen=True)
class GeorgeClusters(FoundGroups):
    """Clusters of highest mean loss, and the whole clustering behind them.

    Attributes
    ----------
    assignment : int array of shape (n,)
        Cluster of each example. Ids are disjoint across classes, from 0.
    classes : DataFrame
        One row per class that occurs: class, n, k (clusters found), score (mean over clusters of
        the mean silhouette; NaN with one cluster), note.
    clusters : DataFrame
        One row per cluster: cluster, class, n, mean_loss.
    """

    assignment: NDArray[np.int64] = field(repr=False, kw_only=True)
    classes: pd.DataFrame = field(repr=False, kw_only=True)
    clusters: pd.DataFrame = field(repr=False, kw_only=True)


@dataclass(frozen=True)
class _Options:
    n_groups: int
    reduction: str
    n_components: int
    normalize: bool
    center: bool
    clusterer: str
    max_k: int
    restarts: int
    overcluster: bool
    max_silhouette: int
    max_fit: int
    seed: int


@dataclass(frozen=True)
class _ClassClusters:
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


def george_clusters(
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    reduction: str = "pca",
    n_components: int = 2,
    normalize: bool = True,
    center: bool = False,
    clusterer: str = "gmm",
    max_k: int = 10,
    restarts: int = 3,
    overcluster: bool = False,
    max_silhouette: int = 10_000,
    max_fit: int = 20_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> GeorgeClusters:
    """Cluster each true class and return the clusters that the model does worst on.

    In every class: rows are scaled to unit length, reduced to few coordinates and clustered with
    2 to ``max_k`` clusters; the number whose clusters have the highest mean of their mean
    silhouettes is kept, ties going to the larger number.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
    losses : array-like of shape (n,)
    labels : array-like of shape (n,), whole numbers or text
    predictions, probabilities : array-like of shape (n,) and (n, C), optional
        Only read by ``reduction="hardness"``.
    classes : sequence of C str, optional
        Names behind the codes.
    n_groups : int
        Clusters returned as groups, by falling mean loss; ties: lower cluster id.
    reduction : {"pca", "umap", "none", "hardness"}
        ``hardness``: first the normal of the model's decision between two classes, then principal
        axes of the rest.
    n_components : int
        Coordinates after the reduction; nothing with ``none``.
    normalize, center : bool
        Scale rows to unit length (after subtracting the class's mean when ``center``).
    clusterer : {"gmm", "kmeans"}
        Gaussian mixture with full covariances, or k-means.
    max_k, restarts : int
    overcluster : bool
        Split every cluster in 5 by k-means and keep a piece when its mean silhouette after the
        split exceeds ``max(before, 0)``, its mean loss is at least the parent's, and it holds at
        least ``max(0.5 % of the class, 25)`` examples; other pieces go back. The paper asks the
        same of 25 validation examples; here there is one set, so that check has no counterpart.
    max_silhouette, max_fit : int
        Silhouettes (O(n^2)) and fits take seeded samples of so many rows of larger classes.
    seed : int
    progress : Progress

    Returns
    -------
    GeorgeClusters
        Weights are 0 or 1. Scores rank a cluster's members by nearness to its mean.

    Notes
    -----
    A class with fewer than ``2 max_k`` examples has ``max_k`` capped at one less than their number;
    one with fewer than 3 (or fewer than 2 distinct ones) is one cluster. Both are noted. The paper
    reduces with UMAP; PCA is the default here because it is exact and fast, and the notes say so.

    Raises
    ------
    InputError
        If labels are missing, or ``hardness`` finds no two classes or predictions.

    References
    ----------
    Sohoni, Dunnmon, Angus, Gu and Ré, No Subclass Left Behind, NeurIPS 2020, arXiv:2011.12945,
    Section 4 and Appendix B.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("clusterer", clusterer, CLUSTERERS)
    for name, value, low in (
        ("max_k", max_k, 2),
        ("restarts", restarts, 1),
        ("n_components", n_components, 1),
        ("max_silhouette", max_silhouette, 3),
        ("max_fit", max_fit, 3),
    ):
        if value < low:
            raise InputError(f"{name} must be at least {low}: got {value}.")
    needs = ["losses", "labels"]
    if reduction == "hardness":
        needs.append("predictions")
    inputs = check_inputs(
        "george_clusters",
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        needs=needs,
    )
    options = _Options(
        check_groups(n_groups),
        reduction,
        n_components,
        normalize,
        center,
        clusterer,
        max_k,
        restarts,
        overcluster,
        max_silhouette,
        max_fit,
        seed,
    )
    return _fit(inputs, options, progress)


@threadpool_limits.wrap(limits=1)  # many small fits: threads would only wait for each other
def _fit(inputs: Inputs, options: _Options, progress: Progress = ignore_progress) -> GeorgeClusters:
    labels, losses = needed(inputs.labels), needed(inputs.losses)
    present = np.unique(labels)
    normal = None
    if options.reduction == "hardness":
        rows = _sample(np.arange(len(inputs)), options.max_fit, options.seed)
        values = np.asarray(inputs.embeddings[rows], dtype=np.float64)
        normal = head_normal(inputs, unit_rows(values) if options.normalize else values, rows)
    found: dict[int, _ClassClusters] = {}
    assignment = np.full(len(inputs), -1)
    first: dict[int, int] = {}
    total = 0
    order = np.argsort(labels, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(labels))[:-1])
    for start in range(0, len(present), _TOGETHER):
        batch = present[start : start + _TOGETHER].tolist()

        def tick(name: str, start: int = start) -> None:
            progress(start / len(present), f"Clustering class {name}")

        prepared = [
            _prepare_class(inputs.embeddings, rows_of[label], options, normal) for label in batch
        ]
        models = _models(prepared, [inputs.classes[label] for label in batch], options, tick)
        for label, ready, tried in zip(batch, prepared, models, strict=True):
            found[label] = _cluster_class(ready, tried, losses, options)
            rows = rows_of[label]
            first[label] = total
            assignment[rows] = total + _assign(found[label], inputs.embeddings, rows)[0]
            total += found[label].k
    sizes = np.bincount(assignment, minlength=total)
    sums = np.bincount(assignment, weights=losses, minlength=total)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
    owner = np.repeat(present, [found[label].k for label in present.tolist()])
    worst = np.argsort(np.where(sizes > 0, -means, np.inf), kind="stable")[: options.n_groups]
    worst = worst[sizes[worst] > 0]
    chosen = [(int(owner[cluster]), int(cluster - first[int(owner[cluster])])) for cluster in worst]
    progress(1.0, "Done")
    return found_groups(
        "george",
        inputs,
        partial(_rule, found, tuple(chosen)),
        partial(_fit, options=options),
        names=[
            f"class {inputs.classes[label]}, cluster {at + 1} of {found[label].k}"
            for label, at in chosen
        ],
        kinds=["class"] * len(chosen),
        sees=("labels",),
        notes=_notes(inputs, options, found),
        parameters=dict(vars(options)),
        kind=GeorgeClusters,
        assignment=assignment,
        classes=pd.DataFrame(
            {
                "class": [inputs.classes[label] for label in present],
                "n": np.bincount(labels)[present],
                "k": [found[label].k for label in present.tolist()],
                "score": [found[label].score for label in present.tolist()],
                "note": [found[label].note for label in present.tolist()],
            }
        ),
        clusters=pd.DataFrame(
            {
                "cluster": np.arange(total),
                "class": [inputs.classes[label] for label in owner],
                "n": sizes,
                "mean_loss": means,
            }
        ),
    )


def _rule(
    found: dict[int, _ClassClusters], chosen: tuple[tuple[int, int], ...], inputs: Inputs
) -> Ranked:
    """One row per chosen (class, cluster). Scores: members in (1, 2], their class below, rest 0."""
    labels = needed(inputs.labels)
    weights = np.zeros((len(chosen), len(inputs)))
    scores = np.zeros_like(weights)
    for label in sorted({label for label, _ in chosen}):
        rows = np.flatnonzero(labels == label)
        if len(rows) == 0:
            continue
        clusters, points = _assign(found[label], inputs.embeddings, rows)
        for group, (owner, at) in enumerate(chosen):
            if owner == label:
                weights[group, rows] = clusters == at
                scores[group, rows] = weights[group, rows] + found[label].typicality(points, at)
    return weights, scores


def _assign(
    found: _ClassClusters, embeddings: NDArray[Any], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cluster of each row, and its reduced coordinates."""
    points = np.concatenate(
        [
            found.prepare(np.asarray(embeddings[rows[start : start + _BLOCK_ROWS]], np.float64))
            for start in range(0, len(rows), _BLOCK_ROWS)
        ]
    )
    return found.assign(points), points


@dataclass(frozen=True)
class _Prepared:
    """A class of ``n`` examples before it is clustered: coordinates of the ``fitted`` ones.

    ``top`` is the largest number of clusters to try; below 2 there is one cluster.
    """

    n: int
    fitted: NDArray[np.int64]
    prepare: Reduce
    points: NDArray[np.float64]
    top: int
    notes: tuple[str, ...]


def _prepare_class(
    embeddings: NDArray[Any],
    rows: NDArray[np.int64],
    options: _Options,
    normal: NDArray[np.float64] | None,
) -> _Prepared:
    n = len(rows)
    fitted = _sample(rows, options.max_fit, options.seed)
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
    return _Prepared(n, fitted, lambda block: reduce(scaled(block)), points, top, tuple(notes))


def _models(
    prepared: list[_Prepared], names: list[str], options: _Options, tick: Callable[[str], None]
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


def _is_small(ready: _Prepared, options: _Options) -> bool:
    n, d = ready.points.shape
    return options.clusterer == "gmm" and n <= _SMALL_ROWS and d <= _SMALL_AXES


def _cluster_class(
    ready: _Prepared, models: list[Any], losses: NDArray[np.float64], options: _Options
) -> _ClassClusters:
    n, points, fitted, notes = ready.n, ready.points, ready.fitted, list(ready.notes)
    clusters, score = np.zeros(len(points), dtype=np.int64), float("nan")
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]] = _all_zero
    if models:
        assign, clusters, score = _best_clustering(points, models, options)
    if options.overcluster:
        kept_from = clusters.max() + 1
        assign, clusters = _overcluster(points, losses[fitted], clusters, assign, n, options)
        if clusters.max() + 1 > kept_from:
            notes.append(f"{clusters.max() + 1 - kept_from} clusters more by splitting")
    means, inverses = _moments(points, clusters)
    if len(fitted) < n:
        notes.append(f"fitted on {len(fitted):,} of {n:,} examples")
    return _ClassClusters(ready.prepare, assign, means, inverses, score, "; ".join(notes))


def _best_clustering(points: NDArray[np.float64], models: list[Any], options: _Options) -> Any:
    """Assigning function, clusters 0..k-1 and score of the best number of clusters."""
    labelled = [_compact(model.predict(points)) for model in models]
    sample = _sample(np.arange(len(points)), options.max_silhouette, options.seed)
    # A cluster may have no row in the sample; silhouettes need numbers without gaps.
    parts = [_compact(clusters[sample])[0] for clusters, _ in labelled]
    values = silhouettes(points[sample], parts)
    best, score = 0, -np.inf
    for index, (part, value) in enumerate(zip(parts, values, strict=True)):
        separated = separation(part, value)
        if separated >= score:  # ties go to the larger number of clusters
            best, score = index, separated
    clusters, used = labelled[best]
    return partial(_predict, models[best], used), clusters, score if np.isfinite(score) else np.nan


def _model(k: int, points: NDArray[np.float64], options: _Options) -> Any:
    with warnings.catch_warnings():
        # The silhouette judges the clusters, converged or not; duplicates may leave some empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if options.clusterer == "kmeans":
            return KMeans(k, n_init=options.restarts, random_state=options.seed).fit(points)
        return GaussianMixture(
            k, n_init=options.restarts, random_state=options.seed, reg_covar=_FLOOR
        ).fit(points)


def _compact(clusters: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters renumbered 0.. without gaps, and the numbers they had."""
    used, compact = np.unique(clusters, return_inverse=True)
    return compact.astype(np.int64), used.astype(np.int64)


def _predict(model: Any, used: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cluster of each point, among those in use when the model was chosen."""
    clusters = model.predict(points)
    place = np.full(int(max(used.max(), clusters.max())) + 1, -1)
    place[used] = np.arange(len(used))
    # An unseen point may fall to a component that held no example: it joins the first.
    return np.maximum(place[clusters], 0).astype(np.int64)


def _all_zero(points: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.zeros(len(points), dtype=np.int64)


def _overcluster(
    points: NDArray[np.float64],
    losses: NDArray[np.float64],
    clusters: NDArray[np.int64],
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    n: int,
    options: _Options,
) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.int64]], NDArray[np.int64]]:
    """Clusters after splitting each in 5 and merging back what does not earn its keep."""
    splits: dict[int, Any] = {}
    pieces = clusters * _SPLIT
    for cluster in range(int(clusters.max()) + 1):
        rows = np.flatnonzero(clusters == cluster)
        parts = min(_SPLIT, len(np.unique(points[rows].round(12), axis=0)))
        if parts >= 2:
            model = KMeans(parts, n_init=options.restarts, random_state=options.seed)
            splits[cluster] = model.fit(points[rows])
            pieces[rows] += splits[cluster].labels_
    sample = _sample(np.arange(len(points)), options.max_silhouette, options.seed)
    compact = [_compact(part[sample])[0] for part in (clusters, pieces)]
    before, after = silhouettes(points[sample], compact)
    # Samples stand for the class: a piece must hold its share of them.
    least = max(_KEEP_SHARE * n, _KEEP_ROWS) * len(points) / n
    kept: list[int] = []
    for piece in np.unique(pieces).tolist():
        rows, seen = np.flatnonzero(pieces == piece), pieces[sample] == piece
        parent = clusters == piece // _SPLIT
        if piece // _SPLIT in splits and len(rows) >= least and seen.any():
            better = after[seen].mean() > max(before[seen].mean(), 0.0)
            if better and losses[rows].mean() >= losses[parent].mean():
                kept.append(piece)
    final, used = _compact(np.where(np.isin(pieces, kept), pieces, -1 - clusters))
    return partial(_predict_split, assign, splits, used), final


def _predict_split(
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    splits: dict[int, Any],
    used: NDArray[np.int64],
    points: NDArray[np.float64],
) -> NDArray[np.int64]:
    clusters = assign(points)
    pieces = clusters * _SPLIT
    for cluster, model in splits.items():
        rows = np.flatnonzero(clusters == cluster)
        if len(rows):
            pieces[rows] += model.predict(points[rows])
    wanted = np.where(np.isin(pieces, used), pieces, -1 - clusters)
    # A parent that was used up by its pieces takes nobody: the first cluster does, as above.
    at = np.searchsorted(used, wanted).clip(max=len(used) - 1)
    return np.where(used[at] == wanted, at, 0).astype(np.int64)


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


def _sample(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _notes(inputs: Inputs, options: _Options, found: dict[int, _ClassClusters]) -> tuple[str, ...]:
    notes = []
    if options.reduction == "none":
        notes.append(
            "Clustered in all dimensions of the embedding; the paper reduces by UMAP to 2."
        )
    else:
        by = {"pca": "PCA", "umap": "UMAP", "hardness": "the decision's normal and PCA"}
        said = f"Reduced by {by[options.reduction]} to {options.n_components} coordinates per class"
        notes.append(said + ("." if options.reduction == "umap" else "; the paper uses UMAP."))
    if options.overcluster:
        notes.append("Pieces were judged on these examples alone: there is no validation set.")
    told = [
        f"Class {inputs.classes[label]}: {clusters.note}."
        for label, clusters in found.items()
        if clusters.note
    ]
    return (*notes, *told[:20], *([f"{len(told) - 20} more classes."] if len(told) > 20 else []))
