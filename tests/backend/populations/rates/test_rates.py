"""Worst groups, thresholds, counterfactual pairs and the table of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from backend.core.errors import InputError
from backend.core.statistics import mcnemar_p, mean_interval, wilson_interval
from backend.populations import (
    audit,
    counterfactual_pairs,
    group_accuracies,
    rates_at,
    score_quality,
    shades_table,
    target_audit,
    threshold_curves,
)
from backend.populations.cells import level_order
from backend.populations.places import worst_first
from backend.populations.rates.thresholds import curve_lines

RNG = np.random.default_rng(3)
N = 400
SKIN = np.where(RNG.random(N) < 0.4, "dark", "light")
LABELS = np.where(RNG.random(N) < 0.5, "F", "M")
HARD = (SKIN == "dark") & (LABELS == "F")
SAID = np.where(
    RNG.random(N) < np.where(HARD, 0.4, 0.05), np.where(LABELS == "F", "M", "F"), LABELS
)
CHANCES = np.clip((SAID == "F") * 0.6 + RNG.random(N) * 0.4, 0, 1)


# --- worst group ----------------------------------------------------------------------------------


def test_the_worst_group_is_the_label_within_the_attribute_that_fails() -> None:
    found = group_accuracies(LABELS, SAID, {"skin": SKIN})
    right = LABELS == SAID
    assert found.worst_group == "label=F & skin=dark" == found.held_out_group
    assert found.worst.value == pytest.approx(right[HARD].mean())
    low, high = wilson_interval(right[HARD].sum(), HARD.sum())
    assert (found.worst.low, found.worst.high) == pytest.approx((float(low), float(high)))
    each = pd.Series(right).groupby([LABELS, SKIN]).mean()
    assert found.balanced.value == pytest.approx(each.mean())
    assert found.balanced.low < found.balanced.value < found.balanced.high
    assert found.overall.value == pytest.approx(right.mean())
    assert found.table["n"].sum() == N and found.held_out_n == HARD.sum() // 2


def test_the_group_that_is_chosen_is_measured_on_other_examples() -> None:
    """Where no group is worse than another the lowest looks so, and the other half says that it is not."""
    apart = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups, right = rng.integers(0, 12, 600), rng.random(600) < 0.8
        found = group_accuracies(
            np.ones(600, int), right.astype(int), {"g": groups}, min_n=20, seed=seed
        )
        apart.append((found.worst.value, found.held_out.value))
    worst, held_out = np.mean(apart, axis=0)
    assert worst < 0.71 and 0.78 < held_out < 0.83


def test_small_groups_cannot_be_the_worst_while_others_are_there() -> None:
    labels, said = np.zeros(42, int), np.r_[np.ones(2, int), np.zeros(40, int)]
    group = np.r_[["rare"] * 2, ["usual"] * 40]
    found = group_accuracies(labels, said, {"group": group}, min_n=30)
    assert (found.worst_group, found.worst_n) == ("label=0 & group=usual", 40)
    assert found.table["small"].tolist() == [False, True]
    assert group_accuracies(labels[:2], said[:2], {"group": group[:2]}).worst.value == 0
    renamed = group_accuracies(labels, said, {"label": group})
    assert renamed.worst_group == "true label=0 & label=usual"


# --- thresholds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.6, 1.0])
def test_rates_at_a_threshold_are_those_of_an_audit_of_it(threshold: float) -> None:
    found = rates_at(CHANCES, LABELS == "F", {"skin": SKIN}, threshold=threshold)
    said = (threshold <= CHANCES).astype(int)
    twin = audit((LABELS == "F").astype(int), said, {"skin": SKIN}, order=1)
    for name in ("group", "n", "tp", "fp", "fn", "tn"):
        assert found[name].tolist() == twin[name].tolist()
    line = curve_lines(
        threshold_curves(CHANCES, LABELS == "F", {"skin": SKIN}), "tpr", "skin", most=9
    )
    assert [one.group for one in line] == ["all", "skin=dark", "skin=light"]
    curve = threshold_curves(CHANCES, LABELS == "F", {"skin": SKIN})
    at = curve[np.isclose(curve["threshold"], threshold)]
    for name in ("tpr", "fpr", "fnr", "ppv", "error", "called"):
        np.testing.assert_allclose(at[name], found[name], atol=1e-12)


def test_nobody_is_positive_and_nobody_is_called_so() -> None:
    found = rates_at([0.1, 0.2], np.array([False, False]), {}, threshold=0.5)
    assert found["tpr"].isna().all() and found["fpr"].item() == 0 == found["called"].item()


def test_ranking_and_calibration_are_those_of_each_group_alone() -> None:
    chances = np.round(CHANCES, 2)  # with ties
    found = score_quality(chances, LABELS == "F", {"skin": SKIN}).set_index("group")
    for name, mask in (("all", SKIN != ""), ("skin=dark", SKIN == "dark")):
        truth, own = (LABELS == "F")[mask], chances[mask]
        row = found.loc[name]
        assert row["auc"] == pytest.approx(roc_auc_score(truth, own))
        assert row["average_precision"] == pytest.approx(average_precision_score(truth, own))
        assert row["prevalence"] == pytest.approx(truth.mean()) and row["n"] == mask.sum()
        place = np.minimum((own * 15).astype(int), 14)
        apart = sum(
            (place == at).mean() * abs(truth[place == at].mean() - own[place == at].mean())
            for at in set(place)
        )
        assert row["calibration_error"] == pytest.approx(apart)
        assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_the_interval_of_the_area_holds_it_as_often_as_it_says() -> None:
    """Two normal distributions one deviation apart: the area is Phi(1 / sqrt(2)) = 0.760."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.random(120) < 0.4
        score = 1 / (1 + np.exp(-rng.normal(size=120) - truth))
        row = score_quality(score, truth, {}).iloc[0]
        held += row["auc_low"] <= 0.7602 <= row["auc_high"]
    assert 180 <= held <= 198


def test_a_calibrated_score_has_a_small_error_and_a_shifted_one_a_large() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(20_000)
    truth = rng.random(20_000) < chance
    assert score_quality(chance, truth, {})["calibration_error"].item() < 0.02
    assert score_quality(chance**3, truth, {})["calibration_error"].item() > 0.15


def test_a_group_of_one_class_has_no_area() -> None:
    row = score_quality([0.2, 0.9], np.array([True, True]), {}).iloc[0]
    assert np.isnan(row["auc"]) and row["average_precision"] == 1


# --- pairs ----------------------------------------------------------------------------------------


def test_pairs_are_rows_of_one_id_that_differ() -> None:
    found = counterfactual_pairs(
        ["a", "a", "b", "b", "c", "c", "d", None, "e", "e", "e"],
        ["x", "y", "y", "x", "x", "y", "x", "y", "x", "x", "y"],
        ["+", "-", "+", "+", "-", "-", "+", "+", "+", "+", "-"],
        positive="+",
        scores=[0.9, 0.1, 0.8, 0.6, 0.2, 0.3, 0.9, 0.9, 0.9, 0.9, 0.1],
    )
    row = found.iloc[0]
    # d is alone, one row has no id, and e has x twice.
    assert (row["first"], row["second"], row["n_pairs"], row["n_flips"]) == ("x", "y", 3, 1)
    assert (row["only_first"], row["only_second"], row["p"]) == (1, 0, 1.0)
    mean = mean_interval([-0.8, 0.2, 0.1])
    assert (row["change"], row["change_low"]) == pytest.approx((mean.value, mean.low))


def test_several_versions_are_compared_two_by_two() -> None:
    ids = np.repeat(np.arange(30), 3)
    tone = np.tile(["light", "medium", "dark"], 30)
    said = np.where(tone == "dark", 0, 1)
    found = counterfactual_pairs(ids, tone, said, positive=1)
    assert list(zip(found["first"], found["second"], found["flips"], strict=True)) == [
        ("dark", "light", 1.0), ("dark", "medium", 1.0), ("light", "medium", 0.0),
    ]  # fmt: skip
    assert found["only_second"].tolist() == [30, 30, 0] and "change" not in found
    assert found["p"].tolist() == pytest.approx([2 * 0.5**30] * 2 + [1.0])
    assert found["p_adjusted"].tolist() == pytest.approx([3 * 0.5**30] * 2 + [1.0])


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 9), (9, 3), (20, 20), (0, 40)])
def test_mcnemars_p_is_that_of_the_binomial(first: int, second: int) -> None:
    n = first + second
    expected = binomtest(first, n, 0.5).pvalue if n else 1.0
    assert mcnemar_p(first, second) == pytest.approx(expected)


# --- one table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["generic", "target"])
def test_one_table_holds_the_rates_of_every_classifier(mode: str) -> None:
    models = np.array([SAID, LABELS])
    table = shades_table(
        LABELS,
        {"own": SAID, "two": models},
        {"skin": SKIN},
        positive="F" if mode == "generic" else None,
    ).set_index(["classifier", "rate"])
    assert table["n_models"].tolist() == [1] * 4 + [2] * 4
    if mode == "generic":
        twin = audit(LABELS, SAID, {"skin": SKIN}, positive="F").set_index("group")
        column = "skin=dark"
    else:
        twin = target_audit(LABELS, SAID, {"skin": SKIN}).set_index(["group", "class"])
        column = "skin=dark · F"
        assert table.columns.tolist()[1:4] == ["all · every class", "all · F", "all · M"]
    row = twin.loc["skin=dark" if mode == "generic" else ("skin=dark", "F")]
    for rate in ("ppv", "error", "tpr", "fpr"):
        assert table.loc[("own", rate), column] == pytest.approx(row[rate])
    # The second classifier is that one and a perfect one: the mean of both.
    assert table.loc[("two", "tpr"), column] == pytest.approx((row["tpr"] + 1) / 2)


# --- orders ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["10–20", "5–10", "20–100"], ["5–10", "10–20", "20–100"]),
        (["0–5", "−5 to 0", "unknown", "5–12"], ["−5 to 0", "0–5", "5–12", "unknown"]),
        (["−3 to −1", "−1 to 2", "−9 to −3"], ["−9 to −3", "−3 to −1", "−1 to 2"]),
        (["now to then", "5–12"], ["5–12", "now to then"]),
        (["1e+20–2e+20", "3–1e+20"], ["3–1e+20", "1e+20–2e+20"]),
        (["b–c", "a–b"], ["a–b", "b–c"]),
        (["10", "9"], ["10", "9"]),
        ([10, 9, 2], [2, 9, 10]),
        ([1, "b", "a"], [1, "a", "b"]),
    ],
    ids=[
        "ranges",
        "a negative one",
        "negative ones",
        "words",
        "exponents",
        "text with dashes",
        "text",
        "numbers",
        "mixed",
    ],
)
def test_values_are_listed_in_their_order(values: list[Any], expected: list[Any]) -> None:
    assert [values[at] for at in level_order(values)] == expected


def test_the_worst_group_of_a_rate_of_success_is_the_lowest() -> None:
    table = audit(LABELS, SAID, {"skin": SKIN}, positive="F", order=1)
    assert worst_first(table, "tpr")["group"].iloc[0] == "skin=dark"
    assert worst_first(table, "fnr")["group"].iloc[0] == "skin=dark"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_accuracies([], [], {}), "one per example"),
        (lambda: group_accuracies([1], [1], {key: [1] for key in "abc"}), "at most two attributes"),
        (lambda: rates_at([0.5], np.array([True]), {}, threshold=2), r"in \[0, 1\]: got 2"),
        (lambda: rates_at([3.0], np.array([True]), {}, threshold=0), "must be probabilities"),
        (lambda: score_quality([0.5], [1], {}), "positives must be booleans"),
        (lambda: counterfactual_pairs([1, 2], ["a", "b"], [0, 1], positive=1), "no pair_id has two"),
        (lambda: counterfactual_pairs([1, 1], ["a", "a"], [0, 1], positive=1), "2 to 30 values: got 1"),
        (lambda: shades_table([1], {}, {}), "at least one set of predictions"),
        (lambda: shades_table(np.arange(130), {"a": np.arange(130)}, {}), "130|131"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
