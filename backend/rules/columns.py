"""The columns of a bundle as rules name and read them."""

from __future__ import annotations

import heapq
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
TRUE_FALSE = ("true", "false")
TEXT_STEPS, SCORE_STEPS = 300, 200
"""What reading a text cell, or working out a score of an example, takes beside comparing a number."""


@dataclass(frozen=True)
class LaterColumn:
    """A column that was not read yet.

    Attributes
    ----------
    kind : str
        ``number``, ``truth`` or ``text``.
    make : callable
        Gives the values (n,).
    steps : int
        What that takes for each example, as many comparisons of a number.
    """

    kind: str
    make: Callable[[], NDArray[Any]] = field(repr=False)
    steps: int = 1


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
        codes, values = pd.factorize(self.values[self.known])
        counts, names = np.bincount(codes, minlength=len(values)), [str(one) for one in values]
        chosen = heapq.nsmallest(most, range(len(names)), key=lambda at: (-counts[at], names[at]))
        return {names[at]: int(counts[at]) for at in chosen}


def columns_of(bundle: Bundle) -> dict[str, str]:
    """Names that a rule on this bundle can use, each with its kind: number, truth or text.

    The bundle's own ``label``, ``prediction``, ``correct``, ``loss``, ``target`` and ``id`` as far
    as they are given, ``text``, then the attributes under their ``attribute_name``, then
    the scores of difficulty (``backend.scores``). No column is read or worked out for it.
    """
    return {name: source.kind for name, source in columns_by_name(bundle).items()}


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
    return Column.of(columns[name].make())


def attribute_name(bundle: Bundle, name: str) -> str:
    """What rules call an attribute: ``label (attribute)`` where the bundle has a label of its own."""
    return f"{name} (attribute)" if name in _own_columns(bundle) else name


def columns_by_name(bundle: Bundle) -> dict[str, LaterColumn]:
    """Every column by name, made when it is asked for."""
    attributes = {
        attribute_name(bundle, name): _cells(bundle.examples[name]) for name in bundle.attributes
    }
    return _own_columns(bundle) | attributes | _score_columns(bundle)


def _score_columns(bundle: Bundle) -> dict[str, LaterColumn]:
    """Scores of difficulty, and who is a PIE."""
    found = {
        name: LaterColumn("number", partial(score_values, bundle, name), SCORE_STEPS)
        for name in known_scores(bundle)
        if name != "loss"
    }
    pies = pie_columns(bundle)
    return found | {name: LaterColumn("truth", make, SCORE_STEPS) for name, make in pies.items()}


def _own_columns(bundle: Bundle) -> dict[str, LaterColumn]:
    """What a bundle has beside its attributes."""
    made: dict[str, LaterColumn] = {}
    if bundle.labels is not None:
        named = bundle.class_names is not None and bundle.label_codes is not None
        made["label"] = _labels(bundle.labels, lambda: bundle.label_names, named=named)
    if bundle.predictions is not None:
        named = bundle.class_names is not None and bundle.prediction_codes is not None
        made["prediction"] = _labels(
            bundle.predictions, lambda: bundle.prediction_names, named=named
        )
    if bundle.correct is not None:
        made["correct"] = LaterColumn("truth", lambda: np.asarray(bundle.correct))
    made["loss"] = LaterColumn("number", lambda: bundle.losses)
    if bundle.targets is not None:
        made["target"] = LaterColumn(_kind(bundle.targets), lambda: np.asarray(bundle.targets))
    made["id"] = _cells(bundle.examples["id"])
    if bundle.has_text:
        made["text"] = _cells(bundle.examples["text"])
    return made


def _kind(values: Any) -> str:
    return _KINDS.get(values.dtype.kind, "text")


def _labels(values: Any, names: Callable[[], Any], *, named: bool) -> LaterColumn:
    """Labels by their class names; the numbers themselves for a regression."""
    if named:
        return LaterColumn("text", names)
    return LaterColumn(_kind(values), lambda: np.asarray(values))


def _cells(column: pd.Series) -> LaterColumn:
    kind = "text"
    if pd.api.types.is_bool_dtype(column.dtype):
        kind = "truth"
    elif pd.api.types.is_numeric_dtype(column.dtype):
        kind = "number"
    values = partial(_text_cells if kind == "text" else pd.Series.to_numpy, column)
    return LaterColumn(kind, values, TEXT_STEPS if kind == "text" else 1)


def _text_cells(column: pd.Series) -> NDArray[Any]:
    filled = column.astype(object).where(column.notna(), "")
    return np.array([str(value) for value in filled], dtype=object)
