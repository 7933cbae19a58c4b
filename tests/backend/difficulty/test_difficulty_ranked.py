"""Error by decile, accuracy without the hardest, both ends of a class."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.statistics import mean_interval, wilson_interval
from backend.difficulty import (
    accuracy_without_hardest,
    class_extremes,
    error_by_decile,
    normalize_within,
    stage_windows,
    variance_of_gradients,
)


def test_a_decile_holds_its_lower_border_and_the_last_one_both() -> None:
    scores = np.arange(11.0)  # borders are 0, 1, ..., 10
    table = error_by_decile(scores, scores > 8, scores)
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["n"].tolist() == [1] * 9 + [2]
    assert table["n_wrong"].tolist() == [0] * 9 + [2]
    assert table["score_from"].tolist() == list(range(10))
    assert table["mean_loss"].iloc[-1] == 9.5


def test_intervals_are_those_of_each_decile_alone() -> None:
    rng = np.random.default_rng(0)
    scores, wrong, losses = rng.normal(size=500), rng.random(500) < 0.3, rng.gamma(2, 1, 500)
    table = error_by_decile(scores, wrong, losses)
    edges = np.quantile(scores, np.arange(11) / 10)
    assert len(table) == 10
    for at, row in table.iterrows():
        inside = (scores >= edges[at]) & ((scores < edges[at + 1]) | (at == 9))
        low, high = map(float, wilson_interval(wrong[inside].sum(), inside.sum()))
        mean = mean_interval(losses[inside])
        assert row[["n", "error", "error_low", "error_high"]].tolist() == pytest.approx(
            [inside.sum(), wrong[inside].mean(), low, high]
        )
        assert row[["mean_loss", "mean_loss_low", "mean_loss_high"]].tolist() == pytest.approx(
            [mean.value, mean.low, mean.high]
        )


@pytest.mark.parametrize(
    ("scores", "spans"),
    [
        ([0.0] * 9 + [1.0], [(1, 9), (10, 10)]),
        ([0.0] * 30, [(1, 10)]),
        ([0.0] * 5 + [2.0] * 5, [(1, 5), (6, 10)]),
    ],
)
def test_equal_scores_are_never_parted(scores: list[float], spans: list[tuple[int, int]]) -> None:
    table = error_by_decile(scores, np.zeros(len(scores), bool))
    found = list(zip(table["decile_from"], table["decile"], strict=True))
    assert table["n"].sum() == len(scores)
    assert found == spans


def test_leaving_out_what_is_wrong_leaves_what_is_right() -> None:
    correct = np.array([True] * 8 + [False] * 2)
    table = accuracy_without_hardest(np.arange(10.0), correct, shares=(0.0, 0.1, 0.2, 0.5))
    assert table["accuracy"].tolist() == pytest.approx([0.8, 8 / 9, 1.0, 1.0])
    assert table["n"].tolist() == [10, 9, 8, 5]
    assert table["rise"].tolist() == pytest.approx([0.0, 8 / 9 - 0.8, 0.2, 0.2])
    low, high = map(float, wilson_interval(8, 9))
    assert table[["low", "high"]].iloc[1].tolist() == pytest.approx([low, high])


def test_equal_scores_are_left_out_at_random() -> None:
    correct = np.arange(2000) < 1000  # in the order of the rows all that is right comes first
    table = accuracy_without_hardest(np.zeros(2000), correct, shares=(0.5,), seed=3)
    assert table["accuracy"].item() == pytest.approx(0.5, abs=0.05)
    again = accuracy_without_hardest(np.zeros(2000), correct, shares=(0.5,), seed=3)
    assert table.equals(again)


def test_ends_of_a_class_are_in_order_and_ties_go_to_the_lower_row() -> None:
    scores, labels = np.array([3, 1, 2, 2, 9.0]), np.array(["a", "a", "a", "a", "b"])
    lowest, highest = class_extremes(scores, labels, "a", most=3)
    assert (lowest.tolist(), highest.tolist()) == ([1, 2, 3], [0, 2, 3])
    assert class_extremes(scores, labels, "b")[0].tolist() == [4]


@pytest.mark.parametrize(
    ("checkpoints", "windows"),
    [
        (15, {"early": (0, 5), "middle": (5, 10), "late": (10, 15)}),
        (7, {"early": (0, 3), "middle": (3, 5), "late": (5, 7)}),
        (4, {"early": (0, 2)}),
        (3, {}),
        (0, {}),
    ],
)
def test_stages_are_thirds_of_two_checkpoints_or_more(
    checkpoints: int, windows: dict[str, tuple[int, int]]
) -> None:
    found = stage_windows(checkpoints)
    assert {name: (one.start, one.stop) for name, one in found.items()} == windows


def test_normalizing_is_what_vog_does_within_classes() -> None:
    rng = np.random.default_rng(1)
    labels = np.array(["a", "b"])[rng.integers(0, 2, 40)]
    vog = variance_of_gradients(rng.normal(size=(3, 40, 6)), labels)
    np.testing.assert_allclose(normalize_within(vog.raw, labels), vog.normalized)
    # What is normalized already stays so.
    np.testing.assert_allclose(normalize_within(vog.normalized, labels), vog.normalized)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: error_by_decile([]), "scores must not be empty"),
        (lambda: error_by_decile([np.nan]), "scores must be finite"),
        (lambda: error_by_decile([1.0], [0]), r"wrong must be booleans of shape \(1,\): got int64"),
        (lambda: error_by_decile([1.0], bins=0), "bins must be 1 or more: got 0"),
        (lambda: error_by_decile([1.0], losses=[1, 2]), "losses must be one per score"),
        (lambda: accuracy_without_hardest([1.0], [True], shares=(1.0,)), r"in \[0, 1\)"),
    ],
)
def test_what_cannot_be_used_is_refused(call, message) -> None:
    with pytest.raises(InputError, match=message):
        call()
