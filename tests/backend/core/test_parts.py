"""Rows are kept aside by a rule that nobody can draw again, evenly and with groups whole."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.core.parts import bundle_aside, deal, group_codes, kept_aside


def counted(parts, labels, part=0):
    return np.bincount(labels, weights=parts == part), np.bincount(labels)


def test_a_third_of_each_label_and_of_all_is_kept_aside_to_within_one_row():
    random = np.random.default_rng(0)
    for n, n_labels in ((20, 1), (97, 5), (1000, 400), (3001, 7)):
        labels = random.integers(0, n_labels, n)
        aside = kept_aside(n, key=f"{n}", labels=labels)
        inside, of = counted(aside, labels, True)
        assert (np.abs(inside - of / 3) < 1).all()
        assert abs(aside.sum() - n / 3) < 1


def test_the_same_rows_are_kept_aside_on_every_machine():
    # Remade with: hashlib.sha256(np.packbits(kept_aside(...)).tobytes()).hexdigest()
    labels = np.arange(500) % 7
    groups = np.where(np.arange(500) % 3 == 0, -1, np.arange(500) // 4)
    plain = kept_aside(500, key="a bundle", labels=labels)
    grouped = kept_aside(500, key="a bundle", labels=labels, groups=groups)
    assert _digest(plain) == PLAIN
    assert _digest(grouped) == GROUPED


def _digest(mask):
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16]


PLAIN, GROUPED = "3a366312a7b74d5e", "6d7405796aced85a"


def test_other_keys_keep_other_rows_aside_and_every_row_has_its_turn():
    labels = np.random.default_rng(0).integers(0, 4, 50)
    times = np.mean([kept_aside(50, key=str(key), labels=labels) for key in range(1500)], axis=0)
    assert np.abs(times - 1 / 3).max() < 0.06  # five standard errors


def test_the_size_of_a_group_does_not_decide_whether_it_is_kept_aside():
    groups = np.repeat([0, 1, 2, 3, 4, -1], [20, 13, 7, 4, 2, 10])
    labels = np.random.default_rng(1).integers(0, 2, len(groups))
    for given in (labels, None, groups % 2):  # mixed, none, and one label a group
        times = np.mean(
            [kept_aside(56, key=str(key), labels=given, groups=groups) for key in range(600)],
            axis=0,
        )
        assert np.abs(times - 1 / 3).max() < 0.1, given


def test_groups_stay_whole_and_labels_even():
    random = np.random.default_rng(2)
    groups = np.concatenate([np.full(40, -1), random.integers(0, 300, 2000)])
    labels = random.integers(0, 5, len(groups))
    for shares in ((1, 2), (1, 1), (1, 1, 1)):
        parts = deal(len(groups), key="x", shares=shares, labels=labels, groups=groups)
        for code in np.unique(groups[groups >= 0]):
            assert len(set(parts[groups == code])) == 1
        for part, share in enumerate(np.array(shares) / sum(shares)):
            inside, of = counted(parts, labels, part)
            assert np.abs(inside - share * of).max() < 4
        assert len(set(parts[groups < 0])) == len(shares)


def test_near_duplicates_of_one_label_cost_no_balance():
    groups = np.arange(3000) // 2
    labels = groups % 11
    aside = kept_aside(3000, key="pairs", labels=labels, groups=groups)
    inside, of = counted(aside, labels, True)
    assert (aside[::2] == aside[1::2]).all()
    assert np.abs(inside - of / 3).max() <= 2


def test_one_huge_group_is_made_up_for_by_the_rest():
    groups = np.where(np.arange(900) < 250, 0, -1)
    for key in range(20):
        aside = kept_aside(900, key=str(key), groups=groups)
        assert abs(aside.sum() - 300) < 1
    groups = np.where(np.arange(900) < 600, 0, -1)  # more than there is room for
    sums = {int(kept_aside(900, key=str(key), groups=groups).sum()) for key in range(20)}
    assert sums == {600, 150}


def test_groups_of_one_are_no_groups():
    labels = np.arange(100) % 3
    alone = kept_aside(100, key="x", labels=labels)
    of_one = kept_aside(100, key="x", labels=labels, groups=np.arange(100))
    assert np.abs(np.bincount(labels, of_one) - np.bincount(labels, alone)).max() <= 1
    none = kept_aside(100, key="x", labels=labels, groups=np.full(100, -1))
    assert (none == alone).all()


def test_any_whole_numbers_are_shares_and_few_rows_are_dealt_as_well():
    labels = np.random.default_rng(3).integers(0, 6, 997)
    parts = deal(997, key=5, shares=(3, 2, 5), labels=labels)
    for part, share in enumerate((0.3, 0.2, 0.5)):
        inside, of = counted(parts, labels, part)
        assert (np.abs(inside - share * of) < 1).all()
    assert deal(0, key="x", shares=(1, 2)).shape == (0,)
    assert deal(1, key="x", shares=(1,)).tolist() == [0]
    assert (deal(997, key=5, shares=(3, 2, 5), labels=labels * 10**6 - 3) == parts).all()


def test_too_few_rows_are_not_split():
    assert not kept_aside(19, key="x").any()
    assert kept_aside(20, key="x").sum() in (6, 7)
    assert kept_aside(0, key="x").shape == (0,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: deal(4, key=0, shares=(1, 0)), "whole numbers above 0: got"),
        (lambda: deal(4, key=0, shares=(0.5, 0.5)), "whole numbers above 0: got"),
        (lambda: deal(4, key=0, shares=()), "whole numbers above 0: got"),
        (lambda: deal(4, key=0, shares=(1, 1), labels=[1, 2]), "labels must be one whole number"),
        (lambda: kept_aside(30, key="", groups=np.zeros(30)), "groups must be one whole number"),
    ],
)
def test_what_cannot_be_dealt_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def bundle(n=60, **columns):
    examples = pd.DataFrame({"id": [str(i) for i in range(n)], **columns})
    return SimpleNamespace(n=n, content="d", label_codes=np.arange(n) % 3, examples=examples)


def test_a_bundle_has_one_split_and_one_more_for_each_column_of_groups():
    given = bundle(patient=[f"p{i // 6}" for i in range(60)])
    plain = bundle_aside(given)
    assert (plain == kept_aside(60, key="d", labels=given.label_codes)).all()
    whole = bundle_aside(given, "patient").reshape(10, 6)
    assert (whole == whole[:, :1]).all()
    assert whole.any()
    other = bundle()
    other.label_codes = None  # a regression: its targets are no labels
    assert (bundle_aside(other) == kept_aside(60, key="d")).all()


@pytest.mark.parametrize(
    "column",
    [
        ["a", "a", "", "b", None],
        [1.0, 1.0, np.nan, 2.0, np.nan],
        pd.array(["a", "a", None, "b", ""], dtype="str"),
    ],
)
def test_rows_without_a_group_go_alone(column):
    assert group_codes(bundle(5, video=column), "video").tolist() == [0, 0, -1, 1, -1]


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InputError, match=r"got 'vido'. It has id, video"):
        bundle_aside(bundle(video=["a"] * 60), "vido")
    assert group_codes(bundle(3, flag=[True, False, True]), "flag").tolist() == [0, 1, 0]
