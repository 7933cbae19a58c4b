"""Answers: what they do to the ranking, whom they ask next, and how many members they count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from backend.core.errors import InputError
from backend.sharpen import (
    cut_precision,
    principal_parts,
    ranking,
    sharpen,
    start_members,
    start_of_scores,
    start_ranking,
    tally,
)
from backend.sharpen.counting import count_members, draw
from backend.sharpen.learner import describe_examples

N, D = 1500, 12


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(embeddings, members, a prior that finds half of them, labels)."""
    random = np.random.default_rng(3)
    x = random.normal(size=(N, D)).astype(np.float32)
    labels = random.integers(3, size=N)
    members = (x[:, 2] > 1.0) & (labels == 1)
    prior = members * 1.0 + random.normal(size=N)
    prior[labels == 2] = -np.inf
    return x, members, prior, labels


def asked(
    planted: Any, rounds: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Rows, answers, chances and the last result of a person who answers truthfully."""
    x, members, prior, labels = planted
    rows, chances = np.zeros(0, np.int64), np.zeros(0)
    for _ in range(rounds):
        told = sharpen(x, prior, rows, members[rows], chances=chances, labels=labels, seed=seed)
        rows, chances = np.append(rows, told.next), np.append(chances, told.chances)
    told = sharpen(x, prior, rows, members[rows], chances=chances, labels=labels, seed=seed)
    return rows, members[rows], chances, told


def test_answers_sharpen_the_ranking_and_stand_where_they_were_told(planted: Any) -> None:
    x, members, prior, labels = planted
    rows, answers, chances, told = asked(planted, 6)
    before = average_precision_score(members, np.where(np.isfinite(prior), prior, -9))
    assert before < 0.4 and average_precision_score(members, told.scores) > 0.75
    assert told.scores[rows[answers]].min() > np.delete(told.scores, rows).max()
    assert told.scores[rows[~answers]].max() < np.delete(told.scores, rows).min()
    assert (told.probabilities[rows] == answers).all()
    assert not np.isin(told.next, rows).any() and len(np.unique(told.next)) == 10
    assert 2 <= np.isfinite(told.chances).sum() <= 4
    again = sharpen(  # the parts are all that is read of embeddings
        None, prior, rows, answers, chances=chances, labels=labels, parts=principal_parts(x)
    )
    for name in ("scores", "probabilities", "next", "chances", "audit", "audit_weights"):
        np.testing.assert_array_equal(getattr(told, name), getattr(again, name))


def test_a_label_s_mean_is_taken_off_and_a_rare_label_keeps_its_place() -> None:
    random = np.random.default_rng(1)
    part = random.normal(3, 1, size=(90, 4)).astype(np.float32)
    labels = np.r_[np.zeros(60, int), np.ones(29, int), 2]
    seen = describe_examples((part,), np.zeros(90), labels, 0).parts[0]
    for label in range(3):
        mine = part[labels == label].astype(float)
        mean = mine.sum(axis=0) / (len(mine) + 20)
        np.testing.assert_allclose(seen[labels == label], mine - mean, atol=1e-5)
    for kept in (
        describe_examples((part,), np.zeros(90), None, 0),
        describe_examples((part,), np.zeros(90), labels, 0, version=1),
    ):
        np.testing.assert_array_equal(kept.parts[0], part)


def test_an_earlier_version_ranks_as_it_did(planted: Any) -> None:
    x, members, prior, labels = planted
    rows = ranking(prior)[:30]
    now, then = (
        sharpen(x, prior, rows, members[rows], labels=labels, version=version).scores
        for version in (3, 1)
    )
    assert not np.array_equal(now, then)
    before = sharpen(x, prior, rows, members[rows], labels=labels, version=2)
    np.testing.assert_array_equal(before.scores, now)  # it asks others, and ranks as now
    parts = principal_parts(x, version=1)
    np.testing.assert_allclose(
        [one.std(axis=0).mean() * one.shape[1] ** 0.5 for one in parts], 2, rtol=0.05
    )
    again = sharpen(None, prior, rows, members[rows], labels=labels, parts=parts, version=1)
    np.testing.assert_array_equal(again.scores, then)


def test_the_count_holds_the_truth_on_even_draws_and_on_noise(planted: Any) -> None:
    members = planted[1]
    held = []
    for seed in range(40):
        *_, told = asked(planted, 8, seed)
        assert told.drawn >= 20 and told.low <= told.expected <= told.high
        held.append(told.low <= members.sum() <= told.high)
    assert np.mean(held) >= 0.85  # 93 % less two and a half errors of forty draws


def test_below_twenty_drawn_answers_at_least_what_was_found(planted: Any) -> None:
    *_, answers, _, told = asked(planted, 3)
    assert told.drawn < 20 and told.low == answers.sum()
    assert told.high == N - (~answers).sum()


def test_the_estimate_is_right_on_average() -> None:
    random = np.random.default_rng(0)
    truth = random.random(2000) < 0.1
    guess = np.full(2000, 0.3)
    found = []
    for seed in range(200):
        rows, chances = draw(np.arange(2000), guess, 50, seed)
        assert abs(len(rows) - 50) <= 1
        found.append(
            count_members(2000, 0, 0, guess.sum(), truth[rows] - guess[rows], chances, 2000)[0]
        )
    assert np.mean(found) == pytest.approx(truth.sum(), rel=0.06)


@pytest.mark.parametrize("answers", [[], [False] * 10, [True] * 10], ids=str)
def test_one_sided_answers_go_on_from_the_prior(planted: Any, answers: list[bool]) -> None:
    x, _, prior, labels = planted
    rows = np.argsort(-prior)[: len(answers)]
    told = sharpen(x, prior, rows, answers, labels=labels)
    assert np.isfinite(told.scores).all() and len(told.next) == 10
    if not any(answers):
        chosen = told.next[np.isnan(told.chances)]
        order = np.argsort(-prior)
        reach = 4 * (7 + len(answers)) + 3  # three may have been drawn of the first
        assert np.isin(chosen, order[len(answers) : len(answers) + reach]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": lambda x: x[:, :1]},
        {"embeddings": lambda x: np.ones_like(x)},
        {"embeddings": lambda x: x.astype(np.float16)},
        {"embeddings": lambda x: x + 1e6},
        {"prior": lambda p: np.full(N, -np.inf)},
        {"prior": lambda p: np.zeros(N)},
        {"labels": lambda y: np.arange(N)},
        {"labels": lambda y: y.astype(str).astype(object)},
        {"n_next": lambda _: 0},
        {"n_next": lambda _: 5000},
        {"skipped": lambda _: np.arange(100, 1400)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_odd_data_still_get_an_answer(planted: Any, change: dict[str, Any]) -> None:
    x, members, prior, labels = planted
    given: dict[str, Any] = {"embeddings": x, "prior": prior, "labels": labels, "n_next": 10}
    given |= {name: make(given.get(name)) for name, make in change.items()}
    rows = np.concatenate([np.flatnonzero(members)[:5], np.flatnonzero(~members)[:5]])
    rows = np.setdiff1d(rows, given.get("skipped", []))
    told = sharpen(given.pop("embeddings"), given.pop("prior"), rows, members[rows], **given)
    left = N - len(rows) - len(given.get("skipped", []))
    assert np.isfinite(told.scores).all() and len(told.next) == min(given["n_next"], left)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prior": np.full(N, np.nan)}, "prior must hold numbers"),
        ({"prior": np.zeros(3)}, "prior must hold one number for each of 1500"),
        ({"answered": [N]}, "rows from 0 to 1499"),
        ({"answered": [1, 1]}, "row 1 is repeated"),
        ({"answered": [1.5, 2.0]}, "list of rows"),
        ({"answers": [True]}, "each of 2 answered rows"),
        ({"answers": [0, 2]}, "True or False"),
        ({"skipped": [5]}, "answered or skipped, not both: row 5"),
        ({"chances": [0.5]}, "each of 2 answered rows"),
        ({"chances": [0.0, 0.5]}, r"\(0, 1\]"),
        ({"labels": [1]}, "labels must hold one value"),
        ({"n_next": -1}, "n_next must be"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(planted: Any, change: dict[str, Any], words: str) -> None:
    x, _, prior, labels = planted
    given: dict[str, Any] = {
        "prior": prior,
        "answered": [5, 6],
        "answers": [True, False],
        "labels": labels,
    }
    given |= change
    with pytest.raises(InputError, match=words):
        sharpen(x, given.pop("prior"), given.pop("answered"), given.pop("answers"), **given)


def test_a_drawn_answer_has_no_part_in_its_own_place(planted: Any) -> None:
    """However it was answered, an audit row is placed by the others alone."""
    x, _, prior, labels = planted
    rows, answers, chances, told = asked(planted, 6)
    assert len(told.audit) == told.drawn == np.isfinite(chances).sum()
    for one in np.flatnonzero(np.isfinite(chances))[:4]:
        turned = answers.copy()
        turned[one] = ~turned[one]
        other = sharpen(x, prior, rows, turned, chances=chances, labels=labels)
        at = int(np.isfinite(chances[:one]).sum())
        assert other.audit[at, 0] == told.audit[at, 0]
        assert other.audit[at, 1] == 1 - told.audit[at, 1]


def test_the_precision_of_a_cut_holds_the_truth(planted: Any) -> None:
    members, held = planted[1], []
    for seed in range(25):
        rows, answers, chances, told = asked(planted, 8, seed)
        order = ranking(told.scores)
        for cut in (40, told.cut, 2 * told.cut):
            chosen = np.isin(order[:cut], rows[answers & np.isnan(chances)]).sum()
            share, low, high, n = cut_precision(told.audit, told.audit_weights, cut, int(chosen))
            if n:
                assert 0 <= low <= share <= high <= 1
                held.append(low - 1e-9 <= members[order[:cut]].mean() <= high + 1e-9)
    assert len(held) > 30 and np.mean(held) >= 0.85


@pytest.mark.parametrize(
    ("audit", "cut", "known", "share", "n"),
    [
        ([], 10, 0, np.nan, 0),
        ([], 10, 10, 1.0, 0),
        ([(3, 1), (4, 0), (50, 0)], 10, 0, 0.5, 2),  # the third lies below
        ([(3, 1), (4, 0)], 10, 6, 0.8, 2),  # six are known, half of the other four
    ],
)
def test_what_the_precision_is_made_of(
    audit: list[tuple[int, int]], cut: int, known: int, share: float, n: int
) -> None:
    places = np.array(audit, np.int64).reshape(-1, 2)
    found = cut_precision(places, np.full(len(places), 4.0), cut, known)
    assert found[0] == pytest.approx(share, nan_ok=True) and found[3] == n


def test_further_answers_change_little_once_the_line_is_clear(planted: Any) -> None:
    assert np.isnan(asked(planted, 1)[-1].changed)
    late = [asked(planted, 12, seed)[-1].changed for seed in range(3)]
    early = [asked(planted, 2, seed)[-1].changed for seed in range(3)]
    assert max(late) < min(early) and max(late) < 0.2


@pytest.mark.parametrize(
    ("said", "yes", "no", "passed", "split"),
    [
        ([], [], [], [], []),
        ([(1, "a", "yes", None), (2, "a", "no", 0.1), (3, "a", "skip", None)], [1], [2], [3], []),
        ([(1, "a", "yes", None), (1, "a", "no", None)], [], [1], [], []),  # the last one counts
        ([(1, "a", "yes", None), (1, "b", "no", None)], [], [], [1], [1]),  # a tie
        ([(1, "a", "yes", None), (1, "b", "no", 0.5), (1, "c", "yes", None)], [1], [], [], [1]),
        ([(1, "a", "skip", 0.5), (1, "b", "yes", None)], [1], [], [], []),
    ],
)
def test_the_majority_counts(said: Any, yes: Any, no: Any, passed: Any, split: Any) -> None:
    told = tally(said)
    assert told.rows[told.answers].tolist() == yes and told.rows[~told.answers].tolist() == no
    assert told.passed.tolist() == passed and told.split.tolist() == split
    drawn = {row: chance for row, _, _, chance in said if chance}
    assert [drawn.get(row, 0) for row in told.rows] == np.nan_to_num(told.chances).tolist()


@pytest.mark.parametrize("size", [1, 3, 200, N], ids=lambda size: f"{size} members")
def test_any_group_is_a_start(planted: Any, size: int) -> None:
    x, members, _, labels = planted
    parts = principal_parts(x)
    rows = np.flatnonzero(members)[:size] if size < 100 else np.arange(size)
    start = start_ranking(parts, rows)
    assert set(ranking(start)[: len(rows)]) == set(rows) and np.isfinite(start).all()
    np.testing.assert_array_equal(start, start_ranking(parts, rows[::-1]))  # no order of theirs
    told = sharpen(None, start, [], [], labels=labels, parts=parts)
    assert len(told.next) == 10 and told.cut >= 1
    assert len(start_members(np.arange(9000))) == 5000


def test_a_region_starts_with_its_own_ranking(planted: Any) -> None:
    x, _, prior, labels = planted
    rows = start_of_scores(prior)
    assert len(rows) == np.isfinite(prior).sum()
    start = start_ranking(principal_parts(x), rows, ranked=True)
    np.testing.assert_array_equal(np.isfinite(start), np.isfinite(prior))
    for given in (prior, start):  # only the order matters
        found = sharpen(x, given, [3, 4], [True, False], labels=labels).scores
        np.testing.assert_array_equal(
            found, sharpen(x, prior, [3, 4], [1, 0], labels=labels).scores
        )
    weights = np.where(np.arange(N) < 9, np.arange(N), 0.0)  # a kernel is 0 far away
    assert start_of_scores(weights).tolist() == list(range(8, 0, -1))
