"""Promises that hold for any losses: sizes, weights and values agree, whatever their scale and sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.spotlight import find_spotlights, spotlight_objective
from backend.spotlight.runs import attenuated

N = 80
OPTIONS = {"n_spotlights": 1, "starts": 2}


def points(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, 3))


def losses_of(seed: int, kind: str, scale: float) -> np.ndarray:
    """Losses of one kind, the largest in magnitude about ``scale``."""
    rng = np.random.default_rng(seed)
    made = {
        "equal": np.full(N, -1.0),
        "negative": -rng.exponential(0.3, N),
        "mixed": rng.normal(size=N),
        "binary": (rng.random(N) < 0.2).astype(float),
        "single": np.eye(N)[seed % N],
    }
    return scale * made[kind]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["equal", "negative", "mixed", "binary", "single"]),
    scale=st.sampled_from([1e-30, 1.0, 1e30]),
    size=st.floats(2.0, N / 2),
    kernel=st.sampled_from(["gaussian", "squared_distance"]),
    flip=st.booleans(),
)
def test_any_losses_give_a_region_of_the_size_asked_for(seed, kind, scale, size, kernel, flip):
    x, losses = points(seed), losses_of(seed, kind, scale)
    found = find_spotlights(x, losses, size=size, kernel=kernel, flip=flip, seed=seed, **OPTIONS)
    weights, total = found.weights[0], found.total_weights[0]
    assert ((weights >= 0) & (weights <= 1)).all()
    assert total == pytest.approx(weights.sum())
    assert total >= size * (1 - 1e-9)
    spread = np.ptp(losses)
    rounding = 1e-9 * spread + 1e-12 * np.abs(losses).max()
    assert losses.min() - rounding <= found.weighted_losses[0] <= losses.max() + rounding
    # The region is what its center and precision say.
    again = spotlight_objective(
        x, losses, found.centers[0], found.precisions[0], min_weight=size * 0.999, kernel=kernel
    )
    assert again.weights == pytest.approx(weights, abs=1e-9)
    assert again.weighted_loss == pytest.approx(found.weighted_losses[0], abs=rounding)
    # No worse than everything at once, which is allowed too.
    better = found.weighted_losses[0] - losses.mean()
    assert (-better if flip else better) >= -1e-3 * spread - rounding
    assert (found.outcomes[0].status == "no_contrast") == (np.ptp(losses) == 0)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["negative", "mixed"]),
    factor=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
)
def test_unit_and_zero_of_the_loss_do_not_matter(seed, kind, factor, shift):
    x, losses = points(seed), losses_of(seed, kind, 1.0)
    one = find_spotlights(x, losses, size=10, seed=seed, **OPTIONS)
    other = find_spotlights(x, factor * losses + shift, size=10, seed=seed, **OPTIONS)
    assert other.weighted_losses[0] == pytest.approx(
        factor * one.weighted_losses[0] + shift, abs=2e-3 * factor * losses.std()
    )


@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["negative", "mixed"]),
    shift=st.floats(-100, -0.1),
)
def test_no_region_notices_a_constant_below_zero(seed, kind, shift):
    """Clusters far apart: one optimum each, which rounding cannot exchange for another."""
    rng = np.random.default_rng(seed)
    x = np.repeat(20.0 * np.eye(4), N // 4, axis=0) + rng.normal(size=(N, 4))
    losses = losses_of(seed, kind, 1.0) + np.repeat([-9.0, -6.0, -3.0, 0.0], N // 4)
    options = OPTIONS | {"n_spotlights": 3, "size": 12, "starts": 4, "seed": 1}
    one = find_spotlights(x, losses, **options)
    other = find_spotlights(x, losses + shift, **options)
    assert other.objectives == pytest.approx(one.objectives + shift, abs=1e-3)


@given(
    scores=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20),
    seed=st.integers(0, 2**31),
)
def test_attenuation_lifts_nobody(scores, seed):
    score, weights = np.array(scores), np.random.default_rng(seed).uniform(0, 0.5, len(scores))
    floor = min(0.0, score.min())
    left = attenuated(score, weights, floor)
    rounding = 1e-15 * np.abs(score).max()
    assert (left <= score + rounding).all()
    assert (left >= floor - rounding).all()
    assert left[weights.argmax()] == pytest.approx(floor, abs=rounding)
    positive = np.abs(score)
    as_published = positive * (1 - weights / weights.max())
    np.testing.assert_array_equal(attenuated(positive, weights, 0.0), as_published)


@settings(max_examples=10, deadline=None)
@given(
    where=st.integers(0, N - 1), value=st.sampled_from([np.inf, -np.inf, np.nan]), seed=st.just(1)
)
def test_losses_that_are_not_finite_are_refused(where, value, seed):
    losses = losses_of(seed, "mixed", 1.0)
    losses[where] = value
    with pytest.raises(InputError, match=f"losses must be finite.*the first in row {where}\\b"):
        find_spotlights(points(seed), losses, size=10, **OPTIONS)
