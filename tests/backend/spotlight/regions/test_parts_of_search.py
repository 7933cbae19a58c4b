"""Parts of the search for regions beside the plain way to say the same."""

from __future__ import annotations

import numpy as np
import torch

from backend.spotlight.regions.climb import climb
from backend.spotlight.regions.moments import PartSums, column_sums, sum_of
from backend.spotlight.regions.seeding import loss_centers


def test_sums_of_parts_tell_the_moments_of_all_rows() -> None:
    rows = torch.randn(1000, 5, generator=torch.Generator().manual_seed(1)) + 3.0
    center = column_sums(rows) / len(rows)
    assert torch.allclose(center, rows.double().mean(0), atol=1e-6)
    parts = [
        PartSums.of(rows[first:last], center) for first, last in ((0, 0), (0, 300), (300, 1000))
    ]
    mean, covariance = sum_of(parts).moments()
    assert torch.allclose(mean, rows.double().mean(0), atol=1e-6)
    assert torch.allclose(covariance, torch.cov(rows.double().T, correction=0), atol=1e-5)
    part, _ = parts[1].moments()
    assert torch.allclose(part, rows[:300].double().mean(0), atol=1e-6)


def test_starts_lie_where_the_loss_is_and_apart() -> None:
    random = np.random.default_rng(2)
    places = np.array([[8.0, 0.0], [-8.0, 0.0], [0.0, 8.0]])
    points = random.normal(size=(3000, 2))
    losses = random.random(3000) * 0.01
    for at, place in enumerate(places):
        rows = slice(100 * at, 100 * at + 100)
        points[rows] = place + 0.1 * random.normal(size=(100, 2))
        losses[rows] += 5.0
    found = loss_centers(
        torch.from_numpy(points), torch.from_numpy(losses), 6, 4, np.random.default_rng(0)
    )
    assert [tuple(one.shape) for one in found] == [(6, 2)] * 4
    for centers in found:
        nearest = torch.cdist(torch.from_numpy(places), centers).min(1).values
        assert float(nearest.max()) < 0.5


def test_of_few_distinct_rows_there_are_no_more_starts() -> None:
    points = torch.from_numpy(np.repeat([[0.0, 1.0], [1e3, 0.0]], 20, axis=0)).float()
    losses = torch.arange(40.0)
    counts = [len(one) for one in loss_centers(points, losses, 5, 3, np.random.default_rng(0))]
    assert max(counts) <= 2
    alike = loss_centers(points, torch.zeros(40), 5, 2, np.random.default_rng(0))
    assert [len(one) for one in alike] == [2, 2]


def test_a_climb_ends_with_the_weight_that_was_asked_for() -> None:
    random = torch.Generator().manual_seed(3)
    points = torch.randn(4000, 3, generator=random)
    losses = torch.exp(-((points - 1.0) ** 2).sum(1))
    squares = points.square().sum(1)
    wanted = torch.tensor([20.0, 200.0], dtype=torch.float64)
    balls = climb(points, squares, losses, points[:2], wanted, 12)
    weights = balls.weights(points, squares)
    assert torch.allclose(weights.sum(1).double(), wanted, rtol=0.01)
    value = (weights @ losses).double() / weights.sum(1).double()
    assert torch.allclose(value, balls.values, rtol=0.02)
    assert bool((value > 3 * losses.mean()).all())
