"""Reading the columns of a table as names or numbers, without ids and copies of what is known."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.describe.naming.columns import Levels, Ranges, Sets
from backend.describe.naming.sayable import counts_ids, names_answers, names_ids, says_nothing
from backend.describe.naming.saying import clean
from backend.describe.naming.traits import Source

LEVELS = 5_000
"""Distinct values beyond which a column of names is not read."""
BINS = 24
"""Parts, about equally full, that ranges of a column are put together from."""
BAR, MIN_LISTS, MAX_NAMES = "|", 0.1, 200
"""What parts the names in a value that lists several; share of values that do; names in all."""
MIN_FLAGS = 3
"""So many columns of 0 and 1 say yes and no; a single one may be a code."""
COPY = 0.98
"""A column in the same parts as another for this share of examples says the same."""

_NUMBERS = ("integer", "floating", "mixed-integer-float")


def ranges_of(
    name: str, numbers: NDArray[np.float64], *, unit: str = "", measures: bool = True
) -> Ranges | None:
    """A column of numbers; None where it does not vary or, unless it ``measures``, holds ids."""
    present = np.isfinite(numbers)
    known = numbers if present.all() else numbers[present]
    ordered = np.sort(known)
    if not len(ordered) or ordered[0] == ordered[-1]:
        return None
    distinct = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    if not measures and counts_ids(name, distinct, len(ordered)):
        return None
    if len(distinct) <= BINS:
        edges = distinct
    else:
        places = np.arange(BINS) * len(ordered) // BINS
        edges = np.unique(ordered[places])
    codes = np.full(len(numbers), -1, dtype=np.int32)
    codes[present] = np.searchsorted(edges, known, side="right") - 1
    ends = np.searchsorted(ordered, edges[1:], side="left") - 1
    highs = np.append(ordered[ends], ordered[-1])
    return Ranges(
        name, unit, numbers, codes, edges, highs, np.bincount(codes[present], minlength=len(edges))
    )


def levels_of(name: str, column: pd.Series) -> Levels | Sets | None:
    """A column of names; None where they are ids, too many, the same for all, or cannot be read."""
    try:
        codes, found = pd.factorize(column)
    except TypeError:  # cells that cannot be told apart, such as lists
        return None
    count = np.bincount(codes[codes >= 0], minlength=len(found))
    if len(found) > LEVELS or (len(found) < 2 and count.sum() == len(codes)):
        return None
    texts = [clean(level) for level in found]
    several = _sets_of(name, codes.astype(np.int32), texts, count)
    if several is not None:
        return several
    said = [text for text in texts if not says_nothing(text)]
    if not said or names_ids(name, said, int(count.sum())):
        return None
    texts = ["" if says_nothing(text) else text for text in texts]
    return Levels(name, codes.astype(np.int32), texts, count)


def _sets_of(
    name: str, codes: NDArray[np.int32], texts: list[str], count: NDArray[np.int64]
) -> Sets | None:
    """The names that values list, where there are fewer of them than values."""
    if sum(BAR in text for text in texts) < MIN_LISTS * len(texts):
        return None
    listed = [{part for one in text.split(BAR) if (part := one.strip())} for text in texts]
    names = sorted({part for parts in listed for part in parts if not says_nothing(part)})
    if not names or len(names) >= len(texts) or len(names) > MAX_NAMES:
        return None
    if names_ids(name, names, int(count.sum())):
        return None
    within = np.array([[part in parts for parts in listed] for part in names], dtype=bool)
    return Sets(name, codes, names, within, count)


def read_sources(columns: pd.DataFrame, known: Iterable[Source]) -> list[Source]:
    """The columns traits are drawn from, without ids and without copies of what is ``known``.

    ``known`` are label, prediction, target, loss and the like.
    """
    taken = list(known)
    read: list[Source] = []
    for place, given in enumerate(columns.columns):
        name, column = clean(given), columns.iloc[:, place]
        if not name or name.lower() in ("id", "text", "image"):
            continue
        source = _read(name, column)
        if source is not None and not any(repeats(source, one) for one in taken):
            read.append(source)
    flags = [isinstance(one, Ranges) and one.lows.tolist() == [0, 1] for one in read]
    if sum(flags) < MIN_FLAGS:
        return read
    return [_flag(one) if flag else one for one, flag in zip(read, flags, strict=True)]


def _flag(column: Source) -> Source:
    """A column of 0 and 1 as one of no and yes."""
    if not isinstance(column, Ranges):
        return column
    return Levels(column.name, column.codes, [clean(False), clean(True)], column.count)


def _read(name: str, column: pd.Series) -> Source | None:
    kinds = pd.api.types
    if kinds.is_object_dtype(column) and kinds.infer_dtype(column) in _NUMBERS:
        with suppress(OverflowError):  # whole numbers beyond all bounds are names
            column = column.astype(np.float64)
    if not kinds.is_numeric_dtype(column) or kinds.is_bool_dtype(column):
        return levels_of(name, column)
    if kinds.is_complex_dtype(column):
        return None
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return ranges_of(name, numbers, measures=False)


def repeats(source: Source, known: Source) -> bool:
    """Whether two columns part the examples alike, so that one says what the other does."""
    if isinstance(source, Ranges) and isinstance(known, Ranges):
        if len(source.lows) != len(known.lows):
            return False
        same = float((source.codes == known.codes).mean())
        turned = float((source.codes == len(known.lows) - 1 - known.codes).mean())
        return max(same, turned) >= COPY
    if isinstance(source, Levels) and isinstance(known, Levels):
        if len(source.texts) != len(known.texts) or len(known.texts) < 2:
            return False
        if len(known.texts) == 2 and not (
            names_answers(source.name) or set(source.texts) == set(known.texts)
        ):
            return False  # two halves may well be the same two halves by what examples are
        pairs = np.unique(source.codes.astype(np.int64) * (len(known.texts) + 1) + known.codes)
        return len(pairs) == len(known.texts)
    return False
