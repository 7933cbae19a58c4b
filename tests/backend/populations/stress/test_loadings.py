"""Loadings of a component against the columns of the examples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backend.populations import (
    fisher_interval,
    is_measured,
    loading_means,
    loading_trend,
    scored_models,
    strongest_rows,
)

RNG = np.random.default_rng(2)


def test_measurements_are_told_from_categories() -> None:
    assert is_measured(RNG.normal(size=50)) and is_measured(np.arange(9))
    assert not is_measured(np.arange(8)) and not is_measured(np.array(list("abcdefghijk")))
    assert not is_measured(RNG.random(50) < 0.5)


def test_the_trend_is_spearmans_over_what_is_known() -> None:
    numbers = RNG.normal(size=60)
    loading = numbers**3 + RNG.normal(size=60)
    numbers[[3, 10]] = np.nan, np.inf
    known = np.isfinite(numbers)
    found = loading_trend(loading, numbers, most=100)
    oracle = stats.spearmanr(numbers[known], loading[known]).statistic
    assert found.correlation == pytest.approx(oracle)
    assert (found.low, found.high) == fisher_interval(found.correlation, 58)
    assert found.n == 58 and found.rows.tolist() == np.flatnonzero(known).tolist()


def test_of_many_examples_a_seeded_sample_is_drawn() -> None:
    numbers = np.arange(500.0)
    numbers[::2] = np.nan
    one, again, other = (
        loading_trend(np.arange(500.0), numbers, most=20, seed=seed).rows for seed in (0, 0, 1)
    )
    assert len(one) == 20 and np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.all(np.diff(one) > 0) and np.isfinite(numbers[one]).all()


def test_without_a_number_there_is_no_trend() -> None:
    found = loading_trend([1.0, 2.0], [np.nan, np.nan], most=5)
    assert np.isnan([found.correlation, found.low, found.high]).all() and found.n == 0


def test_means_per_value_by_hand() -> None:
    loading = [1.0, 3.0, -1.0, 5.0, 2.0]
    table = loading_means(loading, np.array(["a", "a", "", "b", "b"], dtype=object))
    assert table["value"].tolist() == ["b", "a", "unknown"]
    assert table["n"].tolist() == [2, 2, 1]
    assert table["loading"].tolist() == [3.5, 2.0, -1.0]
    half = stats.t.ppf(0.975, 1) * np.std([1, 3], ddof=1) / np.sqrt(2)
    assert table.loc[1, ["low", "high"]].tolist() == pytest.approx([2 - half, 2 + half])
    assert np.isnan(table.loc[2, "low"])


def test_the_strongest_are_of_either_sign() -> None:
    assert strongest_rows([1.0, -3.0, 3.0, 0.5], 3).tolist() == [1, 2, 0]
    assert len(strongest_rows([1.0, 2.0], 9)) == 2


def test_scores_of_a_population_are_found_by_the_order_of_the_table() -> None:
    stress = pd.DataFrame(
        {
            "model": [0, 1, 2, 0],
            "population": ["base", "base", "pruned", "pruned"],
            "iid": [0.9, 0.8, 0.7, 0.6],
            "shift": [0.5, 0.4, 0.3, 0.2],
        }
    )
    found = scored_models(stress, "pruned", 4)
    assert len(found) == 2 and set(found) | set(scored_models(stress, "base", 4)) == set(range(4))
    assert scored_models(stress, "pruned", 5) == [], "another number of models"
    assert scored_models(stress, "", 4) == [] and scored_models(None, "pruned", 4) == []
    assert scored_models(stress.drop(columns="population"), "pruned", 4) == []
