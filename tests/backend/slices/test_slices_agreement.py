"""Regions that other methods find too, and groups that no region contains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.slices.agreement import Agreement, count_folded, find_agreement


def table_of(*groups: tuple[str, Any, float], folded: dict[int, int] | None = None) -> pd.DataFrame:
    """Groups as method, rows and p; mean losses rise from row to row."""
    return pd.DataFrame(
        {
            "method": [method for method, _, _ in groups],
            "p": [p for _, _, p in groups],
            "mean_loss": np.arange(len(groups), dtype=float),
            "folded_into": pd.array([(folded or {}).get(at) for at in range(len(groups))], "Int64"),
        }
    )


def agreed(*groups: tuple[str, Any, float], folded: dict[int, int] | None = None) -> Any:
    members = [np.asarray(rows, dtype=np.int64) for _, rows, _ in groups]
    return find_agreement(
        table_of(*groups, folded=folded),
        members,
        [rows for (method, _, _), rows in zip(groups, members, strict=True) if method == "ours"],
        ours="ours",
        by_loss={"loss"},
    )


def test_half_of_the_smaller_one_makes_one_finding() -> None:
    found = agreed(
        ("ours", range(20), 0.01),
        ("ours", range(30, 50), 0.01),
        ("a", range(10, 30), 0.01),  # 10 of 20
        ("a", range(5, 15), 0.5),  # all of 10
        ("b", range(45, 60), 0.2),  # 5 of 15
        ("c", [], 0.2),
    )
    assert found.finders == (("a",), ())


def test_a_group_that_knows_the_loss_or_is_much_larger_finds_nothing() -> None:
    found = agreed(
        ("ours", range(10), 0.01),
        ("loss", range(10), float("nan")),
        ("a", range(51), 0.5),
        ("b", range(50), 0.5),
    )
    assert found.finders == (("b",),), "five times as large is not too large, more is"


def test_missed_are_tested_groups_outside_highest_loss_first() -> None:
    found = agreed(
        ("ours", range(10), 0.01),
        ("a", range(100, 120), 0.05),  # at the level
        ("b", range(9, 30), 0.01),  # 1 of 21 inside
        ("b", range(200, 220), 0.06),  # not tested to hold up
        ("a", range(100, 104), 0.01),  # inside a larger one
        ("c", range(8, 18), 0.01),  # a fifth inside
        ("c", range(300, 310), float("nan")),
        ("loss", range(400, 410), 0.01),
        folded={4: 1},
    )
    assert found.missed == (2, 1)


def test_without_regions_or_other_methods_there_is_nothing_to_say() -> None:
    assert agreed(("a", range(5), 0.01)) is None
    assert agreed(("ours", range(5), 0.01), ("loss", range(5), 0.01)) is None
    with pytest.raises(InputError, match="members must be one per group: got 0 for 1"):
        find_agreement(table_of(("a", [], 1.0)), [], [], ours="ours", by_loss=())


def test_the_order_of_examples_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rename = rng.permutation(400)
    groups = [("ours", range(20), 0.01), ("a", range(10, 35), 0.01), ("b", range(90, 99), 0.02)]
    renamed = [(method, rng.permutation(rename[list(rows)]), p) for method, rows, p in groups]
    assert agreed(*renamed) == agreed(*groups) == Agreement((("a",),), (2,))


def test_groups_inside_others_are_counted() -> None:
    groups = [("a", range(3), 0.1)] * 4
    table = table_of(*groups, folded={1: 0, 3: 0})  # type: ignore[arg-type]
    assert count_folded(table).tolist() == [2, 0, 0, 0]
    assert count_folded(table.iloc[:0]).tolist() == []
