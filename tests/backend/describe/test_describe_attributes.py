"""Attribute tables: by hand, against slow twins, bins, and the ranking of columns."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from backend.core.errors import InputError
from backend.describe import (
    attribute_table,
    attribute_tables,
    bin_column,
    bin_labels,
    weighted_summary,
)


def test_table_worked_by_hand():
    # weights 1/2, 1/2, 0, 0: "x" has g = 1/2 and f = 1/4, "y" 1/2 and 1/2, unknown 0 and 1/4
    table = attribute_table(["y", "x", "y", None], [2, 2, 0, 0], [1.0, 3.0, 2.0, 5.0])
    assert table.columns.tolist() == [
        "value", "ratio", "group_share", "base_share", "count", "mean_loss", "group_count", "small",
        "p", "p_adjusted",
    ]  # fmt: skip
    assert table["value"].tolist() == ["x", "y", "unknown"]
    assert table["ratio"].tolist() == [2, 1, 0]
    assert table["mean_loss"].tolist() == [3, 1.5, 5]
    assert table["count"].tolist() == [1, 2, 1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_table_agrees_with_its_twin(seed, smoothing):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 7, 80)
    weights, losses = rng.integers(0, 3, 80), rng.random(80)
    rows = []
    for value in range(7):
        held = [row for row in range(80) if values[row] == value]
        if held:
            group, base = sum(weights[held]) / sum(weights), len(held) / 80
            ratio = (smoothing + group) / (smoothing + base)
            rows.append((value, ratio, group, base, len(held), sum(losses[held]) / len(held)))
    rows.sort(key=lambda row: (-round(row[1], 12), -row[4], str(row[0])))
    table = attribute_table(values, weights, losses, smoothing=smoothing)
    assert table["value"].tolist() == [row[0] for row in rows]
    assert np.abs(table.iloc[:, :6].to_numpy(float) - rows).max() < 1e-9


def test_every_kind_of_column_is_read_alike():
    wanted = attribute_table(["1", "2", "1"], [1, 1, 2])
    for values in (
        np.array(["1", "2", "1"]),
        pd.Series(["1", "2", "1"], index=[5, 6, 7]),
        pd.Categorical(["1", "2", "1"]),
        pd.array(["1", "2", "1"], dtype="string"),
    ):
        pd.testing.assert_frame_equal(attribute_table(values, [1, 1, 2]), wanted)
    numbers = attribute_table(torch.tensor([1, 2, 1]), torch.tensor([1.0, 1, 2]))
    assert numbers["value"].tolist() == [1, 2]
    assert attribute_table([True, False, None], [1, 0, 0])["value"].tolist()[0] is True


def test_without_losses_their_mean_is_undefined():
    assert attribute_table(["a"], [1])["mean_loss"].isna().all()


def test_a_level_called_unknown_and_missing_values_are_one_level():
    table = attribute_table(["unknown", None, np.nan, "a", ""], np.ones(5))
    assert dict(zip(table["value"], table["count"], strict=True)) == {"unknown": 4, "a": 1}


def test_summary_worked_by_hand():
    # values 1, 3 and 8 with weights 1, 3, 0: group 10/4 = 2.5, base 4, sd sqrt(26/3)
    found = weighted_summary([1, 3, 8, np.nan], [1, 3, 0, 4])
    assert found.group_mean == pytest.approx(2.5)
    assert found.base_mean == pytest.approx(4)
    assert found.base_sd == pytest.approx(np.sqrt(26 / 3))
    assert found.shift == pytest.approx(-1.5 / np.sqrt(26 / 3))
    assert (found.n, found.n_missing) == (3, 1)


def test_summary_is_undefined_by_rule():
    assert np.isnan(weighted_summary([1.0, None], [0, 1]).group_mean)
    constant = weighted_summary([2, 2], [1, 3])
    assert constant.group_mean == 2
    assert np.isnan(constant.shift)


def test_bins_are_quarters_with_readable_borders():
    values = np.arange(1, 101) / 100
    bins = bin_column(values)
    assert bin_labels(values) == ["0.01–0.26", "0.26–0.51", "0.51–0.76", "0.76–1"]
    assert [int((bins == label).sum()) for label in bin_labels(values)] == [25, 25, 25, 25]
    assert bins[0] == "0.01–0.26"
    assert bins[25] == "0.26–0.51"  # 0.26 itself: a bin holds its lower border
    assert bins[99] == "0.76–1"


def test_bins_below_zero_have_a_word_between_their_borders():
    values = np.linspace(-2, 2, 101)
    assert bin_labels(values) == ["−2 to −1", "−1 to 0", "0–1", "1–2"]


@pytest.mark.parametrize("seed", range(5))
def test_every_value_lies_in_its_bin_and_no_bin_is_empty(seed):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=300) * 10).round() * 25
    values[rng.random(300) < 0.3] = values[0]  # one value so frequent that borders coincide
    values[:5] = np.nan
    bins, labels = bin_column(values, bins=6), bin_labels(values, bins=6)
    assert (bins[:5] == "unknown").all()
    assert set(bins[5:]) == set(labels)
    for label in labels:
        low, high = (float(text.replace("−", "-")) for text in re.split("–| to ", label))
        own = values[bins == label]
        assert own.min() == low
        assert own.max() <= high if label == labels[-1] else own.max() < high


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 2, 2, 3], ["1", "2", "3"]),
        ([0.5, None], ["0.5"]),
        ([True, False], ["0", "1"]),
        ([1.0001, 1.0002], ["1.0001", "1.0002"]),
        ([-1.5, 2e-9], ["−1.5", "2e-09"]),
        ([1234.5, 1e20], ["1230", "1e+20"]),
        ([np.nan, np.nan], []),
    ],
)
def test_few_values_are_their_own_bins(values, labels):
    assert bin_labels(values) == labels


def test_the_column_that_was_planted_ranks_first():
    rng = np.random.default_rng(0)
    n = 2000
    inside = rng.random(n) < 0.1
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(n)],
            "noise": rng.choice(list("abc"), n),
            "crowd": rng.integers(0, 40, n).astype(str),
            "season": np.where(inside & (rng.random(n) < 0.8), "winter", "summer"),
            "size": rng.normal(size=n) + 1.0 * inside,
            "text": "never read",
        }
    )
    found = attribute_tables(examples, inside, rng.random(n))
    assert [one.name for one in found][:2] == ["season", "size"]
    assert {one.name for one in found[2:]} == {"noise", "crowd"}
    assert found[0].table["value"][0] == "winter"
    assert found[1].table["value"][0] == bin_labels(examples["size"])[-1]
    assert found[1].summary.shift == pytest.approx(1, abs=0.2)
    assert found[0].summary is None


def test_difference_worked_by_hand():
    # g = (1, 0), f = (1/2, 1/2): log 2 less (2 - 1) / (2 * 10) for ten members
    examples = pd.DataFrame({"side": ["left"] * 10 + ["right"] * 10})
    (found,) = attribute_tables(examples, [1] * 10 + [0] * 10)
    assert found.difference == pytest.approx(np.log(2) - 1 / 20)
    assert attribute_tables(examples, np.ones(20))[0].difference == 0


def test_a_random_group_differs_in_nothing_on_average():
    rng = np.random.default_rng(1)
    examples = pd.DataFrame({"crowd": rng.integers(0, 30, 5000).astype(str)})
    differences = []
    for _ in range(200):
        weights = np.zeros(5000)
        weights[rng.choice(5000, 200, replace=False)] = 1
        differences.append(attribute_tables(examples, weights)[0].difference)
    assert np.mean(differences) < 0.02  # uncorrected: about 0.07


def test_many_levels_are_pooled():
    examples = pd.DataFrame({"title": [f"film {row // 2}" for row in range(400)]})
    (found,) = attribute_tables(examples, np.ones(400))
    assert len(found.table) == 50
    assert found.table.set_index("value")["count"]["other"] == 400 - 2 * 49


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attribute_table(["a"], [1, 2]), "one per value: got 2 weights and 1 values"),
        (lambda: attribute_table(["a"], [0]), "positive sum"),
        (lambda: attribute_table(["a"], [1], [1, 2]), "got 2 losses and 1 values"),
        (lambda: attribute_table(["a"], [1], smoothing=np.nan), "smoothing must be 0 or more"),
        (lambda: attribute_table([["a"]], [1]), "hashable"),
        (lambda: attribute_table(np.ones((2, 2)), [1, 1]), "one-dimensional: got shape"),
        (lambda: weighted_summary(["a"], [1]), "values must be numeric"),
        (lambda: weighted_summary([np.nan], [1]), "all 1 are missing"),
        (lambda: bin_column([1, np.inf]), "must not be infinite: row 1 is"),
        (lambda: bin_column([1, 2], bins=1), "bins must be 2 or more: got 1"),
        (lambda: attribute_tables(pd.DataFrame({"a": [1]}), [1, 1]), "got 2 weights"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
