"""Phrases: planted groups are named, chance is not, and every number is what it says."""

import numpy as np
import pandas as pd
import pytest
import torch

from backend.core.errors import InputError
from backend.describe import describe_facts, describe_group


def shirts(seed=0, n=4000):
    """Ten classes predicted mostly right; wide shirts are predicted as coats."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["Shirt", "Coat", "Bag", "Dress"], n)
    width = rng.random(n)
    wrong = (labels == "Shirt") & (width > 0.75)
    predictions = np.where(wrong, "Coat", labels)
    examples = pd.DataFrame({"id": range(n), "width": width, "shop": rng.choice(["a", "b"], n)})
    return labels, predictions, examples, wrong


def test_a_planted_confusion_is_named():
    labels, predictions, examples, wrong = shirts()
    phrase = describe_group(wrong, labels=labels, predictions=predictions, examples=examples)
    assert phrase == "label Shirt, predicted Coat"
    assert describe_group(wrong, examples=examples) == "high width"
    assert describe_group(wrong, labels=labels) == "label Shirt"
    assert describe_group(torch.from_numpy(wrong), labels=labels.tolist()) == "label Shirt"


def test_a_group_that_needs_three_facts():
    labels, predictions, examples, _ = shirts()
    group = (labels == "Shirt") & (examples["width"] < 0.2) & (examples["shop"] == "b")
    phrase = describe_group(group, labels=labels, predictions=predictions, examples=examples)
    assert phrase == "predicted Shirt, low width, shop b"  # rarer than the label, so more telling
    short = describe_group(
        group, labels=labels, predictions=predictions, examples=examples, max_facts=1
    )
    assert short in {"predicted Shirt", "low width"}


def test_numbers_beside_the_facts():
    labels, predictions, _, wrong = shirts()
    table = describe_facts(wrong, labels=labels, predictions=predictions)
    assert table["fact"].tolist() == ["label Shirt", "predicted Coat"]
    assert table["count"].tolist() == [(labels == "Shirt").sum(), (predictions == "Coat").sum()]
    assert table["group_share"].tolist() == pytest.approx([1, 1])
    assert table["base_share"].tolist() == pytest.approx((table["count"] / 4000).tolist())
    assert table.attrs["count"] == wrong.sum()
    assert table.attrs["group_share"] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_a_random_group_has_no_name(seed):
    labels, predictions, examples, _ = shirts(seed)
    group = np.zeros(4000)
    group[np.random.default_rng(seed).choice(4000, 60, replace=False)] = 1
    assert describe_group(group, labels=labels, predictions=predictions, examples=examples) == ""


def test_a_handful_of_members_is_no_evidence():
    labels, predictions, examples, wrong = shirts()
    group = np.zeros(4000)
    group[np.flatnonzero(wrong)[:2]] = 1
    assert describe_group(group, labels=labels, predictions=predictions, examples=examples) == ""


def test_everybody_has_no_name():
    labels, predictions, examples, _ = shirts()
    everybody = np.ones(4000)
    assert describe_group(everybody, labels=labels, predictions=predictions) == ""
    assert describe_group(everybody, examples=examples) == ""


def test_less_than_half_is_not_said():
    labels = np.array(["a"] * 400 + list("bcdefghijk") * 160)
    group = np.zeros(2000)
    group[:180], group[400:620] = 1, 1  # 45 % of the group against 20 % of everybody
    assert describe_group(group, labels=labels) == ""
    group[180:260] = 1  # 54 %
    assert describe_group(group, labels=labels) == "label a"


def test_two_classes_can_be_said_together():
    labels = np.array(["a", "b", "c", "d", "e", "f"] * 500)
    group = np.zeros(3000)
    group[np.flatnonzero(labels == "b")[:90]] = 1
    group[np.flatnonzero(labels == "e")[:70]] = 1
    group[np.flatnonzero(labels == "a")[:40]] = 1
    table = describe_facts(group, labels=labels)
    assert table["fact"].tolist() == ["label b or e"]
    assert table["value"][0] == ("b", "e")
    assert table["group_share"][0] == pytest.approx(0.8)
    assert table["count"][0] == 1000
    group[np.flatnonzero(labels == "b")[:400]] = 1
    assert describe_group(group, labels=labels) == "label b"
    assert describe_group(group, examples=pd.DataFrame({"shop": labels})) == "shop b"


def test_order_of_examples_does_not_matter():
    labels, predictions, examples, wrong = shirts()
    order = np.random.default_rng(9).permutation(4000)
    assert describe_group(
        wrong[order],
        labels=labels[order],
        predictions=predictions[order],
        examples=examples.iloc[order],
    ) == describe_group(wrong, labels=labels, predictions=predictions, examples=examples)


def test_missing_values_can_be_what_members_share():
    season = np.array(["winter", "summer"] * 200, dtype=object)
    season[:60] = None
    group = np.arange(400) < 60
    assert describe_group(group, examples=pd.DataFrame({"season": season})) == "season unknown"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: describe_group([1, 1]), "needs labels, predictions or examples"),
        (lambda: describe_group([1, 1], labels=["a"]), "label must be one per weight: got 1 and 2"),
        (lambda: describe_group([0, 0], labels=["a", "b"]), "positive sum"),
        (lambda: describe_group([1], labels=["a"], max_facts=0), "max_facts must be 1 or more"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
