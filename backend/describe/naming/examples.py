"""What is known of all examples, read once so that every group can be named from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.describe.naming.outcome import Classified, Measures
from backend.describe.naming.reference import Rows
from backend.describe.naming.saying import clean
from backend.describe.naming.spoken import Words, read_words
from backend.describe.naming.traits import (
    Levels,
    Ranges,
    Source,
    ranges_of,
    read_sources,
    repeats,
)


@dataclass(frozen=True, eq=False)
class Examples:
    """What is known of n examples.

    Attributes
    ----------
    n : int
    strata : int array of shape (n,), or None
        Codes of labels; missing ones have a code of their own.
    answers, measures
        Labels and predicted classes; targets and predicted numbers.
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
    measures: Measures
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
        measures = Measures(None, None)
        ranges: list[Ranges] = []
        if targets is not None:
            guesses = predictions if labels is None and _are_numbers(predictions) else None
            predictions = None if guesses is not None else predictions
            measures, ranges = _read_measures(targets, guesses)
        answers, predicted, known = _read_answers(labels, predictions, classes)
        known += [*ranges, *_read_known(measures, losses)]
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
        return cls(n, strata, answers, measures, sources, ranges, words, said, marks)


def _lengths(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Characters of each text, from a hundred on by tens."""
    lengths = np.array([len(one) if isinstance(one, str) else np.nan for one in texts])
    return np.where(lengths >= 100, np.round(lengths, -1), lengths)


def _objects(values: Any) -> NDArray[np.object_]:
    return pd.Series(values, dtype=object).to_numpy()


def _are_numbers(values: Any) -> bool:
    return values is not None and as_numpy(values).dtype.kind in "iuf"


def _read_measures(targets: Any, predictions: Any) -> tuple[Measures, list[Ranges]]:
    true = _numbers(targets)
    guessed = None if predictions is None else _numbers(predictions)
    ranges = [None if guessed is None else ranges_of("predicted", guessed)]
    ranges.append(ranges_of("target", true))
    return Measures(true, guessed), [one for one in ranges if one is not None]


def _numbers(values: Any) -> NDArray[np.float64]:
    return pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)


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
    return Classified(true, guessed, texts, len(texts)), predicted, known


def _coded(values: Any, codes: dict[str, int]) -> NDArray[np.int64]:
    """Each value's place in ``codes``, which grows; -1 for a missing one."""
    own, found = pd.factorize(pd.Series(values))
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


def _read_known(measures: Measures, losses: Any) -> list[Ranges]:
    """Ranges of losses and errors, which columns may repeat."""
    numbers = [] if losses is None else [_numbers(losses)]
    if measures.targets is not None and measures.predictions is not None:
        error = measures.targets - measures.predictions
        numbers += [error, np.abs(error)]
    found = [ranges_of("", one) for one in numbers]
    return [one for one in found if one is not None]
