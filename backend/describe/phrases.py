"""A few words for a group: the facts that most of its members share and others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.describe.attributes import (
    attribute_columns,
    attribute_levels,
    bin_labels,
    is_numeric,
)
from backend.describe.shares import check_weights, effective_size, factorize

MIN_SHARE = 0.5
"""A phrase holds for at least this share of the group."""
MIN_LEAD = 0.2
"""... and for this much more of the group than of everybody."""
MAX_CHANCE = 0.01
"""... and a group drawn at random would show any such fact at most this often."""
MIN_GAIN = 1.1
"""One more fact must make the phrase this much more telling."""


@dataclass(frozen=True)
class Fact:
    """Something that is true of some examples: a value of one column.

    ``text`` is how it is said, ``column`` and ``value`` what it is, ``holds`` (n,) for whom.
    """

    text: str
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
        Class names (or numbers), said as "label Shirt" and "predicted Coat".
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
        Ties go to the earlier column, then to the value that appears first.

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
    shares = check_weights(weights, np.size(weights))
    facts = _facts(labels, predictions, examples, len(shares))
    if not facts:
        raise InputError("a group needs labels, predictions or examples to be described by.")
    chosen, holds = _join(facts, shares, max_facts)
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
            for fact in (facts[index] for index in sorted(chosen))
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
    facts: list[Fact], shares: NDArray[np.float64], max_facts: int
) -> tuple[list[int], NDArray[np.bool_]]:
    """Facts of the most telling phrase found greedily, and for whom all of them hold."""
    size = effective_size(shares)
    chosen: list[int] = []
    holds = np.ones(len(shares), dtype=bool)
    best = 0.0
    while len(chosen) < max_facts:
        taken = {facts[index].column for index in chosen}
        scores = [
            -1.0 if fact.column in taken else _telling(holds & fact.holds, shares) for fact in facts
        ]
        index = int(np.argmax(np.round(scores, 12)))
        searched = (len(chosen) + 1) * np.log(len(facts))  # log of the phrases of that length
        needed = (searched - np.log(MAX_CHANCE)) / size
        if scores[index] < max(needed, best * MIN_GAIN):
            break
        chosen.append(index)
        holds &= facts[index].holds
        best = scores[index]
    return chosen, holds


def _telling(holds: NDArray[np.bool_], shares: NDArray[np.float64]) -> float:
    """Divergence in nats of the group's share from everybody's; -1 below the shares asked for."""
    group, base = min(1.0, float(shares[holds].sum())), float(holds.mean())
    if group < MIN_SHARE or group - base < MIN_LEAD:
        return -1.0
    rest = (1 - group) * np.log((1 - group) / (1 - base)) if group < 1 else 0.0
    return float(group * np.log(group / base) + rest)


def _facts(labels: Any, predictions: Any, examples: pd.DataFrame | None, n: int) -> list[Fact]:
    facts = []
    for column, said, values in (
        ("label", "label", labels),
        ("prediction", "predicted", predictions),
    ):
        if values is not None:
            facts += _facts_of(column, said, pd.Series(values), {}, n)
    for name in attribute_columns(examples) if examples is not None else []:
        column = examples[name]  # type: ignore[index]
        names = {}
        if is_numeric(column) and len(ends := bin_labels(column)) > 1:
            names = {ends[0]: f"low {name}", ends[-1]: f"high {name}"}
        facts += _facts_of(str(name), str(name), column, names, n)
    return facts


def _facts_of(
    column: str, said: str, values: pd.Series, names: dict[Any, str], n: int
) -> list[Fact]:
    """One fact per level of a column; a level without a word of its own is said with its column."""
    if len(values) != n:
        raise InputError(f"{column} must be one per weight: got {len(values)} and {n} weights.")
    if column in ("label", "prediction"):
        codes, levels = factorize(values)
    else:
        codes, levels = factorize(attribute_levels(values))
    return [
        Fact(names.get(level, f"{said} {level}"), column, level, codes == code)
        for code, level in enumerate(levels)
    ]
