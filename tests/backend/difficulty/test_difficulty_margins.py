"""Label margins: by hand, a slow twin, what their sign means, and errors."""

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.difficulty import label_margin


def test_by_hand():
    probabilities = [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]]
    assert label_margin(probabilities, [0, 1, 1, 2]) == pytest.approx([0.5, -0.5, 0.0, 1.0])


def test_the_arguments_stay_as_they_are():
    probabilities = np.array([[0.75, 0.25]])
    label_margin(probabilities, [0])
    assert probabilities.tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize(
    ("n_classes", "dtype"), [(2, np.float16), (5, np.float32), (9, np.float64)]
)
def test_against_a_loop(n_classes, dtype):
    rng = np.random.default_rng(n_classes)
    probabilities = rng.dirichlet(np.ones(n_classes), 200).astype(dtype)
    labels = rng.integers(n_classes, size=200)
    slow = [
        float(row[label]) - max(float(other) for c, other in enumerate(row) if c != label)
        for row, label in zip(probabilities, labels, strict=True)
    ]
    found = label_margin(probabilities, labels)
    np.testing.assert_array_equal(found, slow)
    assert np.array_equal(found < 0, probabilities.argmax(axis=1) != labels)
    assert (np.abs(found) <= 1).all()


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[1.0]], [0], "two classes or more: got 1"),
        ([[0.5, 0.5]], [0, 1], r"one whole number per example: got int64 of shape \(2,\)"),
        ([[0.5, 0.5]], [0.0], "one whole number per example: got float64"),
        ([[0.5, 0.5]], [2], "labels must be columns 0 to 1: got 2 to 2"),
        ([[0.5, 0.5]], [-1], "labels must be columns 0 to 1: got -1"),
        ([[0.5, np.nan]], [0], "row 0 holds NaN"),
    ],
)
def test_errors(probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        label_margin(probabilities, labels)
