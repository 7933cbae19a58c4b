"""One table over all methods: folding, overlap and the held-out test, by hand and by chance."""

from dataclasses import replace

import numpy as np
import pytest

from backend.core.errors import InputError, JobCancelled
from backend.slices import (
    compare_groups,
    failure_directions,
    find_groups,
    highest_loss,
    weighted_jaccard,
)
from backend.slices.chance import p_of_groups
from backend.slices.compare import COLUMNS, fold
from backend.slices.held_out import split_halves
from tests.bundles import planted


def rows(*values):
    return np.array(values, dtype=np.int64)


def test_folding_by_hand():
    large, inside, mostly, half = rows(*range(20)), rows(0, 1, 2), rows(*range(4), 30), rows(1, 40)
    assert fold([inside, large, mostly, half], 50) == [1, None, 1, None]
    # 4 of 5 members is exactly 80 %; at 90 % it stays.
    assert fold([mostly, large], 50, 0.9) == [None, None]


def test_folding_never_chains_and_ties_go_to_the_earlier():
    same = rows(1, 2, 3)
    assert fold([same, same[::-1], same], 9) == [None, 0, 0]
    # 0..9 lies 80 % in 2..17; 0..4 lies in 0..9 but not in 2..17, and 0..9 is folded itself.
    small, middle, large = rows(*range(5)), rows(*range(10)), rows(*range(2, 18))
    assert fold([small, middle, large], 20) == [None, 2, None]
    assert fold([rows(), same], 9) == [None, None]


def test_weighted_jaccard_by_hand():
    one, other = [[1.0, 0.5, 0.0]], [[0.5, 0.5, 1.0], [0, 0, 0]]
    np.testing.assert_allclose(weighted_jaccard(one, other), [[1 / 2.5, 0]])
    assert np.isnan(weighted_jaccard([[0.0]], [[0.0]]))[0, 0]


def test_halves_balance_every_label():
    labels = np.random.default_rng(0).integers(0, 4, 101)
    first, second = split_halves(101, labels, seed=5)
    np.testing.assert_array_equal(np.sort(np.r_[first, second]), np.arange(101))
    for label in range(4):
        counts = [(labels[half] == label).sum() for half in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1
    assert abs(len(first) - len(second)) <= 1


def test_p_by_hand_of_all_orders():
    # 2 of 6 losses are 1. The group holds 4 rows, both of those among them: z is the largest
    # possible, reached by chance with probability C(4,2) / C(6,2) = 6 / 15.
    weights = np.array([[1.0, 1, 1, 1, 0, 0]])
    losses = np.array([1.0, 1, 0, 0, 0, 0])
    p = p_of_groups(weights, losses, np.zeros(6, int), 4000, np.random.default_rng(0))
    assert p[0] == pytest.approx(6 / 15, abs=0.03)


def test_p_is_nan_where_nothing_can_be_said():
    losses = np.random.default_rng(0).random(40)
    weights = np.stack([np.arange(40) < 3, np.zeros(40), np.arange(40) < 20]).astype(float)
    p = p_of_groups(weights, losses, np.zeros(40, int), 19, np.random.default_rng(0))
    assert np.isnan(p[:2]).all() and np.isfinite(p[2])
    flat = p_of_groups(weights, np.ones(40), np.zeros(40, int), 19, np.random.default_rng(0))
    assert np.isnan(flat).all()


def test_labels_that_fail_evenly_give_no_claim():
    strata = np.repeat([0, 1], 100)
    losses = strata * 5.0 + np.random.default_rng(0).random(200)
    weights = strata[None].astype(float)
    assert p_of_groups(weights, losses, strata, 99, np.random.default_rng(0))[0] > 0.5
    assert p_of_groups(weights, losses, 0 * strata, 99, np.random.default_rng(0))[0] == 0.01


def test_p_is_uniform_enough_under_noise():
    random = np.random.default_rng(0)
    strata = np.arange(120) % 3
    p = []
    for _ in range(200):
        weights = random.random((4, 120)) ** 4
        p.append(np.nanmin(p_of_groups(weights, random.gamma(1, 1, 120), strata, 39, random)))
    # Corrected for the four groups: at most a tenth of the fits claims anything at 10 %.
    assert np.mean(np.array(p) <= 0.1) < 0.16 and np.mean(np.array(p) <= 0.5) > 0.35


def test_the_table_of_all_methods():
    given = planted(1000, 8)
    data = {name: given[name] for name in ("embeddings", "losses", "labels", "predictions")}
    results = [
        find_groups(method, **data, n_groups=2)
        for method in ("mixture", "george", "directions", "error_clusters", "highest_loss")
    ]
    found = compare_groups(results, given["losses"], shuffles=39)
    table = found.table
    assert tuple(table.columns) == COLUMNS
    assert found.overlap.shape == (len(table), len(table))
    np.testing.assert_allclose(np.diag(found.overlap), 1)
    np.testing.assert_allclose(found.overlap, found.overlap.T)
    np.testing.assert_allclose(table["ratio"], table["mean_loss"] / given["losses"].mean())
    first = table.groupby("method").first()
    # The planted group is found again on either half, is as bad there, and the claim holds.
    for method in ("george", "directions", "error_clusters"):
        assert first.loc[method, "held_out_ratio"] > 3, method
        assert first.loc[method, "p"] == pytest.approx(2 / 40), method
    assert first.loc["george", "rediscovered"] > 0.95
    assert np.isnan(first.loc["highest_loss", "p"])
    assert "by construction" in first.loc["highest_loss", "note"]
    assert "by construction" in first.loc["mixture", "note"]
    # Directions and mixture parts lie inside GEORGE's cluster, which is the planted group.
    george = int(table.index[table["method"] == "george"][0])
    assert first.loc["directions", "folded_into"] == george
    assert table["folded_into"].isna()[george]
    for group, held in enumerate(found.members):
        assert len(held) == round(table.loc[group, "size"])


def test_groups_of_noise_are_not_claimed():
    tables = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        embeddings, losses = random.standard_normal((1200, 2)), random.gamma(1, 1, 1200)
        found = find_groups(
            "error_clusters", embeddings, losses, n_groups=3, n_clusters=4, seed=seed
        )
        tables.append(compare_groups([found], losses, shuffles=39, seed=seed).table)
    assert sum((table["p"] <= 0.05).any() for table in tables) <= 3
    ratios = [value for table in tables for value in table["held_out_ratio"].dropna()]
    assert len(ratios) > 10 and abs(np.mean(ratios) - 1) < 0.15


def test_a_group_that_is_not_found_again_has_p_one():
    random = np.random.default_rng(0)
    embeddings = random.standard_normal((400, 40))
    wrong = random.random(400) < 0.3
    found = failure_directions(embeddings, wrong * 1.0, np.zeros(400, int), wrong * 1)
    lost = replace(
        found,
        refit=lambda inputs, progress: replace(
            found.refit(inputs, progress=progress), rule=_nobody
        ),
    )
    table = compare_groups([lost], wrong * 1.0, shuffles=19).table
    assert table["rediscovered"].tolist() == [0] and table["p"].tolist() == [1]
    assert table["held_out_loss"].isna().all()


def _nobody(inputs):
    return np.zeros((1, len(inputs))), np.zeros((1, len(inputs)))


def test_progress_never_falls_and_can_stop_a_comparison():
    given = planted(400, 5)
    found = find_groups("george", given["embeddings"], given["losses"], given["labels"])
    told = []
    compare_groups(
        [found, found], given["losses"], shuffles=19, progress=lambda *at: told.append(at)
    )
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    assert len(set(fractions)) > 8

    def stop(fraction, message):
        if fraction > 0.3:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        compare_groups([found], given["losses"], progress=stop)


def test_without_the_halves_the_columns_are_empty():
    losses = np.arange(50.0)
    table = compare_groups([highest_loss(np.eye(50), losses)], losses, held_out=False).table
    assert table[["held_out_loss", "held_out_ratio", "rediscovered", "p"]].isna().all().all()
    assert table["mean_loss"].tolist() == [49.0] and bool(table["small"][0])
    signed = compare_groups([highest_loss(np.eye(50), losses - 40)], losses - 40, held_out=False)
    assert signed.table["ratio"].isna().all()


def test_what_it_refuses():
    losses = np.arange(50.0)
    found = highest_loss(np.eye(50), losses)
    for call, text in [
        (lambda: compare_groups([], losses), "at least one result: got none"),
        (
            lambda: compare_groups([found], losses[:49]),
            "weighs 50 examples and there are 49 losses",
        ),
        (lambda: compare_groups([found], losses, shuffles=5), "at least 19: got 5"),
        (lambda: compare_groups([found], losses, fold_share=0.5), r"in \(0.5, 1\]: got 0.5"),
    ]:
        with pytest.raises(InputError, match=text):
            call()


# --- examples kept aside --------------------------------------------------------------------------


FINDERS = ("mixture", "george", "directions", "error_clusters")


def noisy(seed, n=900):
    """Losses that differ between labels and predictions, and nowhere else; a third kept aside."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    predictions = np.where(random.random(n) < 0.25, 1 - labels, labels)
    return {
        "embeddings": random.standard_normal((n, 5)),
        "losses": random.gamma(1, 0.5, n) * (1 + labels) + 2.0 * (predictions != labels),
        "labels": labels,
        "predictions": predictions,
        "kept_aside": np.arange(n) % 3 == 0,
    }


@pytest.mark.parametrize("method", FINDERS)
def test_losses_kept_aside_change_no_member_order_or_p(method):
    given = noisy(1)
    changed = {**given, "losses": np.where(given["kept_aside"], 50.0, given["losses"])}
    if method not in ("mixture",):  # whose rule reads predictions
        swapped = np.where(given["kept_aside"], 1 - given["predictions"], given["predictions"])
        changed["predictions"] = swapped
    tables = []
    for data in (given, changed):
        found = find_groups(method, **data, n_groups=4)
        assert not np.isin(np.nan, found.mean_losses)
        compared = compare_groups([found], data["losses"], shuffles=19)
        tables.append((found.weights, found.scores, compared))
    for one, other in zip(*(table[:2] for table in tables), strict=True):
        np.testing.assert_array_equal(one, other)
    before, after = (table[2] for table in tables)
    same = ["group", "size", "members", "mean_loss", "ratio", "held_out_loss", "p", "note"]
    assert before.table[same].equals(after.table[same])
    assert all(effect.loss == 50 for effect in after.effects if effect.n)
    assert any(effect.n for effect in after.effects)


@pytest.mark.parametrize("method", FINDERS)
def test_what_is_said_of_groups_is_true_of_new_examples(method):
    said, true = [], []
    for seed in range(6):
        given = noisy(seed)
        found = find_groups(method, **given, n_groups=3, seed=seed)
        effects = compare_groups([found], given["losses"], held_out=False).effects
        new = noisy(1000 + seed, 30_000)
        losses = new.pop("losses")
        weights = found.score(
            **{name: new[name] for name in ("embeddings", "labels", "predictions")}
        )
        for row, effect in zip(weights, effects, strict=True):
            if effect.n:
                said.append((effect.n, effect.loss))
                true.append(row @ losses / row.sum())
    n, loss = np.array(said).T
    assert (n @ loss) / (n @ np.array(true)) == pytest.approx(1, abs=0.06)


def test_what_is_kept_aside_must_fit():
    given = noisy(2)
    found = find_groups("error_clusters", **given)
    for call, words in [
        (lambda: find_groups("george", **{**given, "kept_aside": [True]}), r"bool of shape \(1,\)"),
        (
            lambda: find_groups("george", **{**given, "kept_aside": np.ones(900, bool)}),
            "must leave examples to find groups",
        ),
        (
            lambda: compare_groups([found], given["losses"], kept_aside=~given["kept_aside"]),
            "without which every result was found",
        ),
    ]:
        with pytest.raises(InputError, match=words):
            call()
