"""The blind review: its order and what its answers add up to."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.statistics import wilson_interval
from backend.populations import review_order, review_summary


def test_the_review_holds_every_pie_and_as_many_others_in_mixed_order():
    mask = np.zeros(500, dtype=bool)
    mask[:40] = True
    rows = review_order(mask, seed=3)
    assert len(set(rows.tolist())) == 80
    assert mask[rows].sum() == 40
    assert 5 < mask[rows[:40]].sum() < 35  # mixed, not one kind after the other
    assert (rows == review_order(mask, seed=3)).all()
    assert (rows != review_order(mask, seed=4)).any()


def test_with_fewer_others_than_pies_all_are_reviewed():
    assert sorted(review_order([True, True, False]).tolist()) == [0, 1, 2]


def test_answers_are_counted_per_kind_with_wilson_intervals():
    answers = [("pie", "atypical")] * 6 + [("pie", "noisy")] * 2 + [("random", "unsure")]
    answers += [("random", "ordinary")] * 3
    table = review_summary([*answers, ("elsewhere", "noisy"), ("pie", "pretty")])
    rows = table.set_index(["answer", "kind"])
    low, high = wilson_interval(6, 8)
    assert rows.loc[("atypical", "pie"), ["count", "n", "share", "low", "high"]].tolist() == (
        pytest.approx([6, 8, 0.75, float(low), float(high)])
    )
    assert rows.loc[("unsure", "random"), "share"] == 0.25
    assert rows.loc[("ordinary", "random"), ["count", "n", "share"]].tolist() == [3, 4, 0.75]
    assert rows.loc[("ordinary", "pie"), "share"] == 0
    assert rows.loc[("noisy", "random"), "share"] == 0
    assert table.groupby("kind")["share"].sum().tolist() == [1, 1]


def test_nothing_answered_is_undefined():
    table = review_summary([("pie", "noisy")])
    assert table.loc[table["kind"] == "random", ["share", "low", "high"]].isna().all(axis=None)
