"""Principal components: those of an SVD, whichever way they are found and in whatever blocks."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import JobCancelled
from backend.core.pca import apply_components, mean_and_scale, principal_components


def data(n=300, d=7, seed=1):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)) * np.linspace(1, 9, d) + 3


def by_svd(values, k, center=None):
    """Axes, deviations and shares, the slow and obvious way."""
    values = np.asarray(values, dtype=np.float64)
    centred = values - (values.mean(axis=0) if center is None else center)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    lead = right[np.arange(k), np.abs(right[:k]).argmax(axis=1)]
    variances = singular[:k] ** 2
    shares = variances / (singular**2).sum()
    return right[:k] * np.sign(lead)[:, None], np.sqrt(variances / len(values)), shares


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("direct", [2048, 50, 10])  # exact, exact, power iteration
@pytest.mark.parametrize("shape", [(60, 40), (40, 60)])  # covariance, Gram matrix
def test_every_way_to_the_components_agrees_with_an_svd(shape, direct, dtype):
    values = data(*shape)
    found = principal_components(values, 3, direct=direct, dtype=dtype)
    axes, deviations, shares = by_svd(values, 3)
    # A power iteration stops when the variance is stable; axes are known to its root.
    near = 3e-2 if direct == 10 else 2e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(found.axes, axes, atol=near)
    np.testing.assert_allclose(found.deviations, deviations, rtol=near)
    np.testing.assert_allclose(found.explained, shares, rtol=near)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(3), atol=1e-10)
    placed = apply_components(values, found, dtype=dtype)
    assert placed.dtype == dtype
    np.testing.assert_allclose(placed, (values - found.mean) @ found.axes.T, atol=1e-4)


def test_chosen_rows_and_a_given_center():
    values, rows = data(200, 5), np.arange(3, 200, 7)
    chosen = principal_components(values, 2, rows=rows, dtype=np.float64)
    alone = principal_components(values[rows], 2, dtype=np.float64)
    np.testing.assert_array_equal(chosen.axes, alone.axes)
    np.testing.assert_array_equal(chosen.mean, alone.mean)
    center, _ = mean_and_scale(values)
    moved = principal_components(values, 2, rows=rows, center=center, dtype=np.float64)
    axes, deviations, shares = by_svd(values[rows], 2, center)
    np.testing.assert_array_equal(moved.mean, center)
    np.testing.assert_allclose(moved.axes, axes, atol=1e-10)
    np.testing.assert_allclose(moved.deviations, deviations)
    np.testing.assert_allclose(moved.explained, shares)
    assert not np.allclose(moved.deviations, chosen.deviations)


@pytest.mark.parametrize("shape", [(300, 7), (7, 300)])
def test_blocks_change_nothing_but_rounding(shape, monkeypatch, tmp_path):
    values = data(*shape)
    whole = principal_components(values, 2, dtype=np.float64)
    np.save(tmp_path / "x.npy", values)
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 100)
    mapped = principal_components(np.load(tmp_path / "x.npy", mmap_mode="r"), 2, dtype=np.float64)
    np.testing.assert_allclose(mapped.mean, whole.mean)
    np.testing.assert_allclose(mapped.axes, whole.axes, atol=1e-10)
    np.testing.assert_allclose(mapped.deviations, whole.deviations)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_axes_beyond_examples_and_dimensions_are_zero(shape):
    found = principal_components(data(*shape), 6, dtype=np.float64)
    assert found.axes.shape == (6, shape[1])
    np.testing.assert_allclose(found.axes @ found.axes.T, np.diag([1, 1, 1, 1, 0, 0]), atol=1e-10)
    assert not found.deviations[4:].any() and found.explained.sum() == pytest.approx(1)


@pytest.mark.parametrize("shape", [(50, 5), (5, 50)])
def test_equal_rows_have_no_variance_at_all(shape):
    found = principal_components(np.full(shape, 0.1), 2)
    np.testing.assert_array_equal(found.mean, np.full(shape[1], 0.1))
    assert not found.explained.any() and not found.deviations.any()


@pytest.mark.parametrize("direct", [2048, 3])
def test_progress_rises_and_can_stop_the_work(direct, monkeypatch):
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 100)
    seen = []
    principal_components(data(), 2, direct=direct, progress=lambda at, message: seen.append(at))
    assert seen == sorted(seen) and 0 <= seen[0] < seen[-1] <= 1 and len(seen) > 30

    def stop(fraction, message):
        if message == "Finding principal axes":
            raise JobCancelled()

    with pytest.raises(JobCancelled):
        principal_components(data(), 2, direct=direct, progress=stop)
