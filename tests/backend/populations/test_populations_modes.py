"""Modal labels and taxicab distances: by hand, against counting twins, ties and errors."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from backend.core.errors import InputError
from backend.populations import modal_label, taxicab


def test_modes_worked_by_hand():
    predictions = [[1, 2, 3, 0], [1, 2, 5, 2], [0, 1, 4, 2], [0, 2, 3, 0]]
    assert modal_label(predictions).tolist() == [1, 2, 3, 2]
    assert modal_label(predictions, tie="smallest").tolist() == [0, 2, 3, 0]


def slow_mode(column, tie):
    counts = Counter(column.tolist())
    best = max(counts.values())
    tied = [label for label, count in counts.items() if count == best]
    return max(tied) if tie == "largest" else min(tied)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tie", ["largest", "smallest"])
@pytest.mark.parametrize("kind", ["small", "negative", "far apart", "names", "objects"])
def test_modes_agree_with_their_twin(seed, tie, kind):
    rng = np.random.default_rng(seed)
    predictions = rng.integers(0, 4, (rng.integers(1, 8), 60))  # few labels: many ties
    if kind == "negative":
        predictions = (predictions - 2).astype(np.int8)
    elif kind == "far apart":
        predictions = predictions * 2**60
    elif kind in ("names", "objects"):
        predictions = np.array(["Bag", "Zebra", "apple", "Ärmel"])[predictions]
    given = predictions.astype(object) if kind == "objects" else predictions
    wanted = [slow_mode(column, tie) for column in predictions.T]
    assert modal_label(given, tie=tie).tolist() == wanted


def test_one_model_is_its_own_mode():
    assert modal_label([["b", "a", "c"]]).tolist() == ["b", "a", "c"]


def test_models_may_be_in_any_order_and_array_kind():
    rng = np.random.default_rng(0)
    predictions = rng.integers(0, 3, (6, 40))
    wanted = modal_label(predictions).tolist()
    for given in (
        predictions[::-1],
        predictions.tolist(),
        torch.from_numpy(predictions),
        pd.DataFrame(predictions),
        predictions.astype(np.uint8),
        np.asfortranarray(predictions),
    ):
        assert modal_label(given).tolist() == wanted
    assert modal_label(predictions == 1).tolist() == modal_label((predictions == 1) * 1).tolist()


def test_taxicab_worked_by_hand():
    # shares 3/4, 1/4, 0 against 1/2, 0, 1/2: 1/4 + 1/4 + 1/2; alike; nothing shared
    baseline = [[0, 0, 7], [0, 1, 7], [0, 0, 7], [1, 1, 7]]
    compressed = [[0, 1, 8], [2, 0, 9]]
    assert taxicab(baseline, compressed).tolist() == [1, 0, 2]


def slow_taxicab(first, second):
    total = Fraction(0)
    for label in {*first.tolist(), *second.tolist()}:
        share = Fraction(int((first == label).sum()), len(first))
        total += abs(share - Fraction(int((second == label).sum()), len(second)))
    return float(total)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("names", [False, True])
def test_taxicab_agrees_with_its_twin(seed, names):
    rng = np.random.default_rng(seed)
    baseline = rng.integers(-1, 4, (rng.integers(1, 9), 50))
    compressed = rng.integers(-1, 4, (rng.integers(1, 9), 50))
    if names:
        baseline, compressed = baseline.astype(str), compressed.astype(str)
    found = taxicab(baseline, compressed)
    wanted = [slow_taxicab(baseline[:, i], compressed[:, i]) for i in range(50)]
    assert np.abs(found - wanted).max() < 1e-12
    assert np.array_equal(found, taxicab(compressed, baseline))


def test_alike_populations_have_distance_zero_exactly():
    rng = np.random.default_rng(1)
    baseline = rng.integers(0, 5, (3, 100))
    assert not taxicab(baseline, np.repeat(baseline, 7, axis=0)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modal_label([1, 2]), r"one row per model: got \(2,\). One model is a row"),
        (lambda: modal_label(np.ones((2, 3, 4))), "Pass predicted classes, not probabilities"),
        (lambda: modal_label(np.zeros((0, 5), int)), "got 0 models and 5 examples"),
        (lambda: modal_label(np.zeros((5, 0), int)), "got 5 models and 0 examples"),
        (lambda: modal_label([[0.5, 1]]), "whole numbers or names: got dtype float64"),
        (lambda: modal_label([["a", None]]), "Fill in missing predictions"),
        (lambda: modal_label([[1, 1]], tie="first"), "'largest', 'smallest': got 'first'"),
        (lambda: taxicab([[1, 2]], [[1]]), "same examples: got 1 and 2"),
        (lambda: taxicab([[1]], [["1"]]), "baseline are numbers, compressed are names"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
