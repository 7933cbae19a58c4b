"""Words for failures: planted contexts, those that explain nothing, coherence, what is absent."""

import numpy as np
import pytest
from scipy import stats

from backend.core.errors import InputError
from backend.repair import absent_combinations, coherence, contrast_failures
from backend.repair.contrast import ALIKE, ANY_LABEL, EXPLAINS, NOT_SHOWN, TOO_FEW

N = 1200


def planted(seed: int = 0):
    """Dogs in snow fail; everything is dark for a reason of its own; labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    labels = np.array(["cat", "dog", "fox"])[np.arange(N) % 3]
    snow, dark, odd = (rng.random(N) < share for share in (0.25, 0.4, 0.2))
    chance = np.where((labels == "dog") & snow, 0.6, 0.1)
    wrong = rng.random(N) < chance
    rows = {"in snow": snow, "dark": dark, "odd": odd, "white": snow & (rng.random(N) < 0.97)}
    return {name: np.flatnonzero(held) for name, held in rows.items()}, labels, wrong


def test_the_planted_context_is_found_for_its_label_and_said_once():
    candidates, labels, wrong = planted()
    table = contrast_failures(candidates, labels, wrong, key="x")
    line = table[(table["label"] == "dog") & (table["context"] == "in snow")].iloc[0]
    assert line["verdict"] == EXPLAINS and line["ratio"] > 2 and line["p_adjusted"] < 1e-4
    assert "white" not in table[table["label"] == "dog"]["context"].tolist()  # nearly the same rows
    assert not ((table["label"] != "dog") & (table["verdict"] == EXPLAINS) & ~(
        (table["label"] == ANY_LABEL) & (table["context"].isin(["in snow", "white"]))
    )).any()  # fmt: skip
    assert 0.3 < line["explained"] / line["n_wrong"] < line["wrong_share"]


def test_the_numbers_are_those_of_the_held_out_half():
    candidates, labels, wrong = planted()
    line = contrast_failures(candidates, labels, wrong, key="x").set_index("label").loc["dog"]
    line = line if line.ndim == 1 else line.iloc[0]
    failures = int((wrong & (labels == "dog")).sum())
    assert abs(line["n_wrong"] - failures / 2) <= 1
    assert line["wrong_share"] == line["with_wrong"] / line["n_wrong"]
    assert line["right_share"] == line["with_right"] / line["n_right"]
    grid = [
        [line["with_wrong"], line["n_wrong"] - line["with_wrong"]],
        [line["with_right"], line["n_right"] - line["with_right"]],
    ]
    assert line["p"] == pytest.approx(stats.fisher_exact(grid, alternative="greater").pvalue)


def test_a_context_as_frequent_among_right_examples_explains_nothing():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(40):
        labels = np.zeros(400, int)
        wrong = rng.random(400) < 0.3
        candidates = {f"w{at}": np.flatnonzero(rng.random(400) < 0.3) for at in range(60)}
        table = contrast_failures(candidates, labels, wrong, key=str(seed))
        assert set(table["verdict"]) <= {ALIKE, NOT_SHOWN, EXPLAINS}
        assert (table["seed_p"] <= 0.05).all()  # they looked good to the half that found them
        hits += EXPLAINS in set(table["verdict"])
    assert hits <= 5  # one list in twenty, by chance


def test_few_failures_say_nothing_and_none_give_no_table():
    labels, wrong = np.zeros(300, int), np.zeros(300, bool)
    assert contrast_failures({"a": [1]}, labels, wrong).empty
    wrong[:12] = True
    table = contrast_failures({"a": np.arange(12)}, labels, wrong)
    assert table["verdict"].tolist() == [TOO_FEW]
    assert contrast_failures({}, labels, wrong).empty


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"wrong": np.zeros(3, bool)}, r"got shape \(3,\) for 30"),
        ({"candidates": {"a": [30]}}, "rows outside 0 to 29"),
        ({"most": 0}, "most must be 1 or more"),
    ],
)
def test_errors_of_the_contrast(changed, message):
    asked = {"candidates": {"a": [1]}, "labels": np.zeros(30, int), "wrong": np.arange(30) < 9}
    with pytest.raises(InputError, match=message):
        contrast_failures(**{**asked, **changed})


def test_coherence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 5))
    x[:40] += 5
    labels = np.arange(500) % 2
    together = coherence(x, np.arange(40), labels=labels, k=10)
    assert together.value > 0.9 and together.expected < 0.2 and together.p == 1 / 200
    apart = coherence(x, np.arange(100, 140), labels=labels, k=10)
    assert abs(apart.value - apart.expected) < 0.1 and apart.p > 0.01
    assert np.isnan(coherence(x, [3]).value)
    by_hand = coherence([[0.0], [1.0], [10.0], [11.5]], [0, 1], k=1, draws=1)
    assert (by_hand.value, by_hand.n) == (1.0, 2)
    with pytest.raises(InputError, match="rows from 0 to 499"):
        coherence(x, [500])


def test_what_is_absent_and_how_its_neighbours_fail():
    first = np.repeat(["day", "night"], [60, 40])
    second = np.array(["road"] * 30 + ["snow"] * 30 + ["road"] * 40)  # never snow at night
    wrong = second == "snow"
    table = absent_combinations({"time": first, "place": second}, wrong)
    assert table[["first_value", "second_value", "expected"]].values.tolist() == [
        ["night", "snow", 12.0]
    ]
    line = table.iloc[0]
    assert (line["n_neighbours"], line["neighbours_wrong"], line["others_wrong"]) == (70, 3 / 7, 0)
    assert absent_combinations({"time": first, "place": second}, wrong, least=13).empty
    missing = np.where(second == "snow", None, second)
    assert absent_combinations({"time": first, "place": missing}, wrong).empty
    with pytest.raises(InputError, match="one value per example"):
        absent_combinations({"time": first[:5]}, wrong)
