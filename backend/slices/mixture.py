"""Mixture slices: one mixture model over embedding, label and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.slices.axes import Axes, principal_axes
from backend.slices.found import MIN_MEMBERS, FoundGroups, Ranked, found_groups, worst_first
from backend.slices.inputs import Inputs, check_groups, check_inputs, needed

_FLOOR = 1e-3
"""Least variance of a component along an axis, as a share of the mean variance per axis."""
_BLOCK_ROWS = 16_384
Columns = Any
"""(n, C), one column per class: an array or a sparse one."""


@dataclass(frozen=True)
class _MixtureOptions:
    n_groups: int
    n_components: int
    n_axes: int
    label_weight: float
    prediction_weight: float
    max_steps: int
    tolerance: float
    max_fit: int
    seed: int


@dataclass(frozen=True)
class _Mixture:
    """Parameters of ``k`` parts in ``a`` axes and ``C`` classes."""

    log_shares: NDArray[np.float64]  # (k,)
    means: NDArray[np.float64]  # (k, a)
    variances: NDArray[np.float64]  # (k, a)
    log_labels: NDArray[np.float64]  # (k, C)
    log_predictions: NDArray[np.float64]  # (k, C)


def mixture_slices(
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    n_components: int = 25,
    n_axes: int = 128,
    label_weight: float = 10.0,
    prediction_weight: float = 10.0,
    max_steps: int = 100,
    tolerance: float = 1e-4,
    max_fit: int = 50_000,
    kept_aside: Any = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> FoundGroups:
    """Fit a mixture to embedding, label and prediction together; return its worst parts.

    A part has a diagonal Gaussian over principal coordinates, a distribution over true classes and
    one over predicted classes, all with the same memberships. The two log-likelihoods of classes
    count ``label_weight`` and ``prediction_weight`` times, so that parts are pure in label and kind
    of mistake. Expectation maximisation starts from the confusion matrix: parts are dealt to its
    cells in proportion to the root of their counts, and a cell with several is divided among
    k-means++ seeds.

    What all methods take is told in ``find_groups``. Probabilities take the place of one-hot
    predictions as in the authors' code: a part's likelihood of them is its expected one,
    ``log sum_j yhat_j p_j``, and its shares of answers are means of them. That is no exact
    maximisation, so that the likelihood can also fall from one step to the next.

    Parameters
    ----------
    n_components : int
        Parts of the mixture, at most a tenth of the examples.
    n_axes : int
        Principal axes kept.
    label_weight, prediction_weight : float
    max_steps, tolerance : int, float
        Stops when the mean log-likelihood changes by less than ``tolerance``; the notes say when it
        did not.
    max_fit : int
        With more examples the mixture is fitted on a seeded sample; all of them get weights.

    Returns
    -------
    FoundGroups
        Parts with a total and an effective weight of at least 10. Weights are posterior
        memberships; scores their log odds.

    References
    ----------
    Eyuboglu et al., Domino: Discovering Systematic Errors with Cross-Modal Embeddings, ICLR 2022,
    arXiv:2203.14960, Section 5. Departures: parts are ranked by loss rather than by the difference
    between label and prediction, and the start divides cells by place instead of by noise.
    """
    for name, value, low in (
        ("n_components", n_components, 1),
        ("n_axes", n_axes, 1),
        ("label_weight", label_weight, 0),
        ("prediction_weight", prediction_weight, 0),
        ("max_steps", max_steps, 1),
        ("tolerance", tolerance, 0),
        ("max_fit", max_fit, MIN_MEMBERS),
    ):
        if not low <= value < np.inf:
            raise InputError(f"{name} must be at least {low}: got {value}.")
    inputs = check_inputs(
        "mixture_slices",
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        needs=("losses", "labels", "predictions"),
        kept_aside=kept_aside,
    )
    options = _MixtureOptions(
        check_groups(n_groups),
        n_components,
        n_axes,
        label_weight,
        prediction_weight,
        max_steps,
        tolerance,
        max_fit,
        seed,
    )
    return _fit(inputs, options, progress)


@threadpool_limits.wrap(limits=1)  # many small products: threads would only wait for each other
def _fit(
    inputs: Inputs, options: _MixtureOptions, progress: Progress = ignore_progress
) -> FoundGroups:
    known = inputs.known
    n = len(known)
    random = np.random.default_rng(options.seed)
    notes = []
    fitted = known
    if n > options.max_fit:
        fitted = known.take(np.sort(random.choice(n, options.max_fit, replace=False)))
        notes.append(f"Fitted on a sample of {options.max_fit:,} of {n:,} examples.")
    progress(0.0, "Finding principal axes")
    axes = principal_axes(fitted.embeddings, options.n_axes, seed=options.seed)
    points = axes.apply(fitted.embeddings)
    k = max(1, min(options.n_components, len(fitted) // MIN_MEMBERS))
    if k < options.n_components:
        notes.append(f"{k} parts instead of {options.n_components}: only {n} examples.")
    labels, predicted = _one_hot(needed(fitted.labels), fitted), _predicted(fitted)
    responsibilities = _start(points, fitted, k, random)
    mixture = _maximise(points, labels, predicted, responsibilities)
    before, settled = -np.inf, False
    for step in range(options.max_steps):
        progress(0.05 + 0.9 * step / options.max_steps, f"Fitting {k} parts, step {step + 1}")
        joint = _log_joint(mixture, points, labels, predicted, options)
        every = logsumexp(joint, axis=1)
        mixture = _maximise(points, labels, predicted, np.exp(joint - every[:, None]))
        if abs(every.mean() - before) < options.tolerance:
            settled = True
            break
        before = every.mean()
    if not settled:
        notes.append(f"The fit was still changing after {options.max_steps} steps.")
    everything = partial(_rule, mixture, axes, options, None)
    weights, scores = everything(known)
    kept = worst_first(weights, needed(known.losses), options.n_groups, MIN_MEMBERS)
    progress(1.0, "Done")
    return found_groups(
        "mixture",
        inputs,
        partial(_rule, mixture, axes, options, kept),
        partial(_fit, options=options),
        names=[_name(mixture, int(part), inputs.classes) for part in kept],
        kinds=["confusion"] * len(kept),
        sees=("labels", "predictions"),
        notes=notes,
        asked=(options.n_groups, f"no more parts have {MIN_MEMBERS} examples or more"),
        parameters=dict(vars(options)),
        ranked=(weights[kept], scores[kept]),
    )


@threadpool_limits.wrap(limits=1)
def _rule(
    mixture: _Mixture,
    axes: Axes,
    options: _MixtureOptions,
    kept: NDArray[np.int64] | None,
    inputs: Inputs,
) -> Ranked:
    k = len(mixture.log_shares)
    kept = np.arange(k) if kept is None else kept
    weights = np.zeros((len(kept), len(inputs)))
    scores = np.zeros_like(weights)
    labels = needed(inputs.labels)
    for start in range(0, len(inputs), _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(inputs)))
        block = inputs.take(rows)
        joint = _log_joint(
            mixture,
            axes.apply(block.embeddings),
            _one_hot(labels[rows], inputs),
            _predicted(block),
            options,
        )
        every = logsumexp(joint, axis=1)
        weights[:, rows] = np.exp(joint - every[:, None])[:, kept].T
        for group, part in enumerate(kept):
            # Log odds: they still rank examples whose memberships round to 1.
            others = logsumexp(np.delete(joint, part, axis=1), axis=1) if k > 1 else 0.0
            scores[group, rows] = joint[:, part] - others
    return weights, scores


def _log_joint(
    mixture: _Mixture,
    points: NDArray[np.float64],
    labels: Columns,
    predicted: Columns,
    options: _MixtureOptions,
) -> NDArray[np.float64]:
    """(n, k): log share + log density + weighted log-likelihoods of label and prediction."""
    precision = 1 / mixture.variances
    squared = (
        np.square(points) @ precision.T
        - 2 * points @ (mixture.means * precision).T
        + (np.square(mixture.means) * precision).sum(axis=1)
    )
    constant = np.log(2 * np.pi * mixture.variances).sum(axis=1)
    return (
        mixture.log_shares
        - 0.5 * (squared + constant)
        + options.label_weight * (labels @ mixture.log_labels.T)
        + options.prediction_weight * _log_answers(mixture, predicted)
    )


def _log_answers(mixture: _Mixture, predicted: Columns) -> NDArray[np.float64]:
    """(n, k): log-likelihood of the answers, of soft ones ``log sum_j yhat_j p_j``."""
    if isinstance(predicted, csr_array):  # one answer each
        hard: NDArray[np.float64] = predicted @ mixture.log_predictions.T
        return hard
    expected = predicted @ np.exp(mixture.log_predictions).T
    return np.log(np.maximum(expected, np.finfo(np.float64).tiny))


def _maximise(
    points: NDArray[np.float64],
    labels: Columns,
    predicted: Columns,
    responsibilities: NDArray[np.float64],
) -> _Mixture:
    totals = responsibilities.sum(axis=0) + 10 * np.finfo(np.float64).eps
    shared = responsibilities.T / totals[:, None]
    means = shared @ points
    variances = np.maximum(shared @ np.square(points) - np.square(means), 0.0)
    floor = max(_FLOOR * points.var(axis=0).mean(), 1e-12)

    def logged(columns: Columns) -> NDArray[np.float64]:
        # One example's worth of the plain frequencies keeps an unseen class possible.
        prior = columns.mean(axis=0) + 1e-6
        counts = (columns.T @ responsibilities).T + prior
        return np.log(counts / counts.sum(axis=1, keepdims=True))

    return _Mixture(
        np.log(totals / totals.sum()),
        means,
        variances + floor,
        logged(labels),
        logged(predicted),
    )


def _start(
    points: NDArray[np.float64], inputs: Inputs, k: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Memberships (n, k) to begin with: each cell of the confusion matrix has parts of its own."""
    width = len(inputs.classes)
    cell = needed(inputs.labels) * width + needed(inputs.predictions)
    cells, counts = np.unique(cell, return_counts=True)
    parts = np.zeros(len(cells), dtype=np.int64)
    for _ in range(k):  # highest averages; ties: the lower cell
        parts[np.argmax(np.sqrt(counts) / (parts + 1))] += 1
    start = np.full((len(points), k), 1 / k)
    used = 0
    for at, number in enumerate(parts.tolist()):
        if number == 0:
            continue
        rows = np.flatnonzero(cell == cells[at])
        seeds = _spread(points[rows], number, random)
        gaps = np.stack([np.square(points[rows] - seed).sum(axis=1) for seed in seeds], axis=1)
        start[rows] = 0.1 / k
        start[rows, used + gaps.argmin(axis=1)] += 0.9
        used += number
    return start


def _spread(
    points: NDArray[np.float64], k: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """``k`` seeds by k-means++: each drawn with probability proportional to its squared distance."""
    seeds = [points[random.integers(len(points))]]
    nearest = np.square(points - seeds[0]).sum(axis=1)
    while len(seeds) < k:
        total = nearest.sum()
        row = random.choice(len(points), p=nearest / total) if total > 0 else 0
        seeds.append(points[row])
        nearest = np.minimum(nearest, np.square(points - seeds[-1]).sum(axis=1))
    return np.array(seeds)


def _one_hot(codes: NDArray[np.int64], inputs: Inputs) -> Columns:
    """(n, C), sparse: with 1000 classes nearly everything in it is 0."""
    n = len(codes)
    return csr_array((np.ones(n), codes, np.arange(n + 1)), shape=(n, len(inputs.classes)))


def _predicted(inputs: Inputs) -> Columns:
    if inputs.probabilities is not None:
        return inputs.probabilities
    return _one_hot(needed(inputs.predictions), inputs)


def _name(mixture: _Mixture, part: int, classes: tuple[str, ...]) -> str:
    """Label and answer of a part; where these agree, the wrong answer that comes next."""
    label = int(mixture.log_labels[part].argmax())
    answers = np.argsort(-mixture.log_predictions[part], kind="stable")
    if answers[0] != label:
        return f"{classes[label]} called {classes[int(answers[0])]}"
    if len(answers) == 1:
        return classes[label]
    return f"{classes[label]}, if not right called {classes[int(answers[1])]}"
