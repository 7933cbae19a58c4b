"""Populations and labels over one list of classes, and all of them beside the baseline."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.populations import (
    compare_populations,
    compression_levels,
    make_ensemble,
    pie_accuracy,
    select_pies,
    taxicab,
)


def test_numbers_are_positions_in_the_classes_beside_names():
    held = make_ensemble(
        {"a": [[0, 2, 1]], "b": np.array([["dog", "cow", "cat"]])},
        np.array(["cat", "cow", "dog"]),
        ("cat", "dog", "cow"),
    )
    assert held.names == ("cat", "dog", "cow")
    assert held.populations["a"].tolist() == [[0, 2, 1]]
    assert held.populations["b"].tolist() == [[1, 2, 0]]
    assert held.labels.tolist() == [0, 2, 1]
    assert held.correct("a").tolist() == [[True, True, True]]


def test_without_classes_numbers_are_ordered_by_value_and_names_by_text():
    assert make_ensemble({"a": [[10, 9, -1]]}).names == ("-1", "9", "10")
    assert make_ensemble({"a": np.array([["b", "a", "10"]])}).names == ("10", "a", "b")


def test_a_class_only_one_population_says_comes_after_the_given_ones():
    held = make_ensemble({"a": np.array([["new", "cat"]])}, ["cat", "dog"], ("dog", "cat"))
    assert held.names == ("dog", "cat", "new")
    assert held.populations["a"].tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("populations", "labels", "sentence"),
    [
        ({}, None, "at least one population"),
        ({"a": [1, 2]}, None, "shape"),
        ({"a": [[1, 2]], "b": [[1, 2, 3]]}, None, "'b'"),
        ({"a": [[1, 2]]}, [1], "labels must be one per example"),
        ({"a": [[0.5, 1.0]]}, None, "whole numbers or names"),
    ],
)
def test_what_cannot_be_read_is_said(populations, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        make_ensemble(populations, labels)


def test_the_baseline_is_found_by_its_name():
    assert make_ensemble({"x": [[1]], "Baseline": [[1]]}).baseline() == "Baseline"
    assert make_ensemble({"x": [[1]], "y": [[1]]}).baseline() == "x"


def test_correct_needs_labels():
    with pytest.raises(InputError, match="needs labels"):
        make_ensemble({"a": [[1]]}).correct("a")


def test_levels_are_read_from_names_and_ordered():
    names = ["pruned-90", "int8", "base", "pruned-30", "private", "pruned-5"]
    found = compression_levels(names, "base")
    assert [one.name for one in found] == [
        "base", "pruned-5", "pruned-30", "pruned-90", "int8", "private",
    ]  # fmt: skip
    assert [one.level for one in found] == [0, 5, 30, 90, 8, None]
    assert [one.kind for one in found][1:] == ["pruned", "pruned", "pruned", "int", "private"]


def test_every_population_is_compared_as_one_by_one():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    populations = {
        name: np.where(rng.random((m, 200)) < right, truth, rng.integers(0, 4, (m, 200)))
        for name, m, right in (("late", 3, 0.4), ("baseline", 5, 0.9), ("other", 4, 0.6))
    }
    held = make_ensemble(populations, truth)
    found = compare_populations(held, "baseline", tie="smallest")
    counts, accuracy = found.counts, found.accuracy
    assert counts["population"].tolist() == ["late", "other"]
    for at, name in ((0, "late"), (2, "other")):
        before, after = populations["baseline"], populations[name]
        pies = select_pies(before, after, truth, tie="smallest")
        assert ((found.modes[at] != found.modes[1]) == pies.mask).all()
        assert found.taxicab[at] == pytest.approx(taxicab(before, after))
        row = counts.set_index("population").loc[name]
        assert (row.n_pies, row.n_tied) == (pies.n_pies, pies.n_tied)
        assert row.n_baseline_right == pies.n_baseline_right
        assert row.n_compressed_right == pies.n_compressed_right
        assert row.low < row.share < row.high
        twin = pie_accuracy(before, after, truth, pies.mask)
        own = accuracy[accuracy["population"] == name]
        assert own["accuracy"].to_numpy() == pytest.approx(twin["accuracy"].to_numpy())
        assert own["n"].tolist() == twin["n"].tolist()
        assert (own["low"] < own["accuracy"]).all() and (own["high"] > own["accuracy"]).all()


def test_without_labels_or_with_one_model_there_is_less_to_say():
    held = make_ensemble({"baseline": [[0, 1]], "other": [[0, 1]]})
    found = compare_populations(held, "baseline")
    assert found.accuracy.empty and found.counts["n_pies"].tolist() == [0]
    held = make_ensemble({"baseline": [[0, 1]], "other": [[0, 1]]}, [0, 0])
    accuracy = compare_populations(held, "baseline").accuracy
    assert accuracy.loc[accuracy["subset"] == "pie", "accuracy"].isna().all()
    all_rows = accuracy[accuracy["subset"] == "all"]
    assert all_rows["accuracy"].tolist() == [0.5, 0.5] and all_rows["low"].isna().all()
    with pytest.raises(InputError, match="baseline must be one of"):
        compare_populations(held, "nobody")
