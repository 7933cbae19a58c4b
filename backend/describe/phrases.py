"""A few words for a group: the facts that most of its members share and others do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.describe.attributes import (
    attribute_columns,
    attribute_levels,
    is_numeric,
)
from backend.describe.bins import bin_labels
from backend.describe.shares import check_weights, effective_size, factorize

MIN_SHARE = 0.5
"""A phrase holds for at least this share of the group."""
MIN_LEAD = 0.2
"""... and for this much more of the group than of everybody."""
MAX_CHANCE = 0.01
"""... and a group drawn at random would show any such fact at most this often."""
MIN_GAIN = 1.1
"""One more fact must make the phrase this much more telling."""


MIN_PART = 0.2
"""Of two classes said together ("label Shirt or Coat"), each holds this share of the group."""


@dataclass(frozen=True)
class FactColumn:
    """One column as facts are drawn from it.

    ``codes`` (n,) index ``levels``; ``texts`` is how each level is said. ``pairs`` allows two
    levels to be said together. ``name`` is the column's.
    """

    name: str
    codes: NDArray[np.intp]
    levels: NDArray[np.object_]
    texts: list[str]
    pairs: bool

    @property
    def searched(self) -> int:
        """Facts that could have been said."""
        n = len(self.levels)
        return n + n * (n - 1) // 2 if self.pairs else n


@dataclass(frozen=True)
class Fact:
    """Something that is true of some examples: a value of one column, or either of two.

    ``place`` is the column's, ``holds`` (n,) says for whom it is true.
    """

    text: str
    place: int
    column: str
    value: Any
    holds: NDArray[np.bool_]


def describe_group(
    weights: Any,
    *,
    labels: Any = None,
    predictions: Any = None,
    examples: pd.DataFrame | None = None,
    max_facts: int = 3,
) -> str:
    """A short phrase for a group, such as ``"label Shirt, predicted Coat, high width"``.

    Starting with the most telling single fact, facts are joined while the phrase becomes more
    telling. What is said then holds, all of it at once, for at least half of the group, for at
    least 20 points more of the group than of everybody, and by more than chance. A phrase is as
    telling as the divergence ``g log(g/f) + (1-g) log((1-g)/(1-f))`` of its share in the group
    ``g`` from its share in all ``f``; a random group of ``k`` examples reaches that share with
    probability ``exp(-k divergence)`` or less (Chernoff; ``k`` is the effective size of the
    weights), and this times the number of phrases of that length must not exceed 0.01.

    Parameters
    ----------
    weights : array of shape (n,)
        Membership, not negative. The members of a region as 0 and 1 describe it more sharply than
        its soft weights.
    labels, predictions : array-like of shape (n,), optional
        Class names (or numbers), said as "label Shirt" and "predicted Coat"; or two at once,
        "label Shirt or Coat", when each is a fifth of the group or more.
    examples : DataFrame of n rows, optional
        Its columns other than ``id``, ``text`` and ``image`` are facts too: "season winter". Of a
        measurement the lowest and highest quarter are said as "low width" and "high width", the
        others by their borders.
    max_facts : int
        Facts joined at most; 1 or more.

    Returns
    -------
    str
        Label, then prediction, then attributes in column order; empty when nothing stands out.
        Ties go to the earlier column, then to one value before two, then to the value that is
        more frequent in the group, then to the one that appears first.

    Raises
    ------
    InputError
        If lengths differ, weights are negative or sum to zero, or there is nothing to describe by.
    """
    table = describe_facts(
        weights,
        labels=labels,
        predictions=predictions,
        examples=examples,
        max_facts=max_facts,
    )
    return ", ".join(table["fact"])


def describe_facts(
    weights: Any,
    *,
    labels: Any = None,
    predictions: Any = None,
    examples: pd.DataFrame | None = None,
    max_facts: int = 3,
) -> pd.DataFrame:
    """The facts ``describe_group`` joins, with the numbers behind them.

    Returns
    -------
    DataFrame
        One row per fact, in the order in which it is said: ``fact`` (its text), ``column``,
        ``value``, ``group_share`` and ``base_share`` of that fact alone, in [0, 1], ``count``
        (examples of all). ``attrs`` holds the same three for all facts at once. No row when
        nothing stands out.
    """
    if max_facts < 1:
        raise InputError(f"max_facts must be 1 or more: got {max_facts}.")
    weights = as_numpy(weights)
    shares = check_weights(weights, weights.size)
    columns = fact_columns(labels, predictions, examples, len(shares))
    if not columns:
        raise InputError("a group needs labels, predictions or examples to be described by.")
    facts = [fact for place, column in enumerate(columns) for fact in _facts(column, place, shares)]
    searched = sum(column.searched for column in columns)
    chosen, holds = _join(facts, searched, shares, max_facts)
    table = pd.DataFrame(
        [
            {
                "fact": fact.text,
                "column": fact.column,
                "value": fact.value,
                "group_share": float(shares[fact.holds].sum()),
                "base_share": float(fact.holds.mean()),
                "count": int(fact.holds.sum()),
            }
            for fact in sorted(chosen, key=lambda fact: fact.place)
        ],
        columns=["fact", "column", "value", "group_share", "base_share", "count"],
    )
    table.attrs = {
        "group_share": float(shares[holds].sum()),
        "base_share": float(holds.mean()),
        "count": int(holds.sum()),
    }
    return table


def _join(
    facts: list[Fact], searched: int, shares: NDArray[np.float64], max_facts: int
) -> tuple[list[Fact], NDArray[np.bool_]]:
    """Facts of the most telling phrase found greedily, and for whom all of them hold."""
    size = effective_size(shares)
    chosen: list[Fact] = []
    holds = np.ones(len(shares), dtype=bool)
    best = 0.0
    while len(chosen) < max_facts:
        taken = {fact.place for fact in chosen}
        free = [fact for fact in facts if fact.place not in taken]
        scores = [_telling(holds & fact.holds, shares) for fact in free]
        phrases = (len(chosen) + 1) * np.log(searched)  # log of their number at that length
        needed = (phrases - np.log(MAX_CHANCE)) / size
        if max(scores, default=-1.0) < max(needed, best * MIN_GAIN):
            break
        index = int(np.argmax(np.round(scores, 12)))
        chosen.append(free[index])
        holds &= free[index].holds
        best = scores[index]
    return chosen, holds


def _telling(holds: NDArray[np.bool_], shares: NDArray[np.float64]) -> float:
    """Divergence in nats of the group's share from everybody's; -1 below the shares asked for."""
    group, base = min(1.0, float(shares[holds].sum())), float(holds.mean())
    if group < MIN_SHARE or group - base < MIN_LEAD:
        return -1.0
    rest = (1 - group) * np.log((1 - group) / (1 - base)) if group < 1 else 0.0
    return float(group * np.log(group / base) + rest)


def _facts(column: FactColumn, place: int, shares: NDArray[np.float64]) -> Iterator[Fact]:
    """What may be said of a column: only what holds for half of the group can be part of a phrase."""
    group = np.bincount(column.codes, weights=shares, minlength=len(column.levels))
    order = np.argsort(-np.round(group, 12), kind="stable")
    texts = column.texts
    for code in order[group[order] >= MIN_SHARE - 1e-9]:
        yield Fact(texts[code], place, column.name, column.levels[code], column.codes == code)
    parts = [code for code in order if group[code] >= MIN_PART] if column.pairs else []
    for first, second in combinations(parts, 2):
        if group[first] + group[second] >= MIN_SHARE:
            yield Fact(
                f"{texts[first]} or {column.levels[second]}",
                place,
                column.name,
                (column.levels[first], column.levels[second]),
                (column.codes == first) | (column.codes == second),
            )


def fact_columns(
    labels: Any, predictions: Any, examples: pd.DataFrame | None, n: int
) -> list[FactColumn]:
    columns = []
    for name, said, values in (
        ("label", "label", labels),
        ("prediction", "predicted", predictions),
    ):
        if values is not None:
            codes, levels = factorize(pd.Series(values))
            texts = [f"{said} {level}" for level in levels]
            columns.append(FactColumn(name, codes, levels, texts, pairs=True))
    for name in attribute_columns(examples) if examples is not None else []:
        values = examples[name]  # type: ignore[index]
        codes, levels = factorize(attribute_levels(values))
        words: dict[Any, str] = {}
        if is_numeric(values) and len(ends := bin_labels(values)) > 1:
            words = {ends[0]: f"low {name}", ends[-1]: f"high {name}"}
        texts = [words.get(level, f"{name} {level}") for level in levels]
        columns.append(FactColumn(str(name), codes, levels, texts, pairs=False))
    for column in columns:
        if len(column.codes) != n:
            raise InputError(
                f"{column.name} must be one per weight: got {len(column.codes)} and {n} weights."
            )
    return columns
