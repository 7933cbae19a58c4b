"""The high-loss baseline: by hand, its fallback, and errors."""

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.difficulty import high_loss


def test_strictly_above_the_quantile():
    # the median of 1 2 3 4 5 is 3
    assert high_loss([1, 5, 3, 2, 4], quantile=0.5).tolist() == [False, True, False, False, True]
    losses = np.random.default_rng(0).random(1000)
    found = high_loss(losses)
    assert found.sum() == 20
    assert losses[found].min() > losses[~found].max()


def test_ties_at_the_quantile_stay_out():
    assert high_loss([0, 1, 1, 2], quantile=0.5).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("n", "quantile", "size"), [(1000, 0.98, 20), (10, 0.98, 1), (30, 0.5, 15)]
)
def test_losses_of_zero_and_one(n, quantile, size):
    losses = np.zeros(n)
    losses[: n * 6 // 10] = 1
    found = high_loss(losses, quantile=quantile, seed=1)
    assert found.sum() == size
    assert losses[found].all()
    assert np.array_equal(found, high_loss(losses, quantile=quantile, seed=1))
    others = {tuple(high_loss(losses, quantile=quantile, seed=seed)) for seed in range(5)}
    assert len(others) > 1


def test_equal_losses_are_drawn_evenly():
    drawn = sum(high_loss(np.ones(10), quantile=0.5, seed=seed).astype(int) for seed in range(400))
    assert drawn.sum() == 2000
    assert drawn.min() > 150


@pytest.mark.parametrize(
    ("losses", "options", "message"),
    [
        ([], {}, "losses must not be empty"),
        ([1, np.nan], {}, "losses must be finite"),
        ([[1]], {}, "one-dimensional"),
        ([1], {"quantile": 1}, r"quantile must be in \[0, 1\): got 1"),
        ([1], {"quantile": -0.1}, "quantile must be"),
    ],
)
def test_errors(losses, options, message):
    with pytest.raises(InputError, match=message):
        high_loss(losses, **options)
