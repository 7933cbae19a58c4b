"""The last layer refitted: PyTorch's SGD as the referee, the minimum, strength 0, sweeps, errors."""

import numpy as np
import pytest
import torch

from backend.core.errors import InputError
from backend.core.statistics import mean_interval
from backend.repair import (
    DebugSet,
    RetrainedHead,
    head_accuracy,
    resolved_share,
    retrain_head,
    sweep_heads,
)
from backend.repair.head import HeadProblem, debug_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = (X @ RNG.normal(size=(4, 3)) + 0.5 * RNG.normal(size=(90, 3))).argmax(axis=1)
DEBUG_X, DEBUG_Y = X[:9] + 3, (Y[:9] + 1) % 3


def objective(head, strength, decay):
    """The objective of a head in PyTorch, with its weight decay."""
    w, b = torch.tensor(head.weights), torch.tensor(head.bias)
    ce = torch.nn.functional.cross_entropy
    loss = ce(torch.tensor(X) @ w.T + b, torch.tensor(Y))
    if strength:
        loss += strength * ce(torch.tensor(DEBUG_X) @ w.T + b, torch.tensor(DEBUG_Y))
    return float(loss), float(loss + decay / 2 * (w.square().sum() + b.square().sum()))


def test_sgd_is_that_of_pytorch():
    found = retrain_head(X, Y, DEBUG_X, DEBUG_Y, epochs=50, seed=2)
    bound = 1 / 2
    start = np.random.default_rng(2).uniform(-bound, bound, (5, 3))
    layer = torch.nn.Linear(4, 3).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(start[:-1].T))
        layer.bias.copy_(torch.tensor(start[-1]))
    sgd = torch.optim.SGD(layer.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    ce = torch.nn.CrossEntropyLoss()
    for _ in range(50):
        sgd.zero_grad()
        loss = ce(layer(torch.tensor(X)), torch.tensor(Y))
        loss = loss + 0.5 * ce(layer(torch.tensor(DEBUG_X)), torch.tensor(DEBUG_Y))
        loss.backward()
        sgd.step()
    np.testing.assert_allclose(found.weights, layer.weight.detach(), atol=1e-10)
    np.testing.assert_allclose(found.bias, layer.bias.detach(), atol=1e-10)
    assert (found.outcome, found.steps) == ("all epochs", 50)
    assert found.objective == pytest.approx(objective(found, 0.5, 0)[0])


def test_both_recipes_end_at_the_one_minimum():
    asked = {"strength": 2, "weight_decay": 0.01}
    slow = retrain_head(X, Y, DEBUG_X, DEBUG_Y, epochs=4000, learning_rate=0.02, **asked)
    fast = retrain_head(X, Y, DEBUG_X, DEBUG_Y, recipe="full", **asked)
    assert fast.outcome == "converged" and fast.steps < 100
    np.testing.assert_allclose(fast.weights, slow.weights, atol=2e-4)
    assert objective(fast, 2, 0.01)[1] <= objective(slow, 2, 0.01)[1] + 1e-9
    batches = retrain_head(
        X, Y, DEBUG_X, DEBUG_Y, strength=2, epochs=400, batch_size=30, learning_rate=0.002,
        weight_decay=0.01,
    )  # fmt: skip
    assert objective(batches, 2, 0.01)[1] < objective(fast, 2, 0.01)[1] + 0.01
    # A debug row counts strength / m beside 1 / n: the same rows as weights of one problem.
    twice = HeadProblem(X, Y, 3, weight_decay=0.01).solve(debug_weights(90, np.arange(9), 2.0))
    same = retrain_head(X, Y, X[:9], Y[:9], strength=2, recipe="full", weight_decay=0.01)
    np.testing.assert_allclose(twice.weights, same.weights, atol=1e-4)


@pytest.mark.parametrize("recipe", [{}, {"batch_size": 25}, {"recipe": "full"}], ids=str)
def test_strength_0_is_the_plain_refit_bit_for_bit(recipe):
    options = recipe | ({} if recipe.get("recipe") else {"epochs": 30})
    plain = retrain_head(X, Y, strength=0, **options)
    without = retrain_head(X, Y, DEBUG_X, DEBUG_Y + 7, strength=0, **options)
    for one in ("weights", "bias", "objective", "steps"):
        np.testing.assert_array_equal(getattr(plain, one), getattr(without, one))
    more = retrain_head(X, Y, DEBUG_X, DEBUG_Y, strength=0.1, **options)
    assert (more.weights != plain.weights).all()


def test_float32_stays_float32_and_what_diverges_says_so():
    single = retrain_head(X.astype(np.float32), Y, strength=0, recipe="full")
    double = retrain_head(X, Y, strength=0, recipe="full")
    assert single.weights.dtype == np.float32
    assert np.abs(single.weights - double.weights).max() < 0.01
    assert (single.predict(X) == double.predict(X)).mean() > 0.97
    with np.errstate(all="ignore"):
        wild = retrain_head(X * 1e200, Y, strength=0, learning_rate=1e200)
    assert wild.outcome == "not finite" and np.isnan(wild.objective)


def test_a_planted_failure_is_repaired_and_the_sweep_says_by_how_much():
    rng = np.random.default_rng(5)
    plain = rng.normal(size=(600, 6))
    labels = (plain[:, 0] > 0).astype(int)
    shifted = rng.normal(size=(120, 6))
    shifted[:, 5] += 4  # there the rule is the other way round
    turned = (shifted[:, 0] + shifted[:, 1] < 0).astype(int)
    sets = {
        "targeted": DebugSet(shifted[:60], turned[:60], np.repeat([1, 2, 3], 20)),
        "random": lambda seed: DebugSet(plain[seed : seed + 60], labels[seed : seed + 60]),
    }
    measured = {"heldout": (shifted[60:], turned[60:]), "nobody": (plain[:0], labels[:0])}
    table = sweep_heads(
        plain, labels, sets, measured, strengths=(0.5, 2), ks=(1, None), seeds=(0, 1),
        recipe="full",
    )  # fmt: skip
    assert table["set"].unique().tolist() == ["plain refit", "targeted", "random"]
    assert len(table) == 2 * (1 + 2 * 2 * 2)
    held = table[table["measured"] == "heldout"].set_index(["set", "strength", "k"])["accuracy"]
    best = held.xs(("targeted", 2.0), level=(0, 1)).max()
    assert best > held["plain refit"].iloc[0] + 0.2 and best > held["random"].max() + 0.2
    sizes = table[table["set"] == "targeted"].groupby("k", dropna=False)["n_debug"].first()
    assert sizes.tolist() == [20, 60]
    assert table[table["measured"] == "nobody"]["accuracy"].isna().all()
    own = table[(table["set"] == "random") & (table["measured"] == "heldout")]
    assert (own["low"] <= own["accuracy"]).all() and (own["n"] == 60).all()


def test_no_share_of_a_sweep_lies_beyond_0_or_1():
    measured = {str(at): (X[at : at + 2], Y[at : at + 2]) for at in range(0, 20, 2)}
    found = sweep_heads(X, Y, {}, measured, seeds=(0, 1, 2), epochs=1)
    lone = mean_interval([2 / 2, 1 / 2, 2 / 2])
    assert lone.high > 1 and lone.value in found["accuracy"].tolist(), "three seeds differ"
    assert (found["low"].min(), found["high"].max()) == (0, 1)


def test_collective_and_individual():
    found = resolved_share([True, True, True, False, False], [True, False, False, True, False])
    assert (found.share, found.relative_accuracy) == pytest.approx((1 / 3, 2 / 3))
    assert np.isnan(resolved_share([False], [True]).share)
    with pytest.raises(InputError, match="one per failure"):
        resolved_share([True], [True, False])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strength": -0.1}, "strength must be 0 or more: got -0.1"),
        ({"debug_embeddings": None}, "one example or more for a strength of 0.5: got none"),
        ({"debug_embeddings": X[:0]}, "got none. With a strength of 0"),
        ({"debug_embeddings": X[:9, :3]}, "dimensions of the embeddings: got 3 and 4"),
        ({"debug_labels": None}, "debug_labels must be given"),
        ({"debug_labels": Y[:3]}, r"debug_labels must be one per embedding: got shape \(3,\)"),
        ({"labels": Y - 1}, "whole numbers from 0: got -1"),
        ({"labels": Y.astype(float)}, "whole numbers from 0: got float64"),
        ({"n_classes": 2}, "labels must be below n_classes = 2: got 2"),
        ({"epochs": 0}, "epochs and batch_size must be 1 or more"),
        ({"weight_decay": 0, "recipe": "full"}, "above 0 for recipe 'full'"),
        ({"recipe": "adam"}, "recipe must be one of 'sgd', 'full'"),
        ({"embeddings": np.full((90, 4), np.nan)}, "embeddings must be finite"),
    ],
)
def test_errors(changed, message):
    asked = {"embeddings": X, "labels": Y, "debug_embeddings": DEBUG_X, "debug_labels": DEBUG_Y}
    assert isinstance(retrain_head(**asked, epochs=1), RetrainedHead)
    with pytest.raises(InputError, match=message):
        retrain_head(**{**asked, "epochs": 1, **changed})


def test_errors_of_a_sweep():
    sets, measured = {"a": DebugSet(DEBUG_X, DEBUG_Y)}, {"all": (X, Y)}
    with pytest.raises(InputError, match="ks must be 1 or more"):
        sweep_heads(X, Y, sets, measured, ks=(0,), epochs=1)
    with pytest.raises(InputError, match=r"strength must be 0 or more: got -0\.5"):
        sweep_heads(X, Y, sets, measured, strengths=(0.5, -0.5), epochs=1)
    with pytest.raises(InputError, match="at least one seed"):
        sweep_heads(X, Y, sets, measured, seeds=(), epochs=1)
    with pytest.raises(InputError, match="one per embedding"):
        head_accuracy(retrain_head(X, Y, strength=0, epochs=1), X, Y[:5])
