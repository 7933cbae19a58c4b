"""What is known of some examples, as the questions of this room take it, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.populations.ensemble import Ensemble

OWN = "the bundle's predictions"
"""Stands for the bundle's own answers where a population could."""


@dataclass(frozen=True)
class Evaluation:
    """What is known of n examples.

    Attributes
    ----------
    ensemble : Ensemble or None
        Populations of models.
    labels, predictions : array of shape (n,) or None
        Names of the true classes, and of those one model predicts.
    losses : float array of shape (n,)
    attributes : {name: array of shape (n,)}
        Categories.
    scores : float array of shape (m, e) or None
        Scores of m models on e examples, for the principal components.
    chance_of : callable
        Name of a class -> the probability (n,) that the model gives to it, or None.
    pair_ids : array of shape (n,) or None
        Which examples are versions of one.
    """

    ensemble: Ensemble | None
    labels: NDArray[Any] | None
    predictions: NDArray[Any] | None
    losses: NDArray[np.float64]
    attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    scores: NDArray[Any] | None = None
    chance_of: Callable[[str], NDArray[np.float64] | None] = lambda name: None
    pair_ids: NDArray[Any] | None = None


@dataclass(frozen=True)
class Answer:
    """Arrays and tables by name."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def ensemble_in(data: Evaluation) -> Ensemble:
    """The populations; refused where there are none."""
    if data.ensemble is None:
        raise InputError("this needs populations of models: the bundle has none.")
    return data.ensemble


def labelled_in(data: Evaluation) -> tuple[Ensemble, NDArray[np.int32]]:
    """Populations and labels; refused where either is missing."""
    ensemble = ensemble_in(data)
    if ensemble.labels is None:
        raise InputError("this compares answers with true labels: the bundle has none.")
    return ensemble, ensemble.labels


def pair_in(
    ensemble: Ensemble, options: Mapping[str, Any]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Answers of the baseline and of the compressed population that the options name."""
    for role in ("baseline", "compressed"):
        if options[role] not in ensemble.populations:
            raise InputError(
                f"{role} must be one of {', '.join(map(repr, ensemble.populations))}: "
                f"got {options[role]!r}."
            )
    return ensemble.populations[options["baseline"]], ensemble.populations[options["compressed"]]


def chosen_in(data: Evaluation, options: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The attributes that the options name."""
    return {name: data.attributes[name] for name in options["attributes"]}


def one_model(
    data: Evaluation, options: Mapping[str, Any]
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Labels and predictions by name."""
    if options["source"] == OWN:
        return data.labels, data.predictions
    ensemble, truth = labelled_in(data)
    names = np.asarray(ensemble.names, dtype=object)
    models = ensemble.populations[options["source"]]
    return names[truth], names[models[int(options["model"])]]


def answered(data: Evaluation, options: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and predictions by name; refused where either is missing."""
    labels, predictions = one_model(data, options)
    if labels is None or predictions is None:
        raise InputError("this compares answers with true labels: the bundle lacks one of them.")
    return labels, predictions
