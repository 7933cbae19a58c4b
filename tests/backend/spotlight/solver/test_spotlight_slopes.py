"""Slopes against finite differences: of the barrier objective, and along the solved size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.spotlight import spotlight_objective
from backend.spotlight.solver.adam import Barrier, objective_slopes
from backend.spotlight.solver.kernels import SLOPE, pull, weigh
from backend.spotlight.solver.rows import Rows
from backend.spotlight.solver.shapes import SHAPES
from backend.spotlight.solver.sizes import Problem, kernel_at, solve_sizes

D = 3
STEP = 1e-6
SHAPES_BY_NAME = ("spherical", "diagonal", "full")
KERNELS = ("gaussian", "squared_distance")


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(80, D)), rng.exponential(size=80), rng.integers(0, 4, 80).astype(float)


def parameters_of(shape, kernel):
    rng = np.random.default_rng(8)
    level = -2.0 if kernel == "squared_distance" else -0.3
    center = torch.from_numpy(rng.normal(size=D) / 3)
    logs = torch.from_numpy(level + rng.normal(size=D) / 3)
    if shape == "spherical":
        return [center, logs[0].clone()]
    if shape == "diagonal":
        return [center, logs]
    axes, _ = np.linalg.qr(rng.normal(size=(D, D)))
    return [center, logs, torch.from_numpy(axes)]


def precision_of(parameters):
    scales = np.exp(parameters[1].numpy())
    if len(parameters) == 2:
        return scales
    axes = parameters[2].numpy()
    matrix = (axes * scales) @ axes.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("width", [0.5, 200.0])  # the barrier is inactive, then active
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES_BY_NAME)
def test_slopes_of_the_barrier_objective(data, shape, kernel, width, flip):
    x, losses, counts = data
    rows = Rows(x, np.zeros(D), 1.0, torch.float64, torch.device("cpu"))
    parameters = parameters_of(shape, kernel)
    barrier = Barrier(5.0, 2.0, kernel, flip)

    def value(moved):
        return spotlight_objective(
            x, losses, moved[0].numpy(), precision_of(moved), min_weight=5.0, kernel=kernel,
            barrier_width=width, barrier_scale=2.0, counts=counts, flip=flip,
        )  # fmt: skip

    held = [torch.from_numpy(values) for values in (losses, counts)]
    found, total, slopes = objective_slopes(rows, *held, parameters, barrier, width)
    assert found == pytest.approx(value(parameters).value, rel=1e-9)
    assert (total < 5.0 + width) == (width == 200.0), "the case must be what its name says"
    for which, slope in enumerate(slopes):
        flat = slope.reshape(-1)
        for entry in range(len(flat)):
            ends = []
            for sign in (-1, 1):
                moved = [p.clone() for p in parameters]
                moved[which].view(-1)[entry] += sign * STEP
                ends.append(value(moved).value)
            assert float(flat[entry]) == pytest.approx((ends[1] - ends[0]) / (2 * STEP), abs=2e-6)


@pytest.mark.parametrize("softness", [0.0, 0.2])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES_BY_NAME)
def test_slopes_along_the_solved_size(data, shape, kernel, softness):
    x, losses, counts = data
    rows = Rows(x, x.mean(0), 1.5, torch.float64, torch.device("cpu"))
    standard = torch.from_numpy((losses - losses.mean()) / losses.std())
    problem = Problem(standard, torch.from_numpy(counts), 20.0, kernel, softness)
    form = SHAPES[shape](rows)
    rng = np.random.default_rng(2)
    first = form.first(torch.from_numpy(rng.normal(size=(2, D)) / 4))
    if shape != "spherical":
        extra = rng.normal(size=(2, first.shape[1] - D)) / 2
        if shape == "full":
            extra = extra.reshape(2, D, D)
            extra = (extra + extra.transpose(0, 2, 1)).reshape(2, -1) / 2
        first[:, D:] = torch.from_numpy(extra)
    guess = torch.zeros(2, dtype=torch.float64)

    def sizes_at(parameters):
        return solve_sizes(form.distances(parameters), guess, problem, tolerance=1e-13)

    sizes = sizes_at(first)
    # A hard edge makes the best larger size a kink, where one slope does not tell all.
    smooth = ~sizes.slack | (kernel == "gaussian") | (softness > 0)
    assert bool(smooth.any())
    _, _, pulls = kernel_at(form.distances(first), sizes.log_precision, problem)
    weights = pulls * (standard - sizes.level[:, None])
    rate = SLOPE[kernel] * torch.exp(sizes.log_precision) / sizes.total
    slopes, scale = form.slopes(first, weights, sizes.total, rate)
    assert bool((scale > 0).all())
    for entry in range(first.shape[1]):
        moved = [first.clone(), first.clone()]
        moved[0][:, entry] -= STEP
        moved[1][:, entry] += STEP
        if shape == "full" and entry >= D:  # A is symmetric: its entries move in pairs
            mirror = D + (entry - D) % D * D + (entry - D) // D
            if mirror != entry:
                moved[0][:, mirror] -= STEP
                moved[1][:, mirror] += STEP
        ends = [sizes_at(parameters).value for parameters in moved]
        expected = (ends[1] - ends[0]) / (2 * STEP)
        factor = 2 if shape == "full" and entry >= D and mirror != entry else 1
        found = factor * slopes[:, entry]
        torch.testing.assert_close(found[smooth], expected[smooth], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("softness", [0.0, 0.3])
@pytest.mark.parametrize("kernel", KERNELS)
def test_pull_is_the_slope_of_the_kernel(kernel, softness):
    q = torch.linspace(0.01, 2.5, 97, dtype=torch.float64)
    middle = weigh(q, kernel, softness)
    rise = (weigh(q + STEP, kernel, softness) - weigh(q - STEP, kernel, softness)) / (2 * STEP)
    expected = -SLOPE[kernel] * pull(q, middle, kernel, softness)
    torch.testing.assert_close(rise, expected, atol=1e-6, rtol=1e-6)


def test_a_soft_edge_is_the_kernel_away_from_it():
    q = torch.tensor([0.0, 0.5, 1.5, 3.0], dtype=torch.float64)
    hard, soft = weigh(q, "squared_distance"), weigh(q, "squared_distance", 0.2)
    torch.testing.assert_close(hard, soft)
    edge = weigh(torch.tensor([1.0], dtype=torch.float64), "squared_distance", 0.2)
    assert float(edge) == pytest.approx(0.05)
