"""The columns of a bundle as rules name and read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.rules.parser import unknown_column
from backend.rules.syntax import RuleError
from backend.scores import known_scores, pie_columns, score_values

_KINDS = {"b": "truth", "i": "number", "u": "number", "f": "number"}


@dataclass(frozen=True)
class Column:
    """One column: ``kind`` is ``number``, ``truth`` or ``text``; ``known`` (n,) where it has a value."""

    kind: str
    values: NDArray[Any] = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def of(cls, values: NDArray[Any]) -> Column:
        """Values (n,) with those that are missing marked: NaN, and the empty text."""
        kind = _kind(values)
        known = np.ones(len(values), dtype=bool)
        if kind == "number":
            known = ~np.isnan(values)
        elif kind == "text":
            known = values != ""
        return cls(kind, values, known)

    def extent(self) -> tuple[float, float] | None:
        """The lowest and the highest finite number; None where there is none, or for another kind."""
        if self.kind != "number":
            return None
        numbers = self.values[self.known & np.isfinite(self.values)]
        return (float(numbers.min()), float(numbers.max())) if len(numbers) else None

    def frequent(self, most: int) -> dict[str, int]:
        """The most frequent values as text, each with how many examples have it; ties by text."""
        values, counts = np.unique(self.values[self.known].astype(str), return_counts=True)
        order = np.argsort(-counts, kind="stable")[:most]
        return {str(values[at]): int(counts[at]) for at in order}


def columns_of(bundle: Bundle) -> dict[str, str]:
    """Names that a rule on this bundle can use, each with its kind: number, truth or text.

    The bundle's own ``label``, ``prediction``, ``correct``, ``loss``, ``target`` and ``id`` as far
    as they are given, ``text``, then the attributes under their ``attribute_name``, then
    the scores of difficulty (``backend.scores``), which are not worked out for it.
    """
    kinds = {name: _kind(make()) for name, make in _given_columns(bundle).items()}
    return kinds | {name: kind for name, (kind, _) in _score_columns(bundle).items()}


def read_column(bundle: Bundle, name: str) -> Column:
    """The values of one column as rules see them.

    Raises
    ------
    RuleError
        If the bundle has no column of this name.
    """
    columns = columns_by_name(bundle)
    if name not in columns:
        raise RuleError(unknown_column(name, columns), columns=columns)
    return Column.of(columns[name]())


def attribute_name(bundle: Bundle, name: str) -> str:
    """What rules call an attribute: ``label (attribute)`` where the bundle has a label of its own."""
    return f"{name} (attribute)" if name in _own_columns(bundle) else name


def columns_by_name(bundle: Bundle) -> dict[str, Callable[[], NDArray[Any]]]:
    """Every column by name, made when it is asked for."""
    scores = {name: make for name, (_, make) in _score_columns(bundle).items()}
    return _given_columns(bundle) | scores


def _given_columns(bundle: Bundle) -> dict[str, Callable[[], NDArray[Any]]]:
    made = _own_columns(bundle)
    attributes = {
        attribute_name(bundle, name): partial(_column_values, bundle.examples[name])
        for name in bundle.attributes
    }
    return made | attributes


def _score_columns(bundle: Bundle) -> dict[str, tuple[str, Callable[[], NDArray[Any]]]]:
    """Scores of difficulty, and who is a PIE: name -> (kind, what makes it)."""
    found: dict[str, tuple[str, Callable[[], NDArray[Any]]]] = {
        name: ("number", partial(score_values, bundle, name))
        for name in known_scores(bundle)
        if name != "loss"
    }
    return found | {name: ("truth", make) for name, make in pie_columns(bundle).items()}


def _own_columns(bundle: Bundle) -> dict[str, Callable[[], NDArray[Any]]]:
    """What a bundle has beside its attributes."""
    made: dict[str, Callable[[], NDArray[Any]]] = {}
    if bundle.labels is not None:
        made["label"] = lambda: _named(bundle.labels, bundle.label_names)
    if bundle.predictions is not None:
        made["prediction"] = lambda: _named(bundle.predictions, bundle.prediction_names)
    if bundle.correct is not None:
        made["correct"] = lambda: np.asarray(bundle.correct)
    made["loss"] = lambda: bundle.losses
    if bundle.targets is not None:
        made["target"] = lambda: np.asarray(bundle.targets)
    made["id"] = lambda: _column_values(bundle.examples["id"])
    if bundle.has_text:
        made["text"] = lambda: _column_values(bundle.examples["text"])
    return made


def _kind(values: NDArray[Any]) -> str:
    return _KINDS.get(values.dtype.kind, "text")


def _named(values: Any, names: NDArray[np.object_] | None) -> NDArray[Any]:
    """Labels by their class names; the numbers themselves for a regression."""
    return np.asarray(values) if names is None else names


def _column_values(column: pd.Series) -> NDArray[Any]:
    values = column.to_numpy()
    if values.dtype.kind in "biuf":
        return np.asarray(values)
    filled = column.astype(object).where(column.notna(), "")
    return np.array([str(value) for value in filled], dtype=object)
