"""What training examples do to groups: D3M, Auto-D3M, removal, and whether rankings repeat."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from backend.attribution import (
    column_halves,
    group_alignment,
    mean_alignment,
    projection_agreement,
    pseudo_components,
    pseudo_groups,
    rank_agreement,
    remove_harmful,
    search_removal,
)
from backend.core.errors import InputError
from tests.backend.attribution import twin


def problem(n_train=12, n=40, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    return rng.normal(size=(n_train, n)), groups, rng.exponential(size=n)


def two_classes(n=60, n_train=15, seed=0):
    """Two classes, in each of which a share of targets is pulled another way."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n // 2)
    pulled = rng.random(n) < 0.3
    attribution = rng.normal(size=(n_train, n)) * 0.3
    attribution += np.outer(rng.normal(size=n_train), np.where(pulled, -1.0, 1.0))
    return attribution, labels, ~pulled, np.where(pulled, 2.0, 0.3) + 0.1 * rng.random(n), pulled


# --- group alignment ------------------------------------------------------------------------------


def test_alignment_worked_out_on_paper():
    attribution = [[1.0, 3.0, -4.0], [-1.0, -1.0, 6.0]]
    found = group_alignment(attribution, ["x", "x", "y"], [0.0, 0.0, np.log(3)])
    np.testing.assert_allclose(found.group_losses, [0, np.log(3)])
    np.testing.assert_allclose(found.weights, [0.25, 0.75])
    np.testing.assert_allclose(found.scores, [0.25 * 2 - 0.75 * 4, -0.25 + 0.75 * 6])
    assert found.keep.tolist() == [False, True]
    assert found.names == ("x", "y") and found.counts.tolist() == [2, 1]
    linear = group_alignment(attribution, ["x", "x", "y"], [1.0, 1.0, 3.0], weighting="linear")
    np.testing.assert_allclose(linear.weights, [0.5, 1.5])


@pytest.mark.parametrize("beta", [0.0, 1.0, 3.7])
def test_alignment_is_that_of_the_formula(beta):
    attribution, groups, losses = problem()
    found = group_alignment(attribution, groups, losses, beta=beta)
    scores, weights, group_losses = twin.alignment(attribution, groups, losses, beta)
    np.testing.assert_allclose(found.scores, scores)
    np.testing.assert_allclose(found.weights, weights)
    np.testing.assert_allclose(found.group_losses, group_losses)


def test_alignment_has_the_limits_and_invariances_it_should_have():
    attribution, groups, losses = problem()
    means = np.stack([attribution[:, groups == name].mean(1) for name in "abc"])
    balanced = group_alignment(attribution, groups, losses, beta=0)
    np.testing.assert_allclose(balanced.scores, means.mean(0))
    worst = group_alignment(attribution, groups, losses, beta=np.inf)
    np.testing.assert_allclose(worst.scores, means[worst.group_losses.argmax()])
    np.testing.assert_allclose(
        group_alignment(attribution, groups, losses, beta=4000).scores, worst.scores
    )
    tied = group_alignment(attribution, groups, np.ones(40), beta=np.inf)
    np.testing.assert_allclose(tied.weights, 1 / 3)
    base = group_alignment(attribution, groups, losses)
    moved = group_alignment(attribution, groups, losses + 1e4)
    np.testing.assert_allclose(moved.scores, base.scores, rtol=1e-8)
    order = np.random.default_rng(0).permutation(40)
    mixed = group_alignment(attribution[:, order], groups[order], losses[order])
    np.testing.assert_allclose(mixed.scores, base.scores)
    models = np.stack([losses * 0.5, losses * 1.5])  # the mean over models is the loss
    np.testing.assert_allclose(group_alignment(attribution, groups, models).scores, base.scores)
    pairs = [("woman", 1) if name == "a" else ("man", 0) for name in groups]
    assert group_alignment(attribution, pairs, losses).names == (("man", 0), ("woman", 1))
    assert group_alignment(attribution, [1 if g == "a" else "x" for g in groups], losses).counts.sum() == 40  # fmt: skip


def test_alignment_says_what_a_reader_has_to_know():
    attribution, _, losses = problem()
    one = group_alignment(np.abs(attribution), np.zeros(40), losses)
    assert one.keep.all() and len(one.notes) == 2
    assert "one group only" in one.notes[0] and "nothing would be removed" in one.notes[1]


# --- pseudo-groups --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.35, 0.2, 0.5])
def test_pseudo_groups_are_those_of_the_formula(share):
    attribution, labels, correct, losses, pulled = two_classes()
    found = pseudo_groups(attribution, labels, correct, losses, share=share)
    np.testing.assert_array_equal(found, twin.pseudo(attribution, labels, correct, losses, share))
    assert found.dtype == np.int64 and set(found) == {0, 1}
    assert pulled[found == 1].mean() > 2 * pulled[found == 0].mean()


def test_a_flipped_component_changes_nothing():
    attribution, labels, correct, losses, _ = two_classes()
    base = pseudo_components(attribution, labels, correct, losses)
    for one in (-attribution, attribution[::-1], attribution * 1e-6, attribution * 1e6):
        np.testing.assert_array_equal(pseudo_groups(one, labels, correct, losses), base.groups)
    # Any array with the same inner products of its columns, of another height.
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(40, 15)))[0]
    turned = pseudo_components(q @ attribution, labels, correct, losses)
    np.testing.assert_array_equal(turned.groups, base.groups)
    np.testing.assert_allclose(turned.projections, base.projections, atol=1e-10)
    np.testing.assert_allclose(turned.explained, base.explained, atol=1e-12)


def test_components_can_be_chosen_and_say_what_they_explain():
    attribution, labels, correct, losses, _ = two_classes()
    held = attribution[:, labels == 1].T
    held = held - held.mean(0)
    _, singular, vectors = np.linalg.svd(held, full_matrices=False)
    found = pseudo_components(attribution, labels, correct, losses, component={1: 2})
    assert found.components.tolist() == [0, 2] and found.classes == (0, 1)
    np.testing.assert_allclose(found.explained[1], (singular**2 / (singular**2).sum())[:5])
    along = found.projections[labels == 1]
    np.testing.assert_allclose(np.abs(along), np.abs(held @ vectors[2]), atol=1e-10)
    assert found.explained[1][0] == found.explained[1].max()


def test_equal_accuracy_is_decided_by_loss_and_then_by_the_low_end():
    attribution = np.arange(20.0)[None] ** 1.5
    labels, correct = np.zeros(20, int), np.ones(20, bool)
    rising = pseudo_components(attribution, labels, correct, np.arange(20.0))
    falling = pseudo_components(attribution, labels, correct, -np.arange(20.0))
    assert np.flatnonzero(rising.groups).tolist() == list(range(13, 20))
    assert np.flatnonzero(falling.groups).tolist() == list(range(7))
    alike = pseudo_components(attribution, labels, correct)
    assert alike.low_end.all() and np.flatnonzero(alike.groups).tolist() == list(range(7))


def test_the_released_codes_split_and_scaling_are_options():
    attribution, labels, correct, losses, _ = two_classes()
    unit = attribution / np.linalg.norm(attribution, axis=0)
    found = pseudo_components(attribution, labels, correct, losses, split="zero", unit_rows=True)
    expected = pseudo_components(unit, labels, correct, losses, split="zero")
    np.testing.assert_allclose(found.projections, expected.projections, atol=1e-10)
    for code in (0, 1):
        own = labels == code
        side = found.projections[own] < 0 if found.low_end[code] else found.projections[own] >= 0
        np.testing.assert_array_equal(found.groups[own] == 1, side)


def test_small_and_flat_classes_stay_one_group():
    attribution, labels, correct, losses, _ = two_classes()
    labels = np.concatenate([labels[:51], np.full(9, 7)])
    attribution = attribution.copy()
    attribution[:, labels == 0] = 3.0
    found = pseudo_components(attribution, labels, correct, losses)
    assert not found.groups[labels != 1].any() and found.groups[labels == 1].any()
    assert "same attributions" in found.notes[0] and "9 targets, fewer than 10" in found.notes[1]


def test_large_classes_have_the_components_of_small_ones(monkeypatch):
    attribution, labels, correct, losses, _ = two_classes()
    direct = pseudo_components(attribution, labels, correct, losses)
    monkeypatch.setattr("backend.attribution.pseudo._DIRECT", 8)
    found = pseudo_components(attribution, labels, correct, losses)
    np.testing.assert_allclose(found.projections, direct.projections, atol=1e-8)
    np.testing.assert_array_equal(found.groups, direct.groups)


# --- removal --------------------------------------------------------------------------------------


def test_removal_by_sign_and_by_number():
    scores, labels = [0.5, -2.0, 0.0, -1.0, -2.0], ["u", "u", "v", "v", "u"]
    signed = remove_harmful(scores, labels=labels)
    assert signed.rows.tolist() == [1, 4, 3] and signed.keep.tolist() == [True, False, True, False, False]  # fmt: skip
    expected = pd.DataFrame(
        {"class": ["u", "v"], "n": [3, 2], "removed": [2, 1], "share": [2 / 3, 1 / 2]}
    )
    pd.testing.assert_frame_equal(signed.classes, expected, check_dtype=False)
    assert remove_harmful(scores, 1).rows.tolist() == [1]
    assert remove_harmful([1.0, 2.0]).rows.tolist() == []


def test_a_search_takes_the_best_number_on_validation():
    scores = np.array([-3.0, -2.0, -1.0, 1.0, 2.0])
    seen = []

    def measure(keep):
        seen.append(int((~keep).sum()))
        return {0: 0.5, 1: 0.7, 2: 0.7, 4: 0.1}[seen[-1]]

    best, tried = search_removal(scores, measure, candidates=[2, 1, 4, 3], labels=[0, 0, 0, 1, 1])
    assert best.rows.tolist() == [0] and seen == [0, 1, 2]  # 3 and 4 would empty class 0
    assert tried["removed"].tolist() == [0, 1, 2, 3, 4] and tried["measure"].isna().sum() == 2
    none, _ = search_removal(scores, lambda keep: float(keep.all()), candidates=[1])
    assert none is None


def test_mean_alignment_is_that_of_pandas():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"score": rng.normal(size=200), "label": rng.integers(0, 3, 200), "kind": rng.choice(["p", "q"], 200)}
    )  # fmt: skip
    frame = frame[(frame.label != 2) | (frame.kind != "q")]
    found = mean_alignment(frame.score, frame.label, frame.kind, min_n=33)
    expected = frame.groupby(["label", "kind"]).score.agg(["count", "mean"]).sort_values("mean")
    assert len(found) == 6
    assert list(zip(found.label, found.annotation, strict=True))[:5] == expected.index.tolist()
    np.testing.assert_allclose(found["mean"][:5], expected["mean"])
    assert found["n"][:5].tolist() == expected["count"].tolist()
    last = found.iloc[5]
    assert (last.label, last.annotation, last.n) == (2, "q", 0)
    assert np.isnan(last["mean"]) and np.isnan(last.negative) and last.small
    share = frame[(frame.label == 0) & (frame.kind == "p")].score.lt(0).mean()
    row = found[(found.label == 0) & (found.annotation == "p")].iloc[0]
    np.testing.assert_allclose(row.negative, share)
    assert found.small.tolist() == (found["n"] < 33).tolist()
    assert "annotation" not in mean_alignment(frame.score, frame.label)


# --- agreement ------------------------------------------------------------------------------------


def test_agreement_is_spearmans_per_target(monkeypatch):
    rng = np.random.default_rng(0)
    first = rng.integers(0, 9, (50, 6)).astype(float)
    second = first + rng.normal(size=(50, 6)) * np.arange(1, 7)
    second[:, 5] = 2.0
    monkeypatch.setattr("backend.attribution.agreement._BLOCK_VALUES", 100)
    found = projection_agreement(first, second)
    expected = [spearmanr(first[:, z], second[:, z]).statistic for z in range(5)]
    np.testing.assert_allclose(found[:5], expected)
    assert np.isnan(found[5])


def test_agreement_of_a_ranking_counts_what_both_ends_share():
    first = np.arange(10.0)
    second = first.copy()
    second[[0, 9]] = second[[9, 0]]
    found = rank_agreement(first, second, top=2)
    assert (found.harmful, found.helpful, found.top) == (0.5, 0.5, 2)
    np.testing.assert_allclose(found.correlation, spearmanr(first, second).statistic)
    assert rank_agreement(first, first).correlation == 1 and rank_agreement(first, first).top == 5
    one, other = column_halves(np.arange(10).reshape(1, 2, 5))
    assert one.tolist() == [[[0, 2], [5, 7]]] and other.tolist() == [[[1, 3], [6, 8]]]


A, G, L = problem()
LABELS, RIGHT = np.zeros(40, int), np.ones(40, bool)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: group_alignment(A, G[:9], L), r"groups must be one per target: got 9 .* 40"),
        (lambda: group_alignment(A, G, L[:9]), r"losses must be one per target"),
        (lambda: group_alignment(A, G, L[None, :9]), r"losses of several models"),
        (lambda: group_alignment(A * np.nan, G, L), r"attribution must be finite"),
        (lambda: group_alignment(A, [None, *G[1:]], L), r"groups must all be given: row 0"),
        (lambda: group_alignment(A, np.full(40, np.nan), L), r"groups must all be given"),
        (lambda: group_alignment(A, G, L, beta=-1), r"beta must be 0 or more"),
        (lambda: group_alignment(A, G, L, weighting="max"), r"weighting must be one of"),
        (lambda: group_alignment(A, G, L, weighting="linear", beta=2), r"beta is of the soft-max"),
        (lambda: group_alignment(A, G, L, names=["a", "b", "c", "d"]), r"group 'd' has none"),
        (lambda: group_alignment(A, G, L, names=["a", "b"]), r"'c' is not in"),
        (lambda: pseudo_groups(A, LABELS, RIGHT, share=1.0), r"share must be in \(0, 1\)"),
        (lambda: pseudo_groups(A, LABELS[:3], RIGHT), r"labels must be one per target"),
        (lambda: pseudo_groups(A, LABELS, np.full(40, 2)), r"correct must be true or false"),
        (lambda: pseudo_components(A, LABELS, RIGHT, component=7), r"component must be 0 to 4"),
        (lambda: pseudo_components(A, LABELS, RIGHT, component={3: 1}), r"classes there are not"),
        (
            lambda: pseudo_components(np.ones((3, 1)) * A[0], LABELS, RIGHT, component=1),
            r"no component 1: it has 1",
        ),
        (lambda: pseudo_components(A, LABELS, RIGHT, split="half"), r"split must be one of"),
        (lambda: remove_harmful([1.0, -1.0], labels=[0, 1]), r"class 1 would lose all"),
        (lambda: remove_harmful([-1.0, -1.0]), r"every training example"),
        (lambda: remove_harmful([1.0, -1.0], 2), r"k must be a whole number from 1 to 1"),
        (lambda: search_removal([1.0, -1.0], lambda keep: np.nan, candidates=[]), r"got NaN"),
        (lambda: search_removal([1.0, -1.0], lambda keep: 0, candidates=[5]), r"from 1 to 1"),
        (lambda: mean_alignment([1.0, 2.0], [0]), r"labels must be one per training example"),
        (lambda: projection_agreement(A, A[:, :3]), r"same shape"),
        (lambda: rank_agreement([1.0], [1.0]), r"two examples"),
        (lambda: column_halves(np.ones((1, 2, 1))), r"two columns or more"),
    ],
)
def test_what_makes_no_groups_is_refused_with_a_way_out(call, said):
    with pytest.raises(InputError, match=said):
        call()
