"""What is known of all examples, read once so that every group can be named from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.describe.naming.columns import Levels, Ranges
from backend.describe.naming.outcome import Classified
from backend.describe.naming.reading import ranges_of, read_sources, repeats
from backend.describe.naming.reference import Rows
from backend.describe.naming.saying import clean
from backend.describe.naming.spoken import Words, read_words
from backend.describe.naming.traits import Source


@dataclass(frozen=True, eq=False)
class Examples:
    """What is known of n examples.

    Attributes
    ----------
    n : int
    strata : int array of shape (n,), or None
        Codes of labels; missing ones have a code of their own.
    answers : Classified or None
        Labels and predicted classes.
    errors : float64 array of shape (n,), or None
        Target minus prediction, NaN where one is missing.
    sources : list
        Columns, and the length of texts.
    ranges : list of Ranges
        Those of predicted numbers and targets.
    words : Words or None
    texts, ids : object arrays of shape (n,), or None
    searched : int
        What could be said of columns and ranges, all together.
    """

    n: int
    strata: NDArray[np.int64] | None
    answers: Classified | None
    errors: NDArray[np.float64] | None
    sources: list[Source]
    ranges: list[Ranges]
    words: Words | None
    texts: NDArray[np.object_] | None
    ids: NDArray[np.object_] | None
    searched: int = field(init=False)

    def __post_init__(self) -> None:
        looked_at = sum(one.searched for one in (*self.sources, *self.ranges))
        object.__setattr__(self, "searched", max(1, looked_at))

    @classmethod
    def read(
        cls,
        rows: list[Rows],
        n: int,
        labels: Any,
        predictions: Any,
        targets: Any,
        losses: Any,
        columns: pd.DataFrame | None,
        texts: Any,
        ids: Any,
        classes: Sequence[Any] | None,
    ) -> Examples:
        errors: NDArray[np.float64] | None = None
        ranges: list[Ranges] = []
        if targets is not None:
            guesses = predictions if labels is None and _are_numbers(predictions) else None
            predictions = None if guesses is not None else predictions
            errors, ranges = _read_numbers(targets, guesses)
        answers, predicted, known = _read_answers(labels, predictions, classes)
        known += [*ranges, *_read_known(errors, losses)]
        sources = read_sources(columns, known) if columns is not None else []
        if labels is None and predicted is not None:
            sources.insert(0, predicted)
        said = None if texts is None else _objects(texts)
        marks = None if ids is None else _objects(ids)
        strata = None
        if answers is not None:
            strata = np.where(answers.labels < 0, len(answers.texts), answers.labels)
        words = None
        if said is not None and rows:
            length = ranges_of("text", _lengths(said), unit=" characters")
            if length is not None and not any(repeats(length, one) for one in sources):
                sources.append(length)
            words = read_words(said, rows, strata, marks)
        return cls(n, strata, answers, errors, sources, ranges, words, said, marks)


def _lengths(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Characters of each text, from a hundred on by tens."""
    lengths = np.array([len(one) if isinstance(one, str) else np.nan for one in texts])
    return np.where(lengths >= 100, np.round(lengths, -1), lengths)


def _series(values: Any) -> pd.Series:
    """As pandas reads it, texts untouched: those of its own kind hold no half of a pair of signs."""
    if isinstance(values, pd.Series):
        return values
    array = as_numpy(values)
    return pd.Series(array, dtype=object if array.dtype.kind in "OSU" else None)


def _objects(values: Any) -> NDArray[np.object_]:
    return pd.Series(values, dtype=object).to_numpy()


def _are_numbers(values: Any) -> bool:
    return values is not None and as_numpy(values).dtype.kind in "iuf"


def _read_numbers(
    targets: Any, predictions: Any
) -> tuple[NDArray[np.float64] | None, list[Ranges]]:
    """Errors, where there are predictions; ranges of predictions and targets."""
    true = _numbers(targets)
    if predictions is None:
        errors, found = None, [ranges_of("target", true)]
    else:
        guessed = _numbers(predictions)
        with np.errstate(over="ignore"):
            errors = _finite(true - guessed)
        found = [ranges_of("predicted", guessed), ranges_of("target", true)]
    return errors, [one for one in found if one is not None]


def _numbers(values: Any) -> NDArray[np.float64]:
    return _finite(_series(values).to_numpy(dtype=np.float64, na_value=np.nan))


def _finite(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _read_answers(
    labels: Any, predictions: Any, classes: Sequence[Any] | None
) -> tuple[Classified | None, Levels | None, list[Source]]:
    """Labels and predictions in common codes, predictions as a column, what columns may repeat."""
    codes: dict[str, int] = {}
    for one in classes or ():
        codes.setdefault(class_name(one), len(codes))
    true = None if labels is None else _coded(labels, codes)
    guessed = None if predictions is None else _coded(predictions, codes)
    texts = [clean(one) for one in codes]
    predicted = None if guessed is None else _seen("predicted", guessed, texts)
    known: list[Source] = [] if predicted is None else [predicted]
    if true is None:
        return None, predicted, known
    if guessed is not None:
        known.append(_seen("correct", (true == guessed).astype(np.int64), ["no", "yes"]))
        cells = np.where((true < 0) | (guessed < 0), -1, true * len(texts) + guessed)
        place, cells = np.unique(cells, return_inverse=True)
        known.append(
            _seen("cell", cells - (place[0] < 0), [str(cell) for cell in place if cell >= 0])
        )
    return Classified(true, guessed, texts, len(texts)), predicted, known


def _coded(values: Any, codes: dict[str, int]) -> NDArray[np.int64]:
    """Each value's place in ``codes``, which grows; -1 for a missing one."""
    own, found = pd.factorize(_series(values))
    names = [class_name(one) for one in found]
    # Sorted, so that codes do not depend on the order of rows.
    for name in sorted(name for name in names if name):
        codes.setdefault(name, len(codes))
    place = np.array([codes.get(name, -1) for name in names] + [-1], dtype=np.int64)
    return place[own]


def class_name(value: Any) -> str:
    """What tells a class from others: its name as it is, or its number."""
    return str(value) if isinstance(value, str | bool | np.bool_) else clean(value)


def _seen(name: str, codes: NDArray[np.int64], texts: list[str]) -> Levels:
    """A column of those classes that occur."""
    count = np.bincount(codes[codes >= 0], minlength=len(texts))
    seen = np.flatnonzero(count)
    place = np.full(len(texts) + 1, -1, dtype=np.int32)
    place[seen] = np.arange(len(seen))
    return Levels(name, place[codes], [texts[code] for code in seen], count[seen])


def _read_known(errors: NDArray[np.float64] | None, losses: Any) -> list[Ranges]:
    """Ranges of losses and errors, which columns may repeat."""
    numbers = [] if losses is None else [_numbers(losses)]
    if errors is not None:
        numbers += [errors, np.abs(errors)]
    found = [ranges_of("", one) for one in numbers]
    return [one for one in found if one is not None]
