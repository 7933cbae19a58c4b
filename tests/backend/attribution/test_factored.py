"""Factors answer as the whole matrix does."""

from __future__ import annotations

import numpy as np
import pytest

from backend.attribution import (
    GaussNewton,
    factored_influence,
    factored_scores,
    factored_trak,
    gauss_newton_influence,
    group_alignment,
    pseudo_components,
    trak_scores,
)
from backend.core.errors import InputError
from tests.backend.attribution import twin

RNG = np.random.default_rng(0)
N_TRAIN, N = 70, 45
CODES = RNG.integers(-1, 3, N)
LABELS, RIGHT, LOSSES = RNG.integers(0, 2, N), RNG.random(N) < 0.7, RNG.exponential(size=N)


def trak():
    given = RNG.normal(size=(2, N_TRAIN, 6)), RNG.normal(size=(2, N, 6)), RNG.random((2, N_TRAIN))
    return factored_trak(*given, regularizer=0.3), trak_scores(*given, regularizer=0.3)


def influence():
    weights = RNG.normal(size=(3, 4))
    parts = []
    for n in (N_TRAIN, N):
        x = RNG.normal(size=(n, 4))
        chances = np.array([twin.softmax(weights @ one) for one in x])
        parts.append((x, chances, RNG.integers(0, 3, n)))
    layer = GaussNewton.of(*parts[0])
    return factored_influence(layer, *parts[1]), gauss_newton_influence(*parts[0], *parts[1])


def given():
    scores = RNG.normal(size=(N_TRAIN, N))
    return factored_scores(scores), scores


@pytest.mark.parametrize("make", [trak, influence, given])
def test_factors_answer_as_the_whole_matrix_does(make, monkeypatch):
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 100)
    factored, scores = make()
    assert (factored.n_train, factored.n) == scores.shape
    scale = np.abs(scores).max()
    means = np.stack([scores[:, group == CODES].mean(1) for group in range(3)], 1)
    found = factored.group_scores(CODES, 3)
    np.testing.assert_allclose(found, means, atol=1e-5 * scale)
    np.testing.assert_allclose(
        factored.of_rows(np.array([3, 60])), scores[[3, 60]], atol=1e-5 * scale
    )
    small = factored.compressed()
    np.testing.assert_allclose(small.T @ small, scores.T @ scores, atol=1e-4 * scale**2 * N_TRAIN)
    ours, whole = (pseudo_components(one, LABELS, RIGHT, LOSSES) for one in (small, scores))
    np.testing.assert_array_equal(ours.groups, whole.groups)
    # Group alignment of the means, one column per group, is that of the targets.
    used = CODES >= 0
    losses = [LOSSES[group == CODES].mean() for group in range(3)]
    np.testing.assert_allclose(
        group_alignment(found, [0, 1, 2], losses).scores,
        group_alignment(scores[:, used], CODES[used], LOSSES[used]).scores,
        atol=1e-5 * scale,
    )


def test_factors_refuse_what_they_cannot_use():
    factored, _ = given()
    with pytest.raises(InputError, match=r"every group needs a target: got counts \[45, 0\]"):
        factored.group_scores(np.zeros(N, np.int64), 2)
    with pytest.raises(InputError, match="features and residuals must be"):
        factored_trak(np.ones((1, 4, 2)), np.ones((1, 3, 3)), np.full((1, 4), 0.5), regularizer=1.0)
