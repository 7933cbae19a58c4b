"""The published optimiser: its schedule, its promises, and how the fast solver compares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.core.errors import InputError
from backend.spotlight import find_spotlights, spotlight_objective
from backend.spotlight.solver.adam import Barrier, climb
from backend.spotlight.solver.rows import Rows

SHAPES = ("spherical", "diagonal", "full")
KERNELS = ("gaussian", "squared_distance")


def problem(seed):
    """A few clusters, one of which is hard; sizes and noise differ from seed to seed."""
    rng = np.random.default_rng(seed)
    n, d, clusters = int(rng.integers(200, 400)), int(rng.integers(2, 9)), 5
    which = rng.integers(0, clusters, n)
    x = 1.5 * rng.normal(size=(clusters, d))[which] + 0.7 * rng.normal(size=(n, d))
    losses = rng.exponential(0.5, n) + 1.5 * (which == 0) * rng.random(n)
    return x, losses, 0.05 * n


def loss_at_size(x, losses, center, size):
    """Weighted loss of the Gaussian region of that size around a center, by bisection."""
    distances = np.square(x - center).sum(1)
    low, high = -30.0, 30.0
    for _ in range(200):
        middle = (low + high) / 2
        if np.exp(-0.5 * np.exp(middle) * distances).sum() > size:
            low = middle
        else:
            high = middle
    k = np.exp(-0.5 * np.exp(low) * distances)
    return k @ losses / k.sum()


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_solver_is_not_below_adam(seed):
    x, losses, size = problem(seed)
    options = {"size": size, "n_spotlights": 1}
    adam = find_spotlights(x, losses, solver="adam", **options)
    fast = find_spotlights(x, losses, **options)
    assert adam.total_weights[0] == pytest.approx(1.05 * size, rel=0.02), "Adam ends at its barrier"
    by_adam = loss_at_size(x, losses, adam.centers[0], size)
    by_fast = loss_at_size(x, losses, fast.centers[0], size)
    assert by_fast == pytest.approx(fast.objectives[0], rel=1e-6)
    assert by_fast >= by_adam - 1e-4 * abs(by_adam)
    assert adam.outcomes[0].status == "converged"
    assert adam.outcomes[0].steps == 5000


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("precision", SHAPES)
def test_every_shape_and_kernel_climbs(precision, kernel):
    x, losses, _ = problem(3)
    x *= 3.0  # so that the compact kernel does not reach all of it at its published start
    counts = np.random.default_rng(0).integers(0, 3, len(x))
    found = find_spotlights(
        x, losses, size=60, n_spotlights=2, solver="adam", precision=precision, kernel=kernel,
        counts=counts, max_steps=1500,
    )  # fmt: skip
    assert found.weighted_losses[0] > np.average(losses, weights=counts) * 1.2
    own = spotlight_objective(
        x, losses, found.centers[0], found.precisions[0], min_weight=0, kernel=kernel, counts=counts
    )
    np.testing.assert_allclose(found.weights[0], own.weights, atol=1e-9)
    assert found.total_weights[0] == pytest.approx(63, rel=0.1)
    attenuated = losses * (1 - own.weights / own.weights.max())
    k = found.weights[1] * counts
    assert found.objectives[1] == pytest.approx(k @ attenuated / k.sum(), rel=1e-9)


def test_flip_climbs_down():
    x, losses, size = problem(1)
    options = {"size": size, "n_spotlights": 1, "solver": "adam", "flip": True}
    easy = find_spotlights(x, losses - 5.0, **options)
    assert easy.outcomes[0].status == "converged"
    assert easy.weighted_losses[0] + 5.0 < 0.8 * losses.mean()
    assert easy.objectives[0] == pytest.approx(-easy.weighted_losses[0])


def test_a_rate_that_fell_too_early_is_reported():
    # With J < 0 the published test of improvement is strict, and the first slopes are flat.
    x, losses, size = problem(1)
    found = find_spotlights(x, losses, size=size, n_spotlights=1, solver="adam", flip=True)
    assert found.outcomes[0].status == "max_steps"
    assert "learning rate fell too early" in found.outcomes[0].message


def test_a_weak_barrier_is_reported():
    x, losses, size = problem(2)
    options = {"size": size, "n_spotlights": 1, "solver": "adam"}
    found = find_spotlights(x, losses * 5, barrier_scale=1.0, **options)
    assert 0.5 < found.total_weights[0] < 0.95 * size
    assert "barrier_scale small beside the losses" in found.outcomes[0].message


def test_a_region_that_shrank_to_nothing_is_reported():
    x, losses, size = problem(2)
    options = {"size": size, "n_spotlights": 1, "solver": "adam"}
    found = find_spotlights(x, losses * 100, barrier_scale=0.01, **options)
    assert found.outcomes[0].status == "not_finite"
    assert "raise barrier_scale" in found.outcomes[0].message
    assert np.isfinite(found.centers).all()


def test_a_stopped_schedule_is_not_called_converged():
    x, losses, size = problem(2)
    found = find_spotlights(x, losses, size=size, n_spotlights=1, solver="adam", max_steps=30)
    assert found.outcomes[0].status == "max_steps"
    assert found.outcomes[0].message


def test_the_origin_is_that_of_the_caller():
    x, losses, size = problem(4)
    rows = Rows.centered(x + 5.0, torch.device("cpu"))
    barrier = Barrier(size, 1.0, "gaussian", False)
    held = torch.from_numpy(losses)
    first = climb(rows, held, None, barrier, precision="spherical", steps=1, tick=lambda step: None)
    # One step of Adam moves every parameter by the learning rate.
    np.testing.assert_allclose(np.abs(rows.outward(first.center)), 0.01, rtol=5e-3)
    assert abs(float(first.precision.log()) - np.log(1e-4)) == pytest.approx(0.01, rel=1e-3)


def test_the_rate_is_halved_by_the_published_rule(monkeypatch):
    x, losses, size = problem(4)
    rows = Rows.centered(x, torch.device("cpu"))
    values = iter([-1.0] * 40)

    def steady(rows, losses, counts, parameters, barrier, width):
        return next(values), 10.0, [torch.ones_like(p) for p in parameters]

    monkeypatch.setattr("backend.spotlight.solver.adam.objective_slopes", steady)
    end = climb(
        rows, torch.from_numpy(losses), None, Barrier(size, 1.0, "gaussian", False),
        precision="spherical", steps=30, tick=lambda step: None,
    )  # fmt: skip
    # A steady slope moves by the rate. J = -1 is best at step 1, then no better for 11 steps:
    # halved after step 12; cleared, so best again at step 13, and halved after step 24.
    moved = 12 * 0.01 + 12 * 0.005 + 6 * 0.0025
    np.testing.assert_allclose(rows.outward(end.center), moved, rtol=1e-6)


def test_a_compact_region_that_lost_everything_says_so(monkeypatch):
    x, losses, size = problem(2)
    tight = torch.tensor(40.0, dtype=torch.float64)
    monkeypatch.setattr("backend.spotlight.solver.adam._first_log_precision", lambda *_: tight)
    with pytest.raises(InputError, match=r"lost every example at step 1.*'squared_distance'"):
        find_spotlights(x, losses, size=size, solver="adam", kernel="squared_distance")


def test_an_overflow_is_reported():
    x, losses, size = problem(2)
    found = find_spotlights(x, losses * 1e300, size=size, n_spotlights=1, solver="adam")
    assert found.outcomes[0].status == "not_finite"
    assert "not finite at step 1" in found.outcomes[0].message
    assert np.isfinite(found.centers).all()
