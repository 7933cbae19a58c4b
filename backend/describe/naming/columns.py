"""Columns that groups are described by: names, lists of names, and numbers in ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.describe.naming.reference import Reference
from backend.describe.naming.saying import cut, said_range
from backend.describe.naming.traits import Trait, measured, telling

NEARLY = 0.95
"""Ranges nearly as telling as the best one give way to those that say more of the group simply."""

WIDEST, NEARLY_ALL = 0.5, 0.8
"""A range that holds more than so much of a group's labels, or of all examples, says nothing."""


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
    ``highs[i]``.
    """

    name: str
    unit: str
    numbers: NDArray[np.float64] = field(repr=False)
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
        scores = np.round(telling(shares, bases), 9)
        everywhere = _between(self.count, start, end) / len(self.codes)
        single = (start == end) & (self.lows[start] == self.highs[end])
        wide = ~single & ((bases > WIDEST) | (everywhere > NEARLY_ALL))
        scores[wide | (shares < least - 1e-9) | (shares - bases < lead - 1e-9)] = 0.0
        best = float(scores.max(initial=0.0))
        if best <= 0:
            return
        near = np.flatnonzero(scores >= NEARLY * best)
        inner = (start[near] > 0) & (end[near] < parts - 1) & (start[near] < end[near])
        order = np.lexsort((end[near], start[near], -np.round(shares[near], 9), inner))
        at = near[order[0]]
        yield self._trait(int(start[at]), int(end[at]), reference)

    def _trait(self, start: int, end: int, reference: Reference) -> Trait:
        name, codes = self.name, self.codes
        own = codes[reference.members]
        inside = self.numbers[reference.members[(own >= start) & (own <= end)]]
        said = self._said(start, end, float(inside.min()), float(inside.max()))
        return measured(
            lambda limit: f"{cut(name, limit)} {said}",
            self,
            reference,
            lambda rows: (codes[rows] >= start) & (codes[rows] <= end),
            float(self.count[start : end + 1].sum() / len(codes)),
        )

    def _said(self, start: int, end: int, low: float, high: float) -> str:
        """These parts in the units of the column, as far as a group's values in them go."""
        single = self.lows[start] == self.highs[end]
        text = said_range(
            low,
            high,
            first=start == 0 and not single,
            last=end == len(self.lows) - 1 and not single,
            spread=float(self.highs[-1]) - float(self.lows[0]),
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
