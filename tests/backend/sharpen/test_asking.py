"""Whom answers are asked of next: unsure, far apart, and a part drawn with known chances."""

from __future__ import annotations

import numpy as np
import pytest

from backend.sharpen.asking import whom_to_ask
from backend.sharpen.learner import Features

N = 400


def features_of(part: np.ndarray) -> Features:
    none = np.zeros(0, np.int64)
    return Features((np.float32(part),), np.zeros(N, np.int64), np.zeros(N), none)


@pytest.fixture
def odds() -> np.ndarray:
    """The lower the row the surer; rows about 200 are the least sure."""
    return np.linspace(4, -4, N)


def chosen_of(
    part: np.ndarray, odds: np.ndarray, rows: list[int], told: list[bool], **given: int
) -> tuple[np.ndarray, np.ndarray]:
    """(chosen rows, drawn rows)."""
    known, said = np.array(rows, np.int64), np.array(told, bool)
    likely = 1 / (1 + np.exp(-odds)) if any(told) else 0.3 * np.linspace(1, 0, N)
    asked, chances = whom_to_ask(
        features_of(part), odds, likely, known, said, np.sort(known), 10, **given
    )
    assert len(np.unique(asked)) == 10 and not np.isin(asked, known).any()
    return np.sort(asked[np.isnan(chances)]), np.sort(asked[~np.isnan(chances)])


def test_the_chosen_are_unsure_and_from_every_heap(odds: np.ndarray) -> None:
    """Rows lie in seven heaps, neighbours in the ranking mostly in the same one."""
    heap = np.where(np.arange(N) % 5, 0, np.arange(N) // 5 % 7)
    part = np.eye(7)[heap]
    rows, told = [0, 1, 398], [True, True, False]
    chosen, drawn = chosen_of(part, odds, rows, told)
    nearest = np.argsort(np.abs(np.delete(odds, drawn)), kind="stable")[:28]
    assert np.isin(chosen, np.delete(np.arange(N), drawn)[nearest]).all()
    unsure = np.delete(np.arange(N), drawn)[nearest[:7]]
    assert len(set(heap[chosen])) >= 5 > len(set(heap[unsure]))  # 28 rows reach five heaps or six
    assert 2 <= len(drawn) <= 4


def test_before_the_first_yes_it_asks_far_from_every_no(odds: np.ndarray) -> None:
    """The prior's first hundred are all alike; the more of them are refused the further it looks."""
    part = np.zeros((N, 2))
    part[100:] = np.random.default_rng(0).normal(size=(N - 100, 2)) + 5
    asked: list[int] = []
    for _ in range(2):
        chosen, _drawn = chosen_of(part, odds, asked, [False] * len(asked))
        assert (chosen < 100).all()
        asked += chosen.tolist()
    asked += list(range(20, 34))
    chosen, _drawn = chosen_of(part, odds, asked, [False] * len(asked))
    assert (chosen >= 100).sum() >= 6


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_versions_ask_the_surest_and_the_least_sure(odds: np.ndarray, version: int) -> None:
    chosen, drawn = chosen_of(
        np.zeros((N, 1)), odds, [0, 1, 398], [True, True, False], version=version
    )
    left = np.setdiff1d(np.arange(2, N), [*drawn, 398])
    unsure = left[np.argsort(np.abs(odds[left]), kind="stable")[:3]]
    np.testing.assert_array_equal(chosen, np.sort([*left[:4], *unsure]))


def test_rows_that_are_all_alike_are_asked_once_each(odds: np.ndarray) -> None:
    chosen, _ = chosen_of(np.zeros((N, 1)), odds, [0, 399], [True, False])
    assert len(chosen) >= 6 and (np.abs(odds[chosen]) < 0.1).all()
