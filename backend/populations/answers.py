"""Questions a page asks of an evaluation, each answered as arrays and tables.

One entry, so that a small bundle is answered at once and a large one by a worker, with the same
code. Everything is asked by name and options of plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import mean_share_interval, wilson_interval
from backend.populations.audit import (
    RATES,
    audit,
    audit_gaps,
    group_losses,
    rate_intervals,
    target_audit,
)
from backend.populations.cells import level_order
from backend.populations.class_change import class_change
from backend.populations.compare import compare_populations
from backend.populations.disaggregate import disaggregate
from backend.populations.ensemble import Ensemble
from backend.populations.evaluation import (
    Answer,
    Evaluation,
    chosen_in,
    ensemble_in,
    labelled_in,
    one_model,
    pair_in,
)
from backend.populations.modal import modes, taxicab
from backend.populations.overlap import failure_iou, family_overlap, pair_disagreements
from backend.populations.payers import accuracy_change
from backend.populations.pies import pie_representation
from backend.populations.rates.questions import pairs, shades, thresholds, worst
from backend.populations.stress.report import deviation_pca
from backend.populations.stress.table import group_tests

MODAL, TAXICAB = "modal", "taxicab"
MOST_COMPONENTS = 3
MOST_MODELS = 80
"""Models compared pair by pair at most: more make no readable heat map."""


def answer(
    what: str,
    data: Evaluation,
    options: Mapping[str, Any],
    progress: Progress = ignore_progress,
) -> Answer:
    """Answer one question; ``QUESTIONS`` lists them and their functions say what comes back.

    Raises
    ------
    InputError
        If there is no such question, or the data lacks what it needs.
    """
    check_choice("what", what, tuple(QUESTIONS))
    return QUESTIONS[what](data, options, progress)


def cie_mask(
    baseline: Any, compressed: Any, *, kind: str = MODAL, share: float = 0.05, tie: str = "largest"
) -> NDArray[np.bool_]:
    """Examples on which two populations differ: by modal label, or the most divergent share.

    Parameters
    ----------
    baseline, compressed : int32 arrays of shape (m, n)
        Codes of one ensemble.
    kind : {"modal", "taxicab"}
        "taxicab" takes the ``round(share n)`` examples of largest taxicab distance, at least one;
        ties go to the lower row, and an example without any divergence is never taken.
    share : float
        In (0, 1]; of no effect for "modal".
    tie : {"largest", "smallest"}
        As in ``modal_label``; of no effect for "taxicab".

    References
    ----------
    Hooker et al., Characterising Bias in Compressed Models, 2020, arXiv:2010.03058.
    """
    if check_choice("kind", kind, (MODAL, TAXICAB)) == MODAL:
        return np.asarray(modes(baseline, tie)[0] != modes(compressed, tie)[0])
    return most_divergent(taxicab(baseline, compressed), share)


def most_divergent(divergence: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """The ``round(share n)`` examples of largest divergence, as ``cie_mask`` takes them."""
    if not 0 < share <= 1:
        raise InputError(f"share must be in (0, 1]: got {share}.")
    size = max(1, round(share * len(divergence)))
    chosen = np.zeros(len(divergence), dtype=bool)
    chosen[np.argsort(-divergence, kind="stable")[:size]] = True
    return chosen & (divergence > 0)


def compare(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """All populations beside the baseline.

    Arrays and tables of ``BaselineComparison``.
    """
    found = compare_populations(
        ensemble_in(data), options["baseline"], tie=options["tie"], progress=progress
    )
    return Answer(found.arrays, {"counts": found.counts, "accuracy": found.accuracy})


def classes(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """``class_change`` with the classes' names, and the change of accuracy as ``overall``."""
    ensemble, labels = labelled_in(data)
    pair = pair_in(ensemble, options)
    table = class_change(*pair, labels)
    change = accuracy_change(*pair, labels)
    names = np.asarray(ensemble.names, dtype=object)
    overall = pd.DataFrame({"change": [change.value], "low": [change.low], "high": [change.high]})
    named = table.assign(label=names[table["label"].to_numpy()])
    return Answer(tables={"classes": named, "overall": overall})


def subgroups(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """``disaggregate`` for a positive class given by name."""
    ensemble, labels = labelled_in(data)
    table = disaggregate(
        *pair_in(ensemble, options),
        labels,
        chosen_in(data, options),
        positive=_position(ensemble, options["positive"]),
        order=options["order"],
    )
    return Answer(tables={"subgroups": table})


def _position(ensemble: Ensemble, name: str) -> int:
    if name not in ensemble.names:
        shown = ", ".join(map(repr, ensemble.names[:10]))
        raise InputError(f"positive must be one of the classes ({shown}): got {name!r}.")
    return ensemble.names.index(name)


def representation(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """``pie_representation`` over the chosen attributes."""
    first, second = pair_in(ensemble_in(data), options)
    mask = cie_mask(first, second, kind=options["kind"], share=options["share"], tie=options["tie"])
    table = pie_representation(mask, chosen_in(data, options))
    return Answer(tables={"representation": table.assign(value=table["value"].astype(str))})


def served(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """The audit of one model: its bundle's predictions, or one model of a population.

    Tables: ``audit`` with the intervals of all rates and the mean loss of each group, ``gaps``
    between the best and the worst group, over rates out of ``min_n`` examples or more. ``error``
    counts every wrong answer; the other rates are of the positive class against the rest. Without
    labels or predictions only losses are compared.
    In target mode the rows have a class, and no mean loss.
    """
    attributes = chosen_in(data, options)
    labels, predictions = one_model(data, options)
    order, min_n = options["order"], options["min_n"]
    if options["mode"] == "target":
        if labels is None or predictions is None:
            raise InputError("the target-axis audit needs labels and predictions.")
        table = target_audit(labels, predictions, attributes, min_n=min_n)
        return Answer(tables={"audit": table.join(rate_intervals(table).drop(columns=_KNOWN))})
    losses = group_losses(data.losses, attributes, order=order, min_n=min_n)
    if labels is None or predictions is None:
        return Answer(tables={"audit": losses})
    table = audit(
        labels,
        predictions,
        attributes,
        positive=options["positive"],
        order=order,
        min_n=min_n,
    )
    intervals = rate_intervals(table)
    table = table.assign(**_any_error(labels, predictions, attributes, order=order, min_n=min_n))
    wide = table.join(intervals.drop(columns=_KNOWN))
    # A rate out of a handful says nothing of its group, however large that is.
    sound = table.copy()
    for rate in RATES:
        sound.loc[intervals[f"{rate}_of"] < min_n, rate] = np.nan
    for name in ("mean_loss", "mean_loss_low", "mean_loss_high"):
        wide[name] = losses[name]
    return Answer(tables={"audit": wide, "gaps": audit_gaps(sound)})


_KNOWN = ["error_low", "error_high"]  # already beside the audit's rates


def _any_error(
    labels: NDArray[Any], predictions: NDArray[Any], attributes: Any, *, order: int, min_n: int
) -> dict[str, NDArray[np.float64]]:
    """Share of wrong answers per group with its Wilson interval, whatever the classes.

    With two classes this is the audit's own error. With more, that one only asks whether the positive
    class was told from the rest, which is not what a reader takes an error for.
    """
    wrong = (labels != predictions).astype(np.float64)
    found = group_losses(wrong, attributes, order=order, min_n=min_n)
    n = found["n"].to_numpy()
    count = np.rint(np.nan_to_num(found["mean_loss"].to_numpy()) * n)
    low, high = wilson_interval(count, n)
    return {"error": found["mean_loss"].to_numpy(), "error_low": low, "error_high": high}


def robustness(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """Accuracy of every population on every test.

    Table ``robustness``: ``population``, ``metric``, ``n_models``, ``accuracy`` (mean over models)
    with its t interval ``low`` and ``high``.
    """
    ensemble, _ = labelled_in(data)
    rows = []
    for at, name in enumerate(ensemble.populations):
        progress(at / len(ensemble.populations), f"measuring {name}")
        metrics, _ = group_tests(
            ensemble.correct(name), _groups(data, options), min_n=options["min_n"]
        )
        for metric in metrics.columns:
            found = mean_share_interval(metrics[metric].to_numpy())
            rows.append((name, metric, len(metrics), found.value, found.low, found.high))
    columns = ["population", "metric", "n_models", "accuracy", "low", "high"]
    return Answer(tables={"robustness": pd.DataFrame(rows, columns=columns)})


def tests(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """Accuracy of every model of one population on groups of examples, and disagreement there.

    Tables: ``metrics`` (M, 1 + Q), ``sizes`` as ``group_tests``, and ``disagreement`` with
    ``metric``, ``n``, ``disagreement`` (the mean over pairs of models) and ``low`` and ``high``,
    the pairs that agree most and least; NaN for one model.
    """
    ensemble, _ = labelled_in(data)
    name = options["population"]
    groups = _groups(data, options)
    metrics, sizes = group_tests(ensemble.correct(name), groups, min_n=options["min_n"])
    models = ensemble.populations[name]
    shares = []
    for metric in metrics.columns:
        own = models if metric == "iid" else models[:, groups[metric]]
        pairs = pair_disagreements(own) if len(models) > 1 else np.array([np.nan])
        shares.append((pairs.mean(), pairs.min(), pairs.max()))
    table = pd.DataFrame(shares, columns=["disagreement", "low", "high"])
    table = pd.DataFrame({"metric": metrics.columns, "n": sizes["n"]}).join(table)
    return Answer(tables={"metrics": metrics, "sizes": sizes, "disagreement": table})


def _groups(data: Evaluation, options: Mapping[str, Any]) -> dict[str, NDArray[np.bool_]]:
    """Each value of the chosen attributes, and each tag: {name: rows}."""
    groups = {}
    for name, values in chosen_in(data, options).items():
        texts = pd.Series(values, dtype=object)
        texts = texts.mask(texts.isna() | (texts == ""), "unknown").astype(str)
        codes, levels = pd.factorize(texts)
        for level in level_order(levels):
            groups[f"{name}={levels[level]}"] = codes == level
    for name, rows in options["tags"].items():
        held = np.zeros(len(data.losses), dtype=bool)
        held[rows] = True
        groups[f"tag {name}"] = held
    return groups


def components(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """Principal components of how the models of a population deviate from their mean.

    Of the scores that came with the bundle (population "", and ``models``, the rows meant: all
    when empty) or of right and wrong answers.

    Arrays: ``explained`` (k,), ``loadings`` (3 at most, e), ``scores`` (M, 3 at most).
    """
    if options["population"]:
        ensemble, _ = labelled_in(data)
        values: Any = ensemble.correct(options["population"]).astype(np.float64)
    elif data.scores is not None:
        values = data.scores[options["models"]] if options["models"] else data.scores
    else:
        raise InputError("the bundle has no scores of models on examples.")
    found = deviation_pca(values)
    return Answer(
        {
            "explained": found.explained,
            "loadings": found.loadings[:MOST_COMPONENTS],
            "scores": found.model_scores[:, :MOST_COMPONENTS],
        }
    )


def overlap(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """Which models fail on the same examples.

    At most 80 models, evenly from the chosen populations.

    Arrays: ``iou`` (m, m), ``n_failing`` (n,), how many of the models fail on each example.
    Tables: ``models`` (``population``, ``model`` counted from 1 within it, ``n_failed``) and
    ``families`` as ``family_overlap``.
    """
    ensemble, _ = labelled_in(data)
    chosen = options["populations"] or list(ensemble.populations)
    each = max(1, MOST_MODELS // len(chosen))
    failed, owners = [], []
    for name in chosen:
        wrong = ~ensemble.correct(name)[:each]
        failed.append(wrong)
        owners += [(name, at + 1) for at in range(len(wrong))]
    values = np.concatenate(failed)
    progress(0.3, f"comparing {len(values)} models")
    iou = failure_iou(values)
    models = pd.DataFrame(owners, columns=["population", "model"])
    models["n_failed"] = values.sum(1)
    return Answer(
        {"iou": iou, "n_failing": values.sum(0)},
        {"models": models, "families": family_overlap(iou, models["population"])},
    )


QUESTIONS: dict[str, Callable[[Evaluation, Mapping[str, Any], Progress], Answer]] = {
    "compare": compare,
    "classes": classes,
    "subgroups": subgroups,
    "representation": representation,
    "audit": served,
    "worst": worst,
    "thresholds": thresholds,
    "pairs": pairs,
    "shades": shades,
    "tests": tests,
    "robustness": robustness,
    "components": components,
    "overlap": overlap,
}
