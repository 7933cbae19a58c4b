"""What may be said of a group: levels of its columns, ranges of its numbers, words of its texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.describe.naming.reference import Mask, Reference, Rows
from backend.describe.naming.sayable import counts_ids, names_answers, names_ids, says_nothing
from backend.describe.naming.saying import clean, cut, said_range

LEVELS = 5_000
"""Distinct values beyond which a column of names is not read."""
BINS = 24
"""Parts, about equally full, that ranges of a column are put together from."""
PLAINLY, MOSTLY = 0.75, 0.5
"""Share of a group for which a thing is said without more, and with "mostly"; below with "often"."""
MORE_OVERALL = 0.05
"""What is said is more frequent in the group than among all examples by this much at least."""
NEARLY = 0.95
"""Ranges nearly as telling as the best one give way to those that say more of the group simply."""
BAR, MIN_LISTS, MAX_NAMES = "|", 0.1, 200
"""What parts the names in a value that lists several; share of values that do; names in all."""
MIN_FLAGS = 3
"""So many columns of 0 and 1 say yes and no; a single one may be a code."""
COPY = 0.98
"""A column in the same parts as another for this share of examples says the same."""


@dataclass(frozen=True, eq=False)
class Trait:
    """Something that is true of some examples, as it is said of one group. Made by ``measured``.

    Attributes
    ----------
    say : callable
        ``say(limit)`` with parts of that many characters at most; without "mostly".
    source : object
        Where it comes from: two traits of one source are not said together.
    reference : Reference
    share, base, overall : float
        Share of the members, of the rest of their labels, of all, for which it is true.
    telling : float
        Divergence in nats of ``share`` from ``base``: higher says more.
    searched : float
        How many such traits the source looked at for each of those it counts.
    plainly : bool
        Whether it is said without "mostly" and "often", for how many members it may be true.
    held, elsewhere : bool arrays
        For which members and for which of the rest it is true.
    among : callable
        ``among(rows)`` is the share of other rows for which it is true; NaN where none was read.
    """

    say: Callable[[int], str]
    source: Any
    reference: Reference = field(repr=False)
    share: float
    base: float
    overall: float
    telling: float
    searched: float
    plainly: bool
    held: Mask = field(repr=False)
    elsewhere: Mask = field(repr=False)
    among: Callable[[Rows], float] = field(repr=False)

    @cached_property
    def p(self) -> float:
        """How often as many members, or more, have it by chance."""
        return min(1.0, self.reference.p(self.held, self.elsewhere) * self.searched)

    def text(self, limit: int) -> str:
        """As it stands in a name, with "mostly" or "often" where it is not true of nearly all."""
        if self.plainly or self.share >= PLAINLY:
            return self.say(limit)
        return ("mostly " if self.share >= MOSTLY else "often ") + self.say(limit)


class Source(Protocol):
    """One column that traits are drawn from."""

    @property
    def searched(self) -> int:
        """Traits that could be said."""

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        """Those true of this share of the members, and of so much less of the rest."""


def telling(share: Any, base: Any, n_rest: int) -> NDArray[np.float64]:
    """Divergence ``g log(g/f) + (1-g) log((1-g)/(1-f))`` of shares in a group from those elsewhere.

    A share is taken from half an example more or less than all, so that it is finite. 0 where the
    group does not have more.
    """
    g = np.asarray(share, dtype=np.float64)
    f = (np.asarray(base, dtype=np.float64) * n_rest + 0.5) / (n_rest + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        some = np.where(g > 0, g * np.log(g / f), 0.0)
        none = np.where(g < 1, (1 - g) * np.log((1 - g) / (1 - f)), 0.0)
    return np.where(g > f, some + none, 0.0)


def measured(
    say: Callable[[int], str],
    source: Any,
    reference: Reference,
    holds: Callable[[Rows], Mask],
    overall: float,
    *,
    among: Callable[[Rows], float] | None = None,
    plainly: bool = False,
    searched: float = 1.0,
) -> Trait:
    """The trait that ``holds(rows)`` tells, measured for one group."""
    held, elsewhere = holds(reference.members), holds(reference.rest)
    share = float(held.mean())
    base = min(1.0, float(reference.weights[elsewhere].sum()))
    return Trait(
        say=say,
        source=source,
        reference=reference,
        share=share,
        base=base,
        overall=overall,
        telling=round(float(telling(share, base, len(reference.rest))), 9),
        searched=searched,
        plainly=plainly,
        held=held,
        elsewhere=elsewhere,
        among=among or (lambda rows: float(holds(rows).mean())),
    )


@dataclass(frozen=True, eq=False)
class Levels:
    """A column of names. ``codes`` (n,) index ``texts``, -1 where there is no value.

    Levels of empty text are never said.
    """

    name: str
    codes: NDArray[np.integer[Any]] = field(repr=False)
    texts: list[str] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)

    @property
    def searched(self) -> int:
        return len(self.texts)

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        shares, bases = reference.shares(self.codes, self.count)
        for code in _worth(shares, bases, least, lead):
            if self.texts[code]:
                yield self._trait(code, reference)

    def _trait(self, code: int, reference: Reference) -> Trait:
        name, level = self.name, self.texts[code]
        return measured(
            lambda limit: f"{cut(name, limit)} {cut(level, limit)}",
            self,
            reference,
            lambda rows: self.codes[rows] == code,
            float(self.count[code] / len(self.codes)),
        )


@dataclass(frozen=True, eq=False)
class Sets:
    """A column whose values are several names each: "Drama|Romance".

    ``codes`` (n,) index values, -1 where there is none; ``within[i, j]`` says whether value ``j``
    holds the name ``texts[i]``.
    """

    name: str
    codes: NDArray[np.integer[Any]] = field(repr=False)
    texts: list[str] = field(repr=False)
    within: NDArray[np.bool_] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)

    @property
    def searched(self) -> int:
        return len(self.texts)

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        shares, bases = reference.shares(self.codes, self.count)
        for at in _worth(self.within @ shares, self.within @ bases, least, lead):
            yield self._trait(at, reference)

    def _trait(self, at: int, reference: Reference) -> Trait:
        name, text = self.name, self.texts[at]
        holds = np.append(self.within[at], False)  # the last stands for no value
        return measured(
            lambda limit: f"{cut(name, limit)} {cut(text, limit)}",
            self,
            reference,
            lambda rows: holds[self.codes[rows]],
            float(self.within[at] @ self.count / len(self.codes)),
        )


@dataclass(frozen=True, eq=False)
class Ranges:
    """A column of numbers in parts that hold about as many examples each, lowest first.

    ``codes`` (n,) are parts, -1 where there is no number. Values of part i lie from ``lows[i]`` to
    ``highs[i]``. ``few`` says that the parts are single values.
    """

    name: str
    unit: str
    codes: NDArray[np.integer[Any]] = field(repr=False)
    lows: NDArray[np.float64] = field(repr=False)
    highs: NDArray[np.float64] = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)

    @property
    def searched(self) -> int:
        return len(self.lows) * (len(self.lows) + 1) // 2 - 1

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        parts = len(self.lows)
        if parts < 2 or not len(reference.rest):
            return
        group, base = reference.shares(self.codes, self.count)
        start, end = _spans(parts)
        shares, bases = _between(group, start, end), np.minimum(_between(base, start, end), 1.0)
        scores = np.round(telling(shares, bases, len(reference.rest)), 9)
        scores[(shares < least - 1e-9) | (shares - bases < lead - 1e-9)] = 0.0
        best = float(scores.max(initial=0.0))
        if best <= 0:
            return
        near = np.flatnonzero(scores >= NEARLY * best)
        inner = (start[near] > 0) & (end[near] < parts - 1) & (start[near] < end[near])
        order = np.lexsort((end[near], start[near], -np.round(shares[near], 9), inner))
        at = near[order[0]]
        yield self._trait(int(start[at]), int(end[at]), reference)

    def _trait(self, start: int, end: int, reference: Reference) -> Trait:
        said = self.said(start, end)
        name, codes = self.name, self.codes
        return measured(
            lambda limit: f"{cut(name, limit)} {said}",
            self,
            reference,
            lambda rows: (codes[rows] >= start) & (codes[rows] <= end),
            float(self.count[start : end + 1].sum() / len(codes)),
        )

    def said(self, start: int, end: int) -> str:
        """The range of these parts in the units of the column."""
        text = said_range(
            float(self.lows[start]),
            float(self.highs[end]),
            first=start == 0 and end > 0,
            last=end == len(self.lows) - 1 and start < end,
            spread=float(self.highs[-1] - self.lows[0]),
        )
        return text + self.unit


@lru_cache
def _spans(parts: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and last part of every range of them, but not of all."""
    start, end = np.triu_indices(parts)
    whole = (start == 0) & (end == parts - 1)
    return start[~whole], end[~whole]


def _worth(
    shares: NDArray[np.float64], bases: NDArray[np.float64], least: float, lead: float
) -> list[int]:
    return np.flatnonzero((shares >= least - 1e-9) & (shares - bases >= lead - 1e-9)).tolist()


def _between(parts: Any, start: Any, end: Any) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(parts)])
    return np.asarray(sums[end + 1] - sums[start])


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
        name, unit, codes, edges, highs, np.bincount(codes[present], minlength=len(edges))
    )


def levels_of(name: str, values: Any) -> Levels | Sets | None:
    """A column of names; None where they are ids, too many, the same for all, or cannot be read."""
    column = values if isinstance(values, pd.Series) else pd.Series(values)
    try:
        codes, found = pd.factorize(column)
    except TypeError:  # cells that cannot be told apart, such as lists
        return None
    count = np.bincount(codes[codes >= 0], minlength=len(found))
    if len(found) < 2 and count.sum() == len(codes):
        return None
    if len(found) > max(LEVELS, 2) and not pd.api.types.is_bool_dtype(column):
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
    if pd.api.types.is_object_dtype(column):
        column = column.infer_objects()
    kinds = pd.api.types
    if kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column):
        if kinds.is_complex_dtype(column):
            return None
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return ranges_of(name, numbers, measures=False)
    return levels_of(name, column)


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
