"""PIEs: by hand, against a twin, the properties of the definition, accuracy and samples."""

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.populations import (
    matched_non_pies,
    modal_label,
    pie_accuracy,
    pie_representation,
    select_pies,
    surest_first,
)

BASELINE = [[1, 0, 2, 0], [1, 0, 2, 1], [0, 0, 2, 1]]
COMPRESSED = [[1, 3, 0, 0], [1, 3, 2, 1]]


def test_pies_worked_by_hand():
    # modes 1 0 2 1 against 1 3 2(tied with 0) 1(tied with 0)
    found = select_pies(BASELINE, COMPRESSED, labels=[1, 0, 2, 0])
    assert found.mask.tolist() == [False, True, False, False]
    assert found.baseline_mode.tolist() == [1, 0, 2, 1]
    assert found.compressed_mode.tolist() == [1, 3, 2, 1]
    assert found.tied.tolist() == [False, False, True, True]
    assert (found.n_pies, found.n_tied) == (1, 0)
    assert (found.n_baseline_right, found.n_compressed_right) == (1, 0)
    assert found.notes == ()
    smallest = select_pies(BASELINE, COMPRESSED, tie="smallest")
    assert smallest.mask.tolist() == [False, True, True, True]
    assert smallest.n_tied == 2
    assert smallest.n_baseline_right is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tie", ["largest", "smallest"])
def test_pies_are_the_disagreement_of_modal_labels(seed, tie):
    rng = np.random.default_rng(seed)
    baseline, compressed = rng.integers(0, 3, (4, 200)), rng.integers(0, 3, (5, 200))
    labels = rng.integers(0, 3, 200)
    found = select_pies(baseline, compressed, labels, tie=tie)
    first, second = modal_label(baseline, tie=tie), modal_label(compressed, tie=tie)
    assert np.array_equal(found.mask, first != second)
    for i in range(200):
        counts = [np.sort(np.bincount(side[:, i], minlength=3)) for side in (baseline, compressed)]
        assert found.tied[i] == any(count[-1] == count[-2] for count in counts)
    assert found.n_baseline_right == (found.mask & (first == labels)).sum()
    assert found.n_compressed_right == (found.mask & (second == labels)).sum()


def test_identical_populations_have_no_pies():
    baseline = np.random.default_rng(0).integers(0, 9, (6, 500))
    found = select_pies(baseline, baseline[[5, 1, 3, 0, 2, 4]])
    assert found.n_pies == 0
    assert found.tied.any()


def test_renaming_labels_in_order_changes_nothing():
    rng = np.random.default_rng(1)
    baseline, compressed = rng.integers(0, 5, (4, 300)), rng.integers(0, 5, (3, 300))
    names = np.array(["a", "b", "c", "d", "e"])
    mask = select_pies(baseline, compressed).mask
    assert np.array_equal(mask, select_pies(baseline * 10 - 7, compressed * 10 - 7).mask)
    assert np.array_equal(mask, select_pies(names[baseline], names[compressed]).mask)


def test_without_ties_the_rule_does_not_matter():
    rng = np.random.default_rng(2)
    baseline, compressed = rng.integers(0, 2, (7, 300)), rng.integers(0, 2, (5, 300))
    largest = select_pies(baseline, compressed)
    assert largest.n_pies > 0
    assert not largest.tied.any()
    assert np.array_equal(largest.mask, select_pies(baseline, compressed, tie="smallest").mask)


def test_one_model_is_noted():
    (note,) = select_pies([[1, 2]], [[1, 1], [2, 2]]).notes
    assert note.startswith("The baseline population is one model")


def test_accuracy_worked_by_hand():
    labels, mask = [1, 0, 2, 0], np.array([False, True, False, False])
    table = pie_accuracy(BASELINE, COMPRESSED, labels, mask)
    assert table.columns.tolist() == ["population", "subset", "n", "n_models", "accuracy"]
    assert table["population"].tolist() == ["baseline"] * 3 + ["compressed"] * 3
    assert table["subset"].tolist() == ["pie", "non-pie", "all"] * 2
    assert table["n"].tolist() == [1, 3, 4] * 2
    # baseline right: 2/3, 3/3, 3/3, 1/3; compressed 2/2, 0, 1/2, 1/2
    assert table["accuracy"].tolist() == pytest.approx([1, 2 / 3, 3 / 4, 0, 2 / 3, 1 / 2])


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_agrees_with_its_twin(seed):
    rng = np.random.default_rng(seed)
    names = np.array(["x", "y", "z"])
    baseline, compressed = names[rng.integers(0, 3, (4, 90))], names[rng.integers(0, 3, (6, 90))]
    labels, mask = names[rng.integers(0, 3, 90)], rng.random(90) < 0.3
    table = pie_accuracy(baseline, compressed, labels, mask).set_index(["population", "subset"])
    for name, population in (("baseline", baseline), ("compressed", compressed)):
        for subset, held in (("pie", mask), ("non-pie", ~mask), ("all", mask | True)):
            models = [np.mean(model[held] == labels[held]) for model in population]
            assert table.loc[(name, subset), "accuracy"] == pytest.approx(
                np.mean(models), abs=1e-12
            )


def test_accuracy_on_no_examples_is_undefined():
    table = pie_accuracy(BASELINE, COMPRESSED, [1, 0, 2, 0], np.zeros(4, bool))
    assert table["accuracy"].isna().tolist() == [True, False, False] * 2
    assert table["n"].tolist() == [0, 4, 4] * 2


def test_matched_sample_is_disjoint_equal_and_seeded():
    mask = np.random.default_rng(0).random(1000) < 0.1
    rows = matched_non_pies(mask, seed=3)
    assert len(rows) == len(set(rows.tolist())) == mask.sum()
    assert not mask[rows].any()
    assert np.array_equal(rows, matched_non_pies(mask, seed=3))
    assert not np.array_equal(rows, matched_non_pies(mask, seed=4))
    assert sorted(matched_non_pies(np.array([True, True, False]))) == [2]
    assert len(matched_non_pies(np.zeros(5, bool))) == 0


def test_representation_worked_by_hand():
    mask = np.array([True, True, False, False, False])
    attributes = {"old": [True, False, False, True, False], "place": ["b", "", "a", "b", "b"]}
    table = pie_representation(mask, attributes)
    assert table["attribute"].tolist() == ["old", "old", "place", "place", "place"]
    assert table["value"].tolist() == [False, True, "a", "b", "unknown"]
    assert table["n"].tolist() == [3, 2, 1, 3, 1]
    assert table["n_pie"].tolist() == [1, 1, 0, 1, 1]
    assert table["pie_share"].tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert table["ratio"].tolist() == pytest.approx([0.5 / 0.6, 0.5 / 0.4, 0, 0.5 / 0.6, 0.5 / 0.2])


def test_representation_without_pies_is_undefined():
    table = pie_representation(np.zeros(2, bool), {"a": pd.Series(["x", "y"], index=[8, 9])})
    assert table["share"].tolist() == [0.5, 0.5]
    assert table["ratio"].isna().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: select_pies(np.zeros((0, 2), int), [[1, 2]]), "got 0 models and 2 examples"),
        (lambda: select_pies([[1, 2]], [[1, 2, 3]]), "same examples: got 3 and 2"),
        (lambda: select_pies([[1, 2]], [[1, 2]], [1]), r"got shape \(1,\) for 2 examples"),
        (lambda: select_pies([[1]], [[2]], ["a"]), "labels are names"),
        (lambda: select_pies([[1]], [[2]], tie="any"), "tie must be one of"),
        (lambda: pie_accuracy([[1]], [[2]], [1], [1]), "mask must be booleans of shape"),
        (lambda: pie_accuracy([[1]], [[2]], [1], [True, False]), "mask must be booleans"),
        (lambda: matched_non_pies([0, 1]), "mask must be booleans"),
        (lambda: pie_representation([True], {}), "got none"),
        (lambda: pie_representation([True], {"a": [1, 2]}), "attribute 'a' must be one per"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_representation_is_tested_against_chance():
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(2)
    mask = rng.random(400) < 0.1
    held = rng.random(400) < np.where(mask, 0.5, 0.2)
    level = np.where(held, "rare", "common")
    table = pie_representation(mask, {"kind": level, "same": np.zeros(400)})
    rows = table.set_index(["attribute", "value"])
    twin = fisher_exact(
        [[(mask & held).sum(), (mask & ~held).sum()], [(~mask & held).sum(), (~mask & ~held).sum()]]
    ).pvalue
    assert rows.loc[("kind", "rare"), "p"] == pytest.approx(twin, rel=1e-6)
    assert rows.loc[("kind", "common"), "p"] == pytest.approx(twin, rel=1e-6)
    assert np.isnan(rows.loc[("same", 0.0), "p"])
    assert rows.loc[("kind", "rare"), "p_adjusted"] == pytest.approx(twin, rel=1e-6)
    one = rows.loc[("kind", "rare")]
    assert one.pie_low < one.pie_share < one.pie_high


def test_no_pie_leaves_nothing_to_test():
    table = pie_representation(np.zeros(5, dtype=bool), {"a": list("xxyyy")})
    assert table[["pie_share", "pie_low", "ratio", "p", "p_adjusted"]].isna().all(axis=None)


def test_the_surest_row_comes_first_and_what_cannot_be_tested_last():
    table = pd.DataFrame(
        {"value": list("abcde"), "p": [0.5, np.nan, 0.01, 0.5, 0.5], "ratio": [1.1, 9, 2, 0.2, 1.1]}
    )
    shown = surest_first(table)
    assert shown["value"].tolist() == ["c", "d", "a", "e", "b"]
    assert shown.columns.tolist() == table.columns.tolist()
