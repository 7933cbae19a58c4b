"""Values of several columns in one table, and who holds one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.describe import (
    attribute_tables,
    count_told_apart,
    holders_in,
    short_fractions,
    value_table,
)

N = 120
LOSSES = np.linspace(0, 2, N)
WEIGHTS = (np.arange(N) < 30).astype(float)
COLUMNS = pd.DataFrame(
    {
        "place": np.where(np.arange(N) < 30, "near", "far"),
        "kind": np.array(["a", "b", "c"])[np.arange(N) % 3],
    }
)


def test_every_value_keeps_its_column_and_its_place() -> None:
    found = attribute_tables(COLUMNS, WEIGHTS, LOSSES)
    for order in ("column", "ratio", "mean_loss"):
        table = value_table(found, order=order)
        assert len(table) == 5 and table.index.tolist() == list(range(5))
        for row in table.to_dict("records"):
            one = found[row["at"]]
            assert row["column"] == one.name
            assert row["value"] == one.table["value"].iloc[row["place"]]
            assert row["ratio"] == pytest.approx(one.table["ratio"].iloc[row["place"]], nan_ok=True)


def test_orders() -> None:
    found = attribute_tables(COLUMNS, WEIGHTS, LOSSES)
    by_column = value_table(found)
    assert by_column["column"].tolist() == ["place"] * 2 + ["kind"] * 3
    ratios = value_table(found, order="ratio")["ratio"].tolist()
    assert ratios == sorted(ratios, reverse=True) and ratios[0] == 4.0 and ratios[-1] == 0.0
    losses = value_table(found, order="mean_loss")["mean_loss"].tolist()
    assert losses == sorted(losses, reverse=True)
    with pytest.raises(InputError, match="order must be one of"):
        value_table(found, order="size")
    with pytest.raises(InputError, match="at least one column"):
        value_table([])


def test_what_only_the_group_has_comes_first_and_the_undefined_last() -> None:
    found = attribute_tables(COLUMNS, WEIGHTS, LOSSES, baseline="rest", members=np.arange(30))
    shown = value_table(found, order="ratio")
    assert shown["value"].iloc[0] == "near" and np.isnan(shown["ratio"].iloc[0])
    without = value_table(attribute_tables(COLUMNS, WEIGHTS), order="mean_loss")
    assert without["mean_loss"].isna().all()
    assert without["value"].tolist() == value_table(found)["value"].tolist()


def test_told_apart_are_counted_over_all_columns() -> None:
    found = attribute_tables(COLUMNS, WEIGHTS, LOSSES)
    p = value_table(found)["p_adjusted"]
    assert count_told_apart(found) == sum(one <= 0.05 for one in p) == 1


def test_holders_by_hand() -> None:
    losses = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = holders_in([4, 0, 2], [2, 3, 4], losses)
    assert found.members.tolist() == [4, 2], "in the group's own order"
    assert (found.share, found.mean_loss) == (2 / 3, 4.0)
    assert (found.n, found.share_of_all, found.mean_loss_of_all) == (3, 0.6, 4.0)
    nothing = holders_in([0, 1], [3], losses)
    assert nothing.share == 0 and np.isnan(nothing.mean_loss) and nothing.mean_loss_of_all == 4.0
    assert holders_in([], [3], losses).share == 0


def test_fractions_among_values_are_shown_short_and_told_apart() -> None:
    table = pd.DataFrame(
        {
            "column": ["third", "third", "third", "fine", "fine", "name"],
            "value": pd.Series([1 / 3, 2 / 3, 1.0, 1 / 3, 0.3334, "0.123456789"], dtype=object),
        }
    )
    said = {"0.3333333333333333": "0.3333", "0.6666666666666666": "0.667", "1.0": "1"}
    assert short_fractions(table, "value") == {**said, "0.3334": "0.3334"}
    own = short_fractions(table.iloc[:3].drop(columns="column"), "value")
    assert own == {**said, "0.3333333333333333": "0.333"}
    assert short_fractions(pd.DataFrame({"value": ["a", "b"]}), "value") == {}
