"""Many small mixtures at once are those that scikit-learn fits one by one."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from backend.slices import george_clusters
from backend.slices.george.small_mixtures import SmallMixture, fit_from, fit_small_mixtures


def blobs(random, n, k, d=2):
    """Points around ``k`` centers, of size about 1, and who belongs where."""
    owner = random.permutation(np.arange(n) % k)
    return random.normal(size=(k, d))[owner] + 0.15 * random.normal(size=(n, d)), owner


def scikit(points, shares):
    """Twin: the same steps from the same memberships."""
    totals = shares.sum(axis=0)
    means = shares.T @ points / totals[:, None]
    covariances = [
        (share[:, None] * (points - mean)).T @ (points - mean) / total
        + 1e-6 * np.eye(points.shape[1])
        for share, mean, total in zip(shares.T, means, totals, strict=True)
    ]
    model = GaussianMixture(
        len(totals),
        weights_init=totals / len(points),
        means_init=means,
        precisions_init=np.linalg.inv(covariances),
        reg_covar=1e-6,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)


@pytest.mark.parametrize(("k", "d"), [(2, 2), (5, 2), (3, 4)])
def test_the_steps_are_those_of_scikit_learn(k, d):
    random = np.random.default_rng(k)
    sizes = [60, 35, 50]
    sets = [blobs(random, n, k, d)[0] for n in sizes]
    points, valid = np.zeros((3, 60, d)), np.zeros((3, 60))
    shares = np.zeros((3, 60, k))
    for at, (own, n) in enumerate(zip(sets, sizes, strict=True)):
        points[at, :n], valid[at, :n] = own, 1
        shares[at, :n] = np.eye(k)[random.permutation(np.arange(n) % k)]
    weights, means, covariances, bounds = fit_from(points, valid, shares)
    for at, (own, n) in enumerate(zip(sets, sizes, strict=True)):
        twin = scikit(own, shares[at, :n])
        np.testing.assert_allclose(means[at], twin.means_, atol=1e-6)
        np.testing.assert_allclose(covariances[at], twin.covariances_, atol=1e-6)
        assert bounds[at] == pytest.approx(twin.lower_bound_, abs=1e-6)
        mixture = SmallMixture(np.log(weights[at]), means[at], covariances[at], bounds[at])
        np.testing.assert_array_equal(mixture.predict(own), twin.predict(own))


def test_clear_clusters_are_found_and_no_set_minds_the_others():
    random = np.random.default_rng(0)
    sets, owners = zip(*(blobs(random, n, 4, 3) for n in (40, 80, 64)), strict=True)
    options = {"restarts": 5, "seed": 0}
    found = fit_small_mixtures(sets, 4, **options)
    for points, owner, mixture in zip(sets, owners, found, strict=True):
        pairs = set(zip(owner, mixture.predict(points), strict=True))
        assert len(pairs) == 4
        (alone,) = fit_small_mixtures([points], 4, **options)
        np.testing.assert_allclose(alone.means, mixture.means, atol=1e-9)


def test_repeated_points_are_no_trouble():
    points = np.repeat([[0.0, 0.0], [1.0, 0.0]], 10, axis=0)
    for k in (2, 5):
        (found,) = fit_small_mixtures([points], k, restarts=2, seed=0)
        assert len(np.unique(found.predict(points))) >= 2
        assert np.isfinite(found.covariances).all() and np.isfinite(found.bound)


def test_george_clusters_hundreds_of_classes():
    """300 classes of 20: one by one this took a minute."""
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(300), 20)
    embeddings = random.normal(size=(300, 8))[labels] + random.normal(size=(6000, 8))
    losses = random.random(6000)
    embeddings[:10] += 30 * np.eye(8)[0]
    losses[:10] += 5
    found = george_clusters(embeddings, losses, labels)
    assert found.classes["k"].between(2, 10).all() and found.names[0].startswith("class 0,")
    assert set(found.members(0)) <= set(range(10)) and found.mean_losses[0] > 5
