"""Scores of training examples: TRAK, the last layer, and what refuses to be scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from backend.attribution import (
    default_regularizer,
    gauss_newton_influence,
    last_layer_features,
    margin_gradients,
    project_features,
    refit_head,
    trak_scores,
)
from backend.core.errors import InputError
from tests.backend.attribution import twin


def problem(t=2, n_train=30, n=7, k=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(t, n_train, k)), rng.normal(size=(t, n, k)), rng.random((t, n_train))


def logistic(n_train=200, n=20, d=4, seed=1):
    """Binary logistic regression with logits (0, w x), fitted; its examples, labels, weights."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(n_train, d)), rng.normal(size=(n, d))
    truth = rng.normal(size=d)
    y = (rng.random(n_train) < 1 / (1 + np.exp(-x @ truth))).astype(int)
    labels = (rng.random(n) < 1 / (1 + np.exp(-z @ truth))).astype(int)
    w = np.zeros(d)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 0.1 * np.eye(d)
        w += np.linalg.solve(hessian, x.T @ (y - p) - 0.1 * w)
    return x, y, z, labels, w


def pair(logit):
    p = 1 / (1 + np.exp(-logit))
    return np.column_stack([1 - p, p])


@pytest.mark.parametrize("average", ["product_of_means", "mean_of_products"])
@pytest.mark.parametrize("weak", [0.0, 0.7, (0.2, 3.0)])
def test_scores_are_those_of_the_formula(average, weak):
    train, targets, residuals = problem()
    found = trak_scores(train, targets, residuals, regularizer=weak, average=average)
    expected = twin.trak(train, targets, residuals, np.broadcast_to(weak, 2), average)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found.dtype == np.float64


def test_scores_worked_out_on_paper():
    # One feature: Phi g = 2 * 3 / (4 + 16) = .3 and 4 * 3 / 20 = .6, times the residuals.
    found = trak_scores([[[2.0], [4.0]]], [[[3.0]]], [[0.5, 0.25]])
    np.testing.assert_allclose(found, [[0.15], [0.15]])
    np.testing.assert_allclose(default_regularizer([[[2.0], [4.0]]]), [2.0])
    weak = trak_scores([[[2.0], [4.0]]], [[[3.0]]], [[0.5, 0.25]], regularizer=20.0)
    np.testing.assert_allclose(weak, [[0.075], [0.075]])


def test_binary_logistic_regression_has_a_closed_form():
    x, y, z, labels, w = logistic()
    s, s_z, p = 2 * y - 1, 2 * labels - 1, pair(x @ w)[np.arange(len(y)), y]
    closed = ((1 - p) * s)[:, None] * (x @ np.linalg.inv(x.T @ x) @ z.T) * s_z
    # From gradients written down, from the last layer, and from the live model.
    features = (s[:, None] * x)[None], (s_z[:, None] * z)[None]
    layer = [
        last_layer_features(own, pair(own @ w), codes, bias=False)[None]
        for own, codes in ((x, y), (z, labels))
    ]

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Linear(4, 1, bias=False, dtype=torch.float64)
            self.w.weight.data = torch.tensor(w[None])

        def forward(self, batch):
            return torch.cat([torch.zeros_like(batch[:, :1]), self.w(batch)], 1)

    model = Two().train()
    live = [
        margin_gradients(model, torch.tensor(own), torch.tensor(codes))
        for own, codes in ((x, y), (z, labels))
    ]
    np.testing.assert_allclose(live[0][1], 1 - p, rtol=1e-9)
    assert model.training
    for train, targets in (features, layer):
        found = trak_scores(train, targets, (1 - p)[None])
        np.testing.assert_allclose(found, closed, rtol=1e-6, atol=1e-12)
    found = trak_scores(live[0][0][None], live[1][0][None], live[0][1][None])
    np.testing.assert_allclose(found, closed, rtol=1e-5, atol=1e-6)  # features are float32


def test_scores_do_not_depend_on_the_basis_of_the_features():
    train, targets, residuals = problem(t=1)
    mix = np.random.default_rng(3).normal(size=(5, 5))
    np.testing.assert_allclose(
        trak_scores(train @ mix, targets @ mix, residuals),
        trak_scores(train, targets, residuals),
        rtol=1e-8,
    )


def test_scores_are_linear_in_the_targets_and_may_be_written_to_a_file(tmp_path, monkeypatch):
    train, targets, residuals = problem(n=9)
    whole = trak_scores(train, targets, residuals, regularizer=0.5)
    mean = trak_scores(train, targets.mean(1, keepdims=True), residuals, regularizer=0.5)
    np.testing.assert_allclose(mean[:, 0], whole.mean(1), rtol=1e-10)
    monkeypatch.setattr("backend.attribution.trak._SOLVED_VALUES", 40)  # 4 targets at once
    place = np.lib.format.open_memmap(tmp_path / "scores.npy", "w+", np.float32, (30, 9))
    told = []
    kept = trak_scores(
        train, targets, residuals, regularizer=0.5, out=place,
        progress=lambda share, words: told.append(share),
    )  # fmt: skip
    assert kept is place and told == sorted(told) and told[-1] == 1
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), whole, rtol=1e-5, atol=1e-7)


def test_single_scores_rank_as_leaving_each_example_out_does():
    x, y, z, labels, w = logistic(n_train=120, n=6)

    def margins(keep):
        fitted = np.zeros(4)
        for _ in range(30):
            p = 1 / (1 + np.exp(-x[keep] @ fitted))
            hessian = (x[keep] * (p * (1 - p))[:, None]).T @ x[keep] + 0.1 * np.eye(4)
            fitted += np.linalg.solve(hessian, x[keep].T @ (y[keep] - p) - 0.1 * fitted)
        return (2 * labels - 1) * (z @ fitted)

    whole = margins(np.ones(120, bool))
    left = np.array([whole - margins(np.arange(120) != i) for i in range(120)])
    train, targets = (
        last_layer_features(own, pair(own @ w), codes, bias=False)
        for own, codes in ((x, y), (z, labels))
    )
    p = pair(x @ w)[np.arange(120), y]
    trak = trak_scores(train[None], targets[None], (1 - p)[None])
    influence = gauss_newton_influence(
        x, pair(x @ w), y, z, pair(z @ w), labels, damping=0.003, bias=False
    )

    def agreement(scores):
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores.T, left.T, strict=True)])

    assert agreement(trak) > 0.85
    assert agreement(influence) > 0.99
    np.testing.assert_allclose(influence.std(), left.std(), rtol=0.1)  # in units of the margin


@pytest.mark.parametrize("damping", [1e-3, 0.5])
@pytest.mark.parametrize("bias", [False, True])
def test_influence_is_that_of_the_whole_matrix(damping, bias):
    rng = np.random.default_rng(5)
    x, z = rng.normal(size=(25, 3)), rng.normal(size=(4, 3))
    y, labels = rng.integers(0, 4, 25), rng.integers(0, 4, 4)
    weights = rng.normal(size=(4, 3 + int(bias)))
    long_x, long_z = (np.column_stack([own, np.ones((len(own), int(bias)))]) for own in (x, z))
    chances = [np.array([twin.softmax(weights @ one) for one in own]) for own in (long_x, long_z)]
    found = gauss_newton_influence(
        x, chances[0], y, z, chances[1], labels, damping=damping, bias=bias
    )
    expected = twin.influence(long_x, y, long_z, labels, weights, damping)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_gradients_of_a_live_model_are_those_of_its_last_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3))
    inputs, labels = torch.randn(8, 5), torch.tensor([0, 1, 2, 0, 1, 2, 2, 1])
    model.eval()
    with torch.no_grad():
        embedded = model[:2](inputs).numpy()
        chances = model(inputs).softmax(1).numpy()
    model.train()
    live, residuals = margin_gradients(model, inputs, labels, layers=["3"])
    own = last_layer_features(embedded, chances, labels)
    assert live.shape == (8, 21) and own.shape == (8, 14)
    # In contrasts of the classes there are fewer numbers, with the same inner products.
    np.testing.assert_allclose(live @ live.T, own @ own.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(residuals, 1 - chances[np.arange(8), labels], rtol=1e-5)
    whole, _ = margin_gradients(model, inputs, labels)
    parts = [margin_gradients(model, inputs[rows], labels[rows], k=7, seed=2)[0]
             for rows in (slice(0, 3), slice(3, 8))]  # fmt: skip
    np.testing.assert_allclose(
        np.concatenate(parts), project_features(whole, 7, seed=2), rtol=1e-4, atol=1e-5
    )


def test_projections_are_seeded_blocks_that_keep_inner_products(monkeypatch):
    values = np.random.default_rng(0).normal(size=(6, 50))
    monkeypatch.setattr("backend.attribution.projection.BLOCK", 16)
    first, again, other = (project_features(values, 4000, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    np.testing.assert_allclose(first @ first.T, values @ values.T, atol=4)
    assert np.abs(values @ values.T).max() > 30
    embeddings, chances = values[:, :9], np.full((6, 3), 1 / 3)
    plain = last_layer_features(embeddings, chances, [0, 1, 2, 0, 1, 2])
    blocks = last_layer_features(embeddings, chances, [0, 1, 2, 0, 1, 2], k=8, seed=3)
    np.testing.assert_allclose(blocks, project_features(plain, 8, seed=3), atol=1e-12)


def test_a_refitted_head_answers_as_the_layer_it_stands_for():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 5, size=(600, 4))
    weights = rng.normal(size=(4, 3)) / 3
    labels = np.array([rng.choice(3, p=twin.softmax(one @ weights)) for one in x])
    head = refit_head(x, np.where(labels == 2, 3, labels), 4)
    found = head.probabilities(x)
    assert head.converged and (found[:, 2] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1)
    truth = np.array([twin.softmax(one @ weights) for one in x])
    assert np.abs(found[:, [0, 1, 3]] - truth).mean() < 0.04
    two = refit_head(x, (x[:, 0] > 3).astype(int), 2).probabilities(x)
    assert ((two[:, 1] > 0.5) == (x[:, 0] > 3)).mean() > 0.98


GOOD = np.ones((1, 4, 2)), np.ones((1, 3, 2)), np.full((1, 4), 0.5)
X = np.arange(8.0).reshape(4, 2)
P, Y = np.full((4, 2), 0.5), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: trak_scores(GOOD[0][0], *GOOD[1:]), r"train_features must be .* got shape \(4, 2\)"),
        (lambda: trak_scores(GOOD[0], np.ones((1, 3, 3)), GOOD[2]), r"same checkpoints and features"),
        (lambda: trak_scores(GOOD[0], np.ones((2, 3, 2)), GOOD[2]), r"same checkpoints and features"),
        (lambda: trak_scores(*GOOD[:2], np.ones((1, 3))), r"\(1, 4\): got shape \(1, 3\)"),
        (lambda: trak_scores(*GOOD[:2], np.full((1, 4), 1.5)), r"train_residuals must be in \[0, 1\]"),
        (lambda: trak_scores(*GOOD[:2], np.full((1, 4), np.nan)), r"train_residuals must be finite"),
        (lambda: trak_scores(GOOD[0], GOOD[1] * np.nan, GOOD[2]), r"target_features must be finite"),
        (lambda: trak_scores(np.ones((1, 0, 2)), *GOOD[1:]), r"non-empty"),
        (lambda: trak_scores(*GOOD, regularizer=-1), r"regularizer must be a number of 0 or more"),
        (lambda: trak_scores(*GOOD, regularizer=[1, 1]), r"or 1 of them"),
        (lambda: trak_scores(*GOOD, average="median"), r"average must be one of"),
        (lambda: trak_scores(*GOOD), r"(?s)singular|condition.*default_regularizer"),
        (lambda: trak_scores(GOOD[0] * 0, *GOOD[1:]), r"singular.*fewer features.*regularizer"),
        (
            lambda: trak_scores([X @ [[1, 1], [0, 1e-7]]], *GOOD[1:]),
            r"condition of the Gram .* above 1e\+12",
        ),
        (
            lambda: trak_scores(np.ones((1, 2, 5)), np.ones((1, 3, 5)), np.ones((1, 2))),
            r"5 features and only 2 training examples",
        ),
        (lambda: trak_scores(*GOOD, regularizer=1, out=np.ones((4, 2))), r"out must be .*\(4, 3\)"),
        (lambda: default_regularizer(GOOD[0], strength=-1), r"strength must be 0 or more"),
        (lambda: last_layer_features(X, P[:, :1], Y * 0), r"two classes or more"),
        (lambda: last_layer_features(X, P * 3, Y), r"sum to 1"),
        (lambda: last_layer_features(X, P, Y + 1), r"labels must be columns 0 to 1"),
        (lambda: last_layer_features(X, P, Y, k=0), r"k must be a whole number"),
        (lambda: last_layer_features(X, P[:3], Y), r"one row per embedding"),
        (
            lambda: gauss_newton_influence(X, P, Y, X[:, :1], P, Y),
            r"same dimensions and classes: got 2 dimensions",
        ),
        (lambda: gauss_newton_influence(X, P, Y, X, P, Y, damping=-1), r"damping must be 0 or more"),
        (lambda: gauss_newton_influence(X * 0, P, Y, X, P, Y, damping=0), r"condition|singular"),
        (
            lambda: gauss_newton_influence(np.ones((4, 9000)), P, Y, np.ones((4, 9000)), P, Y),
            r"9001 parameters, more than the 8192",
        ),
        (lambda: refit_head(X, Y * 0, 2), r"two classes or more"),
        (lambda: refit_head(X, Y, 2, penalty=0), r"penalty must be above 0"),
        (
            lambda: margin_gradients(nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 2])),
            r"labels must be columns 0 to 1",
        ),
        (
            lambda: margin_gradients(nn.Linear(2, 1), torch.ones(3, 2), torch.zeros(3).long()),
            r"two classes or more: got \(3, 1\)",
        ),
        (
            lambda: margin_gradients(
                nn.Linear(2, 2), torch.ones(1, 2), torch.tensor([0]), layers=["head"]
            ),
            r"no layer 'head'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused_with_a_way_out(call, said):
    with pytest.raises(InputError, match=said):
        call()
