"""The task that scores the training examples by what they do to a group of the evaluated ones."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.losses import softmax
from backend.bundle.training import Training, training_of
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, share_of
from backend.core.wording import PERCENT
from backend.tasks.checks import check_count, needs_bundle
from backend.tasks.populations import category_column
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.attribution import Factored, GroupAlignment
    from backend.bundle import Bundle

METHODS = {
    "scores": "Scores of the bundle",
    "influence": "Influence of the last layer",
    "trak": "TRAK",
}
"""Ways to score, the first that a bundle has being taken unless another is asked for."""
QUESTIONS = ("rows", "groups", "pseudo")
"""About one group, about all groups with the worst counting most (D3M), or about groups that the
attributions make themselves (Auto-D3M)."""
SHOWN = 48
"""Training examples of each end whose targets are looked up."""
ACTED_ON = 3
"""Targets that are kept of each."""
PROJECTED = 512
"""Dimensions that a last layer of too many parameters is projected to."""
EXACT = 4096
"""Parameters of the largest last layer that is solved exactly."""

FEWEST = 10
"""Examples of a group that is named as the worst by itself."""
_AT_ONCE = 16

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Attributable:
    """What of a bundle says anything about its training examples.

    Attributes
    ----------
    training : Training or None
    methods : tuple of str
        Of ``METHODS``, those that it has the fields for.
    missing : {method: str}
        What the others need.
    """

    training: Training | None
    methods: tuple[str, ...]
    missing: Mapping[str, str]


def attributable(bundle: Bundle) -> Attributable:
    """Which methods have the fields they need; reads no array."""
    training = training_of(bundle)
    missing = {}
    if "attribution" not in bundle.extras:
        missing["scores"] = "attribution (n_train, n)"
    features = ("train_features", "target_features", "train_residuals")
    if lacking := [name for name in features if name not in bundle.extras]:
        missing["trak"] = " and ".join(f"attribution/{name}" for name in lacking)
    lacking = [f"train/{name}" for name in ("embeddings", "labels") if name not in bundle.train]
    if bundle.label_codes is None:
        lacking.append("labels")
    if lacking:
        missing["influence"] = " and ".join(lacking)
    usable = tuple(name for name in METHODS if name not in missing)
    return Attributable(training, usable, missing)


def run_attribution(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Score the training examples for a question about the evaluated ones.

    Arrays: ``scores`` (n_train,), lower harms; ``groups`` (n,) int64, the group of each example, -1
    for none; ``shown`` (k,) the training examples of both ends, the most harmful first and the most
    helpful last, and ``acted_on`` (k, at most 3) the examples on which each acts most in that
    direction; for pseudo-groups ``projections`` (n,).

    ``meta`` holds ``method``, ``how`` (sentences on how scores were made), ``notes``, ``agreement``
    (``correlation``, ``harmful``, ``helpful``, ``top`` and ``of``: what was compared; None where
    nothing could be), ``groups`` (name, n, loss, accuracy, weight of each), and for pseudo-groups
    ``classes``, ``explained``, ``components`` and ``low_end``.
    """
    from backend.attribution import pseudo_components

    bundle = needs_bundle("attribution", bundle).at_layer("")
    began = time.perf_counter()
    source = source_of(bundle, options["method"], share_of(progress, 0.0, 0.5))
    arrays: Arrays = {}
    told: Meta = {}
    if options["question"] == "pseudo":
        if bundle.correct is None:
            raise InputError("pseudo-groups need labels and predictions: the bundle lacks them.")
        found = pseudo_components(
            source.factored.compressed(share_of(progress, 0.5, 0.7)),
            bundle.label_names,
            bundle.correct,
            bundle.losses,
            component=options["component"],
        )
        codes, names = pseudo_codes(found.groups, bundle)
        arrays["projections"] = found.projections
        source.notes.extend(found.notes)
        told = {
            "classes": list(found.classes),
            "explained": [[_number(one) for one in line] for line in found.explained],
            "components": found.components.tolist(),
            "low_end": found.low_end.tolist(),
        }
    else:
        codes, names = question_codes(bundle, options)
    losses = _means(bundle.losses, codes, len(names))
    scored = aligned(source.factored, codes, losses, options, share_of(progress, 0.7, 0.85))
    told["agreement"] = _agreement(
        source, codes, losses, scored, options, share_of(progress, 0.85, 0.95)
    )
    shown = _both_ends(scored.scores)
    arrays |= {
        "scores": scored.scores,
        "groups": codes,
        "shown": shown,
        "acted_on": _acted_on(source.factored, shown, scored.scores, codes),
    }
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    right = None if bundle.correct is None else _means(bundle.correct, codes, len(names))
    return arrays, told | {
        "version": TASK.version,
        "method": source.method,
        "how": source.how,
        "notes": [*source.notes, *(scored.notes if options["question"] != "rows" else ())],
        "groups": [
            {
                "name": name,
                "n": int(counts[at]),
                "loss": float(losses[at]),
                "accuracy": None if right is None else float(right[at]),
                "weight": float(scored.weights[at]),
            }
            for at, name in enumerate(names)
        ],
        "n_train": source.factored.n_train,
        "seconds": time.perf_counter() - began,
    }


@dataclass(frozen=True)
class Cell:
    """Examples of one label and value of each column.

    Attributes
    ----------
    name : str
    rows : int64 array
    loss : float
        Mean loss.
    accuracy : float or None
    """

    name: str
    rows: NDArray[np.int64]
    loss: float
    accuracy: float | None


def cells_of(bundle: Bundle, columns: list[str]) -> list[Cell]:
    """Groups of label x columns, highest mean loss first; those under ten examples come last."""
    codes, names = _column_codes(bundle, columns)
    losses = _means(bundle.losses, codes, len(names))
    right = None if bundle.correct is None else _means(bundle.correct, codes, len(names))
    found = [
        Cell(
            name,
            np.flatnonzero(codes == at),
            float(losses[at]),
            None if right is None else float(right[at]),
        )
        for at, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: (len(one.rows) < FEWEST, -one.loss))


@dataclass(frozen=True)
class ScoreSource:
    """Attributions of a bundle, with what has to be said of them.

    Attributes
    ----------
    method : str
    factored : Factored
    halves : tuple of Factored
        Two projections of the same gradients, where there was one; else empty.
    how : list of str
        Sentences on how scores were made.
    notes : list of str
        What a reader has to beware of.
    """

    method: str
    factored: Factored
    halves: tuple[Factored, ...]
    how: list[str]
    notes: list[str]


def source_of(bundle: Bundle, method: str, progress: Progress) -> ScoreSource:
    """Attributions by ``method``; "auto" is the first that the bundle has the fields for."""
    held = attributable(bundle)
    if method == "auto":
        if not held.methods:
            raise InputError(
                "the bundle says nothing of its training examples. It needs train/embeddings and "
                "train/labels, or attribution/train_features, attribution/target_features and "
                "attribution/train_residuals, or attribution."
            )
        method = held.methods[0]
    elif method in held.missing:
        raise InputError(f"{METHODS[method]} needs {held.missing[method]}: the bundle lacks it.")
    if method == "scores":
        from backend.attribution import factored_scores

        made = factored_scores(bundle.extras["attribution"])
        return ScoreSource(
            method, made, (), ["Scores were made elsewhere and are taken as given."], []
        )
    if method == "trak":
        names = ("train_features", "target_features", "train_residuals")
        train, targets, residuals = (bundle.extras[name] for name in names)
        how = [
            f"TRAK at {len(train)} checkpoint{'s' if len(train) > 1 else ''}, "
            f"{train.shape[2]} features stored in the bundle."
        ]
        return _trak(train, targets, residuals, how, progress)
    return _last_layer(bundle, held.training, progress)


def _trak(
    train: NDArray[Any],
    targets: NDArray[Any],
    residuals: NDArray[Any],
    how: list[str],
    progress: Progress,
) -> ScoreSource:
    from backend.attribution import column_halves, default_regularizer, factored_trak
    from backend.attribution.trak import MOST_OF_ROWS, STRENGTH

    def make(train: NDArray[Any], targets: NDArray[Any], low: float, high: float) -> Factored:
        return factored_trak(
            train,
            targets,
            residuals,
            regularizer=default_regularizer(train),
            progress=share_of(progress, low, high),
        )

    n_train, k = train.shape[1:]
    how.append(f"Regularised by {STRENGTH:g} of the Gram matrix's mean diagonal.")
    notes = []
    if k * MOST_OF_ROWS > n_train:
        notes.append(
            f"There are {k} features and {n_train:,} training examples: more than one for every "
            f"{MOST_OF_ROWS}, so the ranking is less sure."
        )
    whole = make(train, targets, 0.0, 0.5)
    halves: tuple[Factored, ...] = ()
    if k > 1:
        pairs = zip(column_halves(train), column_halves(targets), strict=True)
        halves = tuple(make(*pair, 0.5 + at / 4, 0.75 + at / 4) for at, pair in enumerate(pairs))
    return ScoreSource("trak", whole, halves, how, notes)


def _last_layer(bundle: Bundle, training: Training | None, progress: Progress) -> ScoreSource:
    from backend.attribution import GaussNewton, factored_influence, last_layer_features
    from backend.attribution.gauss_newton import DAMPING

    if training is None or training.label_codes is None or bundle.label_codes is None:
        raise InputError(
            f"{METHODS['influence']} needs classes: the labels of the bundle are none."
        )
    train_inputs, inputs = training.fields["embeddings"], bundle.embeddings
    n_classes = len(bundle.class_names or ())
    how = ["Of the last layer alone, which needs no model and no accelerator."]
    notes: list[str] = []
    chances, own = training.probabilities(), _probabilities(bundle)
    if chances is None or own is None or chances.shape[1] != own.shape[1]:
        chances, own = _refitted(bundle, training, n_classes, notes, how, progress)
    codes, labels = training.label_codes, bundle.label_codes
    parameters = (chances.shape[1] - 1) * (inputs.shape[1] + 1)
    if parameters > EXACT:
        progress(0.3, "Projecting the gradients")
        k = min(PROJECTED, max(1, len(codes) // 4))
        how.append(f"Its {parameters:,} parameters are projected to {k}.")
        train = last_layer_features(train_inputs, chances, codes, k=k)[None].astype(np.float32)
        targets = last_layer_features(inputs, own, labels, k=k)[None].astype(np.float32)
        residuals = 1 - chances[np.arange(len(codes)), codes].astype(np.float64)
        made = _trak(train, targets, residuals[None], how, share_of(progress, 0.5, 1.0))
        return ScoreSource("influence", made.factored, made.halves, made.how, notes + made.notes)
    how.append(
        f"Exact for its {parameters:,} parameters, without a projection (Gauss-Newton, damping "
        f"{DAMPING:g} of the mean diagonal)."
    )
    layer = GaussNewton.of(train_inputs, chances, codes, progress=share_of(progress, 0.3, 0.7))
    made_of = factored_influence(layer, inputs, own, labels, progress=share_of(progress, 0.7, 1.0))
    return ScoreSource("influence", made_of, (), how, notes)


def _probabilities(bundle: Bundle) -> NDArray[Any] | None:
    if bundle.probabilities is not None:
        return bundle.probabilities
    return None if bundle.logits is None else softmax(bundle.logits)


def _refitted(
    bundle: Bundle,
    training: Training,
    n_classes: int,
    notes: list[str],
    how: list[str],
    progress: Progress,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities of a last layer fitted anew on the training embeddings: training, own."""
    from backend.attribution import refit_head

    assert training.label_codes is not None  # asked before
    progress(0.05, "Fitting the last layer anew")
    head = refit_head(training.fields["embeddings"], training.label_codes, n_classes)
    chances, own = (
        head.probabilities(one) for one in (training.fields["embeddings"], bundle.embeddings)
    )
    same = ""
    if bundle.prediction_codes is not None:
        share = float((own.argmax(axis=1) == bundle.prediction_codes).mean())
        same = f" It gives the model's answer for {100 * share:.1f}{PERCENT} of the examples."
    how.append(
        "The bundle has no probabilities of the training examples, so the layer was fitted anew "
        f"on their embeddings.{same}"
    )
    if not head.converged:
        notes.append(f"Fitting the layer anew did not converge in {head.steps} steps.")
    return chances, own


# --- groups ---------------------------------------------------------------------------------------


def aligned(
    factored: Factored, codes: Codes, losses: NDArray[Any], options: Options, progress: Progress
) -> GroupAlignment:
    """Group alignment of the training examples; ``losses`` are the mean losses of the groups."""
    from backend.attribution import group_alignment

    means = factored.group_scores(codes, len(losses), progress)
    return group_alignment(means, np.arange(len(losses)), losses, beta=options["beta"])


def question_codes(bundle: Bundle, options: Options) -> tuple[Codes, list[str]]:
    """Group of each example, -1 for none, and names of the groups: of columns, or of given rows."""
    if options["question"] == "groups":
        return _column_codes(bundle, options["columns"])
    return _row_codes(bundle, options["rows"])


def _row_codes(bundle: Bundle, rows: list[int]) -> tuple[Codes, list[str]]:
    codes = np.full(bundle.n, -1, np.int64)
    chosen = np.asarray(rows, np.int64)
    if chosen.max() >= bundle.n:
        raise InputError(f"rows must be below {bundle.n}: got {chosen.max()}.")
    codes[chosen] = 0
    return codes, ["the group"]


def _column_codes(bundle: Bundle, columns: list[str]) -> tuple[Codes, list[str]]:
    """Label x columns; label alone without columns."""
    parts = [] if bundle.label_names is None else [("", bundle.label_names)]
    parts += [(name, category_column(bundle, name)) for name in columns]
    if not parts:
        raise InputError("groups need labels or a column: the bundle has no labels.")
    words = [
        " · ".join(
            str(value) if not name else f"{name} = {value if value == value else 'missing'}"
            for (name, _), value in zip(parts, line, strict=True)
        )
        for line in zip(*(values for _, values in parts), strict=True)
    ]
    names, codes = np.unique(np.asarray(words, dtype=object), return_inverse=True)
    return codes.astype(np.int64), [str(name) for name in names]


def pseudo_codes(groups: Codes, bundle: Bundle) -> tuple[Codes, list[str]]:
    """Class x {rest, pseudo-group}, as far as they occur."""
    assert bundle.label_codes is not None and bundle.class_names is not None  # asked before
    every = bundle.label_codes * 2 + groups
    present, codes = np.unique(every, return_inverse=True)
    kinds = ("rest", "pseudo-group")
    names = [f"{bundle.class_names[one // 2]} · {kinds[one % 2]}" for one in present.tolist()]
    return codes.astype(np.int64), names


def _means(values: NDArray[Any], codes: Codes, n_groups: int) -> NDArray[np.float64]:
    used = codes >= 0
    sums = np.bincount(codes[used], weights=values[used].astype(np.float64), minlength=n_groups)
    return np.asarray(sums / np.bincount(codes[used], minlength=n_groups))


# --- what is said of a ranking --------------------------------------------------------------------


def _agreement(
    source: ScoreSource,
    codes: Codes,
    losses: NDArray[Any],
    scored: GroupAlignment,
    options: Options,
    progress: Progress,
) -> Meta | None:
    """How far the ranking repeats: in two projections, else in two halves of every group."""
    from backend.attribution import rank_agreement

    if len(scored.scores) < 2:
        return None
    if source.halves:
        of = "projections"
        pair = [aligned(one, codes, losses, options, progress).scores for one in source.halves]
    else:
        of = "halves"
        halves = _halved(codes, options["seed"])
        if any((np.bincount(half[half >= 0], minlength=len(losses)) == 0).any() for half in halves):
            return None
        pair = [aligned(source.factored, half, losses, options, progress).scores for half in halves]
    found = rank_agreement(*pair)
    return {
        "of": of,
        "correlation": _number(found.correlation),
        "harmful": found.harmful,
        "helpful": found.helpful,
        "top": found.top,
    }


def _halved(codes: Codes, seed: int) -> list[Codes]:
    """Groups of every other of their members, in random order, and of the others."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.zeros(len(codes), bool)
    first[order[::2]] = True
    return [np.where(first, codes, -1), np.where(first, -1, codes)]


def _both_ends(scores: NDArray[np.float64]) -> Codes:
    order = np.argsort(scores, kind="stable").astype(np.int64)
    if len(order) <= 2 * SHOWN:
        return order
    return np.concatenate([order[:SHOWN], order[-SHOWN:]])


def _acted_on(factored: Factored, shown: Codes, scores: NDArray[np.float64], codes: Codes) -> Codes:
    """Examples of the groups on which each shown training example acts most, in its direction."""
    targets = np.flatnonzero(codes >= 0)
    found = np.empty((len(shown), min(ACTED_ON, len(targets))), np.int64)
    for start in range(0, len(shown), _AT_ONCE):
        rows = shown[start : start + _AT_ONCE]
        own = factored.of_rows(rows)[:, targets]
        own *= np.where(scores[rows] < 0, 1.0, -1.0)[:, None]
        order = np.argsort(own, axis=1, kind="stable")[:, : found.shape[1]]
        found[start : start + _AT_ONCE] = targets[order]
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _check(options: Options) -> None:
    check_choice("method", options["method"], ("auto", *METHODS))
    check_choice("question", options["question"], QUESTIONS)
    check_count("seed", options["seed"], 0, 2**32 - 1)
    for name in ("rows", "columns"):
        if not isinstance(options[name], list):
            raise InputError(f"{name} must be a list: got {type(options[name]).__name__}.")
    if options["question"] == "rows" and not options["rows"]:
        raise InputError("rows must name at least one example: got none.")
    for row in options["rows"]:
        check_count("a row", row, 0, 2**40)
    component = options["component"]
    for one in component.values() if isinstance(component, Mapping) else [component]:
        check_count("component", one, 0, 4)
    beta = options["beta"]
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not beta >= 0:
        raise InputError(f"beta must be 0 or more: got {beta!r}.")


TASK = Task(
    "backend.tasks.attribution:run_attribution",
    version=1,
    defaults={
        "method": "auto",
        "question": "groups",
        "rows": [],
        "columns": [],
        "beta": 1.0,
        "component": 0,
        "seed": 0,
    },
    check=_check,
)
