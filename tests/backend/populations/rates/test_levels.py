"""Levels of compression as numbers, shares of the training set, correlations with something outside."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from backend.core.errors import InputError
from backend.populations import (
    CompressionLevel,
    compare_populations,
    fisher_interval,
    make_ensemble,
)
from backend.populations.rates.levels import level_lines, level_table, training_shares
from backend.populations.stress.external import external_correlation, paired_difference

RNG = np.random.default_rng(2)
LABELS = RNG.integers(0, 3, 300)


def answers(right: float) -> np.ndarray:
    return np.where(RNG.random((4, 300)) < right, LABELS, (LABELS + 1) % 3)


@pytest.fixture(scope="module")
def compared():
    held = {"int8": answers(0.9), "pruned-90": answers(0.5), "baseline": answers(0.95),
            "pruned-30": answers(0.9), "distilled": answers(0.8)}  # fmt: skip
    return compare_populations(make_ensemble(held, LABELS), "baseline")


def test_levels_rise_within_each_kind_and_the_baseline_is_0_of_what_is_pruned(compared) -> None:
    table = level_table(compared.counts, compared.accuracy, "baseline", {"pruned-90": 2, "int8": 1})
    pie = table[table["measure"] == "pie"]
    places = list(zip(pie["kind"], pie["level"], pie["population"], strict=True))
    assert places == [
        ("int", 8.0, "int8"),
        ("pruned", 0.0, "baseline"), ("pruned", 30.0, "pruned-30"), ("pruned", 90.0, "pruned-90"),
    ]  # fmt: skip
    counts = compared.counts.set_index("population")
    assert pie["value"].tolist() == [
        counts.loc["int8", "share"], 0.0, *counts.loc[["pruned-30", "pruned-90"], "share"]
    ]  # fmt: skip
    lines = level_lines(table, "classes")
    assert [line["value"].tolist() for line in lines] == [[1], [0, 2]]
    on_all = level_lines(table, "on_all")[1]
    assert on_all["value"].is_monotonic_decreasing and on_all["low"].notna().all()
    assert "distilled" not in set(table["population"])
    given = {name: CompressionLevel(name, "size", level) for name, level in
             (("distilled", 60.0), ("pruned-30", 10.0))}  # fmt: skip
    table = level_table(compared.counts, compared.accuracy, "baseline", given=given)
    line = next(one for one in level_lines(table, "pie") if set(one["kind"]) == {"size"})
    assert line["population"].tolist() == ["baseline", "pruned-30", "distilled"]
    assert line["level"].tolist() == [0, 10, 60]


def test_shares_of_the_training_set_are_those_of_its_columns() -> None:
    training = {"sex": np.array(["F", "F", "M", ""]), "age": np.array([1, 2, 2, 2])}
    groups = ["all", "sex=F", "sex=unknown", "age=2", "sex=F & age=2", "race=x", "sex=F & race=x"]
    found = training_shares(groups, training)
    np.testing.assert_allclose(found, [1, 0.5, 0.25, 0.75, 0.25, np.nan, np.nan])


def test_each_model_has_the_correlation_of_pearson_and_fishers_interval() -> None:
    scores = RNG.normal(size=(3, 40))
    number = scores[1] + RNG.normal(size=40)
    number[[3, 7]] = np.nan
    known = np.isfinite(number)
    found = external_correlation(scores, number)
    for at, row in found.iterrows():
        r = pearsonr(scores[at][known], number[known]).statistic
        assert row["correlation"] == pytest.approx(r) and row["n"] == 38
        assert (row["low"], row["high"]) == pytest.approx(fisher_interval(r, 38))
    constant = external_correlation(np.full((1, 40), 0.1), number).iloc[0]
    assert np.isnan(constant["correlation"])


def test_differences_are_between_the_two_versions_of_an_example() -> None:
    scores = np.arange(14.0).reshape(2, 7)
    ids = np.array(["a", "a", "b", "b", "c", "c", "c"], dtype=object)
    versions = np.array(["he", "she", "she", "he", "he", "he", "she"])
    difference, rows = paired_difference(scores, ids, versions, "he", "she")
    assert rows.tolist() == [0, 3]  # c has one version twice
    assert difference.tolist() == [[-1, 1], [-1, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: external_correlation([[1, 2, 3]], [1, 2]), "one number per example"),
        (lambda: external_correlation([[1, 2, 3]], ["a", "b", "c"]), "one number per example"),
        (lambda: external_correlation([[1, 2, 3]], [1, np.nan, 2]), "3 or more examples: got 2"),
        (
            lambda: paired_difference([[1.0, 2.0]], ["a", "b"], ["x", "y"], "x", "y"),
            "no pair_id has",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()
