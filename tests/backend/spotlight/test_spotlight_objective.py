"""The objective against cases worked by hand, a plain twin, and its own derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.spotlight import spotlight_objective

LINE = np.array([[0.0], [1.0], [3.0]])
LOSSES = np.array([4.0, 2.0, 1.0])


def test_gaussian_worked_by_hand():
    # q = 2 (x - 1)^2 = 2, 0, 8, so k = e^-1, 1, e^-4.
    found = spotlight_objective(LINE, LOSSES, [1.0], 2.0, min_weight=1.0)
    k = np.exp([-1.0, 0.0, -4.0])
    np.testing.assert_allclose(found.weights, k, rtol=1e-14)
    assert found.total_weight == pytest.approx(k.sum(), rel=1e-14)
    assert found.weighted_loss == pytest.approx((4 * k[0] + 2 * k[1] + k[2]) / k.sum(), rel=1e-14)
    assert found.value == found.weighted_loss


def test_compact_kernel_worked_by_hand():
    # q = 0.5 (x - 1)^2 = 0.5, 0, 2, so k = 0.5, 1, 0.
    found = spotlight_objective(LINE, LOSSES, [1.0], 0.5, min_weight=1.0, kernel="squared_distance")
    np.testing.assert_array_equal(found.weights, [0.5, 1.0, 0.0])
    assert found.value == pytest.approx((2.0 + 2.0) / 1.5, rel=1e-14)


def test_barrier_worked_by_hand():
    # W = 1.5 and E = 8/3; the edge is S + b = 1 + 1 = 2, half a width above W.
    options = {"min_weight": 1.0, "kernel": "squared_distance", "barrier_width": 1.0}
    found = spotlight_objective(LINE, LOSSES, [1.0], 0.5, barrier_scale=3.0, **options)
    assert found.value == pytest.approx(8 / 3 - 3 * 0.25, rel=1e-14)
    flipped = spotlight_objective(LINE, LOSSES, [1.0], 0.5, barrier_scale=3.0, flip=True, **options)
    assert flipped.value == pytest.approx(-8 / 3 - 3 * 0.25, rel=1e-14)


def test_below_the_smallest_size_the_ideal_value_is_minus_infinity():
    found = spotlight_objective(LINE, LOSSES, [1.0], 2.0, min_weight=2.0)
    assert found.value == -np.inf
    assert np.isfinite(found.weighted_loss)


@pytest.mark.parametrize("kernel", ["gaussian", "squared_distance"])
@pytest.mark.parametrize("shape", ["spherical", "diagonal", "full"])
@pytest.mark.parametrize("barrier", [None, 5.0, 500.0])
def test_agrees_with_a_plain_twin(kernel, shape, barrier):
    rng = np.random.default_rng(3)
    x, losses = rng.normal(size=(60, 4)), rng.exponential(size=60)
    counts, center = rng.integers(0, 4, 60), rng.normal(size=4) / 3
    factor = rng.normal(size=(4, 4)) / 3
    precision = {
        "spherical": np.array(0.1),
        "diagonal": np.array([0.1, 0.2, 0.05, 0.0]),
        "full": factor @ factor.T / 4,
    }[shape]
    matrix = precision if shape == "full" else np.diag(np.broadcast_to(precision, 4))
    total = weighted = 0.0
    for row, loss, count in zip(x, losses, counts, strict=True):
        q = (row - center) @ matrix @ (row - center)
        k = np.exp(-q / 2) if kernel == "gaussian" else max(0.0, 1 - q)
        total += count * k
        weighted += count * k * loss
    value = -weighted / total
    if barrier is not None and total < 3 + barrier:
        value -= 2.0 * ((total - (3 + barrier)) / barrier) ** 2
    found = spotlight_objective(
        x,
        losses,
        center,
        precision,
        min_weight=3,
        kernel=kernel,
        barrier_width=barrier,
        barrier_scale=2.0,
        counts=counts,
        flip=True,
    )
    assert found.value == pytest.approx(value, rel=1e-10)
    assert found.total_weight == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"losses": [1.0, 2.0]}, "losses must be one per embedding: got 2 losses and 3"),
        ({"center": [1.0, 2.0]}, "center must be one per dimension"),
        ({"precision": [1.0, 2.0]}, "precision must be a number"),
        ({"precision": -1.0}, "precision must not be negative"),
        ({"precision": [[-1.0]]}, "positive semidefinite"),
        ({"kernel": "cosine"}, "kernel must be one of 'gaussian', 'squared_distance'"),
        ({"counts": [1, -1, 1]}, "counts must not be negative: got -1.0 in row 1"),
        ({"barrier_width": 0.0}, "barrier_width must be above 0"),
        ({"barrier_scale": -1.0}, "barrier_scale must be"),
        ({"min_weight": -1.0}, "min_weight must be"),
        ({"embeddings": [[0.0], [np.nan], [1.0]]}, "row 1"),
    ],
)
def test_says_what_is_wrong(change, text):
    arguments = {
        "embeddings": LINE,
        "losses": LOSSES,
        "center": [1.0],
        "precision": 1.0,
        "min_weight": 1.0,
    } | change
    with pytest.raises(InputError, match=text):
        spotlight_objective(**arguments)
