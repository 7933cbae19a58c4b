"""Questions about how one or more models serve groups, asked by name as those of ``answers`` are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.populations.evaluation import (
    OWN,
    Answer,
    Evaluation,
    answered,
    chosen_in,
    one_model,
)
from backend.populations.rates.pairs import counterfactual_pairs
from backend.populations.rates.shades import shades_table
from backend.populations.rates.thresholds import score_quality, threshold_curves
from backend.populations.rates.worst import group_accuracies


def worst(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """Worst-group and balanced accuracy over label x the chosen attributes and tags.

    ``options["tags"]`` are rows by tag; each tag is an attribute of two values.

    Tables: ``groups`` of ``group_accuracies``; ``told`` with ``what`` ("worst", "held out",
    "balanced", "overall"), ``group``, ``n``, ``accuracy``, ``low`` and ``high``.
    """
    labels, predictions = answered(data, options)
    held = dict(chosen_in(data, options))
    for name, rows in options.get("tags", {}).items():
        carried = np.zeros(len(labels), dtype=bool)
        carried[rows] = True
        held[f"tag {name}"] = np.where(carried, "yes", "no")
    found = group_accuracies(labels, predictions, held, min_n=options["min_n"])
    told = [
        ("worst", found.worst_group, found.worst_n, found.worst),
        ("held out", found.held_out_group, found.held_out_n, found.held_out),
        ("balanced", "", len(found.table), found.balanced),
        ("overall", "", len(labels), found.overall),
    ]
    rows = [(*row, one.value, one.low, one.high) for *row, one in told]
    columns = ["what", "group", "n", "accuracy", "low", "high"]
    return Answer(tables={"groups": found.table, "told": pd.DataFrame(rows, columns=columns)})


def thresholds(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """A positive class by its probability: ``quality`` and ``curves`` of each group.

    As ``score_quality`` and ``threshold_curves``.
    """
    chances = data.chance_of(options["positive"])
    if chances is None or data.labels is None:
        raise InputError("thresholds need labels and the probability of the positive class.")
    positives = np.asarray(data.labels == options["positive"], dtype=bool)
    held = chosen_in(data, options)
    order, min_n = options["order"], options["min_n"]
    progress(0.1, "ranking every group")
    quality = score_quality(chances, positives, held, order=order, min_n=min_n)
    progress(0.7, "drawing the curves")
    return Answer(
        tables={
            "quality": quality,
            "curves": threshold_curves(chances, positives, held, order=order),
        }
    )


def pairs(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """``counterfactual_pairs`` of the examples that share an id, by one attribute, as ``pairs``."""
    if data.pair_ids is None:
        raise InputError("counterfactual pairs need a column pair_id.")
    _, predictions = one_model(data, options)
    if predictions is None:
        raise InputError("counterfactual pairs need predictions.")
    [(_, values)] = chosen_in(data, options).items()
    table = counterfactual_pairs(
        data.pair_ids,
        values,
        predictions,
        positive=options["positive"],
        scores=data.chance_of(options["positive"]) if options["source"] == OWN else None,
    )
    return Answer(tables={"pairs": table})


def shades(data: Evaluation, options: Mapping[str, Any], progress: Progress) -> Answer:
    """``shades_table`` of the bundle's predictions and of every population, as ``shades``."""
    if data.labels is None:
        raise InputError("rates of classifiers need labels: the bundle has none.")
    classifiers: dict[str, Any] = {} if data.predictions is None else {OWN: data.predictions}
    labels = data.labels
    if data.ensemble is not None and data.ensemble.labels is not None:
        names = np.asarray(data.ensemble.names, dtype=object)
        labels = names[data.ensemble.labels]
        for name, models in data.ensemble.populations.items():
            classifiers[name] = names[models]
    table = shades_table(
        labels,
        classifiers,
        chosen_in(data, options),
        positive=None if options["mode"] == "target" else options["positive"],
        order=options["order"],
    )
    return Answer(tables={"shades": table})
