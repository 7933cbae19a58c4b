"""Stress tests read from a table, or made of answers group by group; overlap of families."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.core.statistics import mean_interval
from backend.populations import (
    count_shared,
    failed_rows,
    failure_iou,
    family_overlap,
    group_tests,
    read_stress_table,
    stress_columns,
    table_robustness,
)


def long_table() -> pd.DataFrame:
    rows = [
        (model, test, model / 10 + shift, f"init {model % 2}")
        for model in range(4)
        for test, shift in (("blur", 0.1), ("iid", 0.5))
    ]
    return pd.DataFrame(rows, columns=["Seed", "dataset", "accuracy", "Group"])


def test_a_long_table_becomes_one_row_per_model():
    found = read_stress_table(long_table())
    assert found.metrics.columns.tolist() == ["blur", "iid"]
    assert found.metrics["iid"].tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert found.groups.tolist() == ["init 0", "init 1", "init 0", "init 1"]
    assert found.held_out() == "iid" and found.dropped == 0


def test_a_wide_table_reads_the_same():
    wide = pd.DataFrame(
        {"Seed": range(4), "Group": ["init 0", "init 1"] * 2, "blur": [0.1, 0.2, 0.3, 0.4],
         "iid": [0.5, 0.6, 0.7, 0.8]}
    )  # fmt: skip
    found, twin = read_stress_table(wide), read_stress_table(long_table())
    pd.testing.assert_frame_equal(found.metrics, twin.metrics)
    assert found.groups.tolist() == twin.groups.tolist()


def test_a_numeric_column_called_test_is_a_metric():
    found = read_stress_table(pd.DataFrame({"test": [0.9, 0.8], "shifted": [0.5, 0.6]}))
    assert found.metrics.columns.tolist() == ["test", "shifted"] and found.held_out() == "test"


def test_metrics_of_one_test_stand_apart():
    table = long_table().assign(metric="top-1")
    other = table.assign(metric="loss", accuracy=-table["accuracy"])
    found = read_stress_table(pd.concat([table, other]))
    assert sorted(found.metrics.columns) == [
        "blur · loss", "blur · top-1", "iid · loss", "iid · top-1",
    ]  # fmt: skip
    assert found.held_out() == "iid · top-1"


def test_models_without_a_value_for_a_test_are_left_out_and_counted():
    found = read_stress_table(long_table().iloc[1:])
    assert (len(found.metrics), found.dropped) == (3, 1)
    assert len(found.groups) == 3


def test_populations_are_read_apart_or_become_the_group() -> None:
    table = long_table().drop(columns="Group")
    both = pd.concat(
        [table.assign(population=name, accuracy=table["accuracy"] - drop)
         for name, drop in (("baseline", 0.0), ("int4", 0.2))]
    )  # fmt: skip
    assert stress_columns(both).population == "population"
    small = read_stress_table(both, population="int4")
    assert small.metrics["iid"].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    every = read_stress_table(both)
    assert len(every.metrics) == 8  # seed 0 of one population is not seed 0 of the other
    assert every.groups.tolist() == ["baseline"] * 4 + ["int4"] * 4


def test_the_number_meant_can_be_chosen() -> None:
    table = long_table().assign(loss=lambda rows: 1 - rows["accuracy"])
    assert stress_columns(table).values == ("accuracy", "loss")
    assert read_stress_table(table, value="loss").metrics["iid"].tolist() == pytest.approx(
        [0.5, 0.4, 0.3, 0.2]
    )


def test_repeated_measurements_are_averaged():
    table = long_table()
    twice = pd.concat([table, table.assign(accuracy=table["accuracy"] + 0.2)])
    assert read_stress_table(twice).metrics["iid"].tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pd.DataFrame({"model": ["a"], "test": ["x"]}), "no column of numbers"),
        (pd.DataFrame({"test": ["x", "y"], "value": [1.0, 2.0]}), "names the model"),
        (pd.DataFrame({"model": ["a", "b"], "test": ["x", "y"], "value": [1.0, 2.0]}), "no model"),
    ],
)
def test_tables_that_say_nothing_are_refused(table, sentence):
    with pytest.raises(InputError, match=sentence):
        read_stress_table(table)


def test_groups_become_tests_and_small_ones_do_not():
    right = np.array([[True, True, False, False], [True, False, False, True]])
    masks = {"left": np.array([True, True, False, False]), "tiny": np.arange(4) == 0}
    metrics, sizes = group_tests(right, masks, min_n=2)
    assert metrics.to_dict("list") == {"iid": [0.5, 0.5], "left": [1.0, 0.5]}
    assert sizes["n"].tolist() == [4, 2]
    assert sizes["noise"].tolist() == pytest.approx([0.25, np.sqrt(0.75 * 0.25 / 2)])


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="booleans of shape"):
        group_tests(np.zeros((2, 3)), {})
    with pytest.raises(InputError, match="'g'"):
        group_tests(np.zeros((2, 3), dtype=bool), {"g": np.zeros(2, dtype=bool)})


def test_families_are_averaged_over_pairs_of_different_models():
    iou = np.array([[1, 0.5, 0.2], [0.5, 1, np.nan], [0.2, np.nan, 1]])
    table = family_overlap(iou, ["a", "a", "b"])
    assert table[["first", "second", "pairs"]].to_numpy().tolist() == [
        ["a", "a", 1], ["a", "b", 2], ["b", "b", 0],
    ]  # fmt: skip
    assert table["mean_iou"].tolist() == pytest.approx([0.5, 0.2, np.nan], nan_ok=True)
    with pytest.raises(InputError, match="one row per model"):
        family_overlap(iou, ["a"])


def test_every_test_of_every_population_is_averaged_over_its_models():
    frame = pd.DataFrame(
        {
            "model": [0, 1, 0, 1, 2],
            "population": ["pruned", "pruned", "base", "base", "base"],
            "iid": [0.7, 0.9, 0.5, 0.6, 0.7],
            "blur": [0.1, 0.2, 0.3, 0.4, 0.5],
        }
    )
    table = table_robustness(frame)
    assert table["population"].tolist() == ["pruned"] * 2 + ["base"] * 2
    assert table["metric"].tolist() == ["iid", "blur"] * 2
    assert table["n_models"].tolist() == [2, 2, 3, 3]
    for row in table.itertuples():
        held = mean_interval(frame.loc[frame["population"] == row.population, row.metric])
        assert (row.accuracy, row.low, row.high) == (held.value, held.low, held.high)
    with pytest.raises(InputError, match="does not say to which population a model belongs"):
        table_robustness(frame.drop(columns="population"))


def test_shared_failures_are_counted_and_ordered():
    failed = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 1, 0], [1, 1, 0, 1, 0]], dtype=bool)
    losses = np.array([1.0, 9.0, 0.0, 2.0, 0.0])
    counts = failed.sum(0)
    found = count_shared(counts, 3)
    assert (found.n_all, found.n_any) == (2, 3)
    assert found.share == pytest.approx(2 / 3)
    assert np.isnan(count_shared(np.zeros(5), 3).share)
    assert failed_rows(counts, losses, at_least=2).tolist() == [3, 0, 1]
    assert failed_rows(counts, losses, at_least=3).tolist() == [3, 0]
    assert failure_iou(failed)[0, 1] == pytest.approx(2 / 3)
