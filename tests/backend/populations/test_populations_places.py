"""Groups are found by their place in the table of an audit."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.populations import audit, target_audit
from backend.populations.places import (
    crossed_places,
    group_at,
    level_names,
    out_of,
    rows_per_group,
    worst_first,
)

COLUMNS = {"a": list("xyxyx"), "b": list("uvwuv"), "c": list("ppqqp")}
LABELS, SAID = [0, 1, 1, 0, 1], [0, 1, 0, 1, 1]
SIZES = {name: len(set(values)) for name, values in COLUMNS.items()}


def test_levels_are_listed_as_the_audit_lists_them() -> None:
    values = np.array(["b", "a=1", "", "b"], dtype=object)
    names = audit([0, 1, 0, 1], [0, 1, 0, 1], {"k": values}, order=1)["group"].tolist()
    assert names == ["all", *(f"k={name}" for name in level_names(values))]
    assert level_names(values) == ["a=1", "b", "unknown"]


@pytest.mark.parametrize(("first", "second"), list(permutations(COLUMNS, 2)))
def test_two_attributes_are_crossed_as_the_audit_combines_them(first: str, second: str) -> None:
    names = audit(LABELS, SAID, COLUMNS, order=3)["group"].to_numpy()
    down, across = level_names(COLUMNS[first]), level_names(COLUMNS[second])
    shown = names[crossed_places(SIZES, first, second)].tolist()
    left, right = sorted((first, second))
    for at, one in enumerate(down):
        for other, two in enumerate(across):
            held = {first: one, second: two}
            assert shown[at][other] == f"{left}={held[left]} & {right}={held[right]}"
        assert shown[at][-1] == f"{first}={one}"
    assert shown[-1] == [*(f"{second}={two}" for two in across), "all"]


def test_one_attribute_alone_stands_above_everybody() -> None:
    names = audit(LABELS, SAID, COLUMNS, order=1)["group"].to_numpy()
    assert names[crossed_places(SIZES, "b")].tolist() == [["b=u"], ["b=v"], ["b=w"], ["all"]]


def test_what_is_not_audited_cannot_be_crossed() -> None:
    with pytest.raises(InputError, match="attribute 'd' is not audited: there are a, b, c"):
        crossed_places(SIZES, "a", "d")
    with pytest.raises(InputError, match="'a' cannot be crossed with itself"):
        crossed_places(SIZES, "a", "a")


def test_the_worst_comes_first_and_what_says_little_last() -> None:
    table = pd.DataFrame(
        {
            "group": ["all", "p", "q", "r", "s"],
            "n": [100, 50, 40, 9, 1],
            "fpr": [0.3, 0.2, 0.4, 0.9, np.nan],
            "fpr_of": [60, 30, 20, 4, 0],
        }
    )
    assert worst_first(table, "fpr")["group"].tolist() == ["r", "q", "p"]
    assert worst_first(table, "fpr", min_n=10)["group"].tolist() == ["q", "p", "r"]
    assert out_of(table, "fpr").tolist() == [60, 30, 20, 4, 0]
    assert out_of(table, "mean_loss").tolist() == [100, 50, 40, 9, 1]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_row_holds_as_many_examples_as_it_says(order: int) -> None:
    table = audit(LABELS, SAID, COLUMNS, order=order)
    for place in range(len(table)):
        found = group_at(table, place, COLUMNS, order=order)
        assert found.name == table["group"][place] and len(found.rows) == table["n"][place]


def test_a_row_of_the_target_axis_is_a_class_of_its_group() -> None:
    labels = np.array(["cat", "dog", "dog", "cat", "dog"])
    said = np.array(["cat", "dog", "cat", "dog", "cow"])
    table = target_audit(labels, said, {"a": COLUMNS["a"]})
    assert rows_per_group(table) == 4
    names = [
        group_at(table, place, {"a": COLUMNS["a"]}, order=1, labels=labels)
        for place in range(len(table))
    ]
    assert [one.name for one in names[4:8]] == [
        "a=x, every class", "a=x, class cat", "a=x, class cow", "a=x, class dog",
    ]  # fmt: skip
    assert [one.rows.tolist() for one in names[4:8]] == [[0, 2, 4], [0], [], [2, 4]]
    assert [len(one.rows) for one in names] == [
        row.n if row["class"] == "all" else row.tp + row.fn for _, row in table.iterrows()
    ]
    with pytest.raises(InputError, match="labels are needed"):
        group_at(table, 5, {"a": COLUMNS["a"]}, order=1)


def test_a_table_of_one_group_is_all_of_it() -> None:
    assert rows_per_group(target_audit([0, 1], [0, 1], {})) == 3
