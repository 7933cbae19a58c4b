"""Variance of gradients: by hand, against a slow twin, and the properties of the definition."""

import numpy as np
import pytest
import torch

from backend.core.errors import InputError
from backend.difficulty import gradients as module
from backend.difficulty import variance_of_gradients


def test_worked_by_hand():
    # two pixels, two checkpoints: deviations 1 and 2 for the first example, 0 and 3 for the second
    gradients = [[[0, 0], [5, 1]], [[2, 4], [5, 7]]]
    found = variance_of_gradients(gradients)
    assert found.raw.tolist() == [1.5, 1.5]
    assert found.normalized.tolist() == [0, 0]
    assert found.flagged.all()
    gradients = np.array([[[0.0], [0.0], [0.0]], [[2.0], [4.0], [6.0]]])
    found = variance_of_gradients(gradients, ["a", "a", "b"])
    assert found.raw.tolist() == [1, 2, 3]
    assert found.normalized.tolist() == [-1, 1, 0]  # mean 1.5, deviation 0.5; "b" is alone
    assert found.flagged.tolist() == [False, False, True]
    assert found.n_checkpoints == 2


def slow_vog(gradients, labels):
    """Section 3 of the paper as released, one example and pixel at a time."""
    checkpoints, n = gradients.shape[:2]
    raw = []
    for i in range(n):
        pixels = gradients[:, i].mean(1).reshape(checkpoints, -1)  # channels come first
        raw.append(np.mean([np.sqrt(np.mean((p - p.mean()) ** 2)) for p in pixels.T]))
    normalized = []
    for i in range(n):
        own = [raw[j] for j in range(n) if labels[j] == labels[i]]
        sd = np.sqrt(np.mean((np.array(own) - np.mean(own)) ** 2))
        normalized.append((raw[i] - np.mean(own)) / sd if len(own) > 1 else 0.0)
    return raw, normalized


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [1, 200, 2**22])
def test_agrees_with_its_twin(seed, block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(3, 25, 3, 4, 5)).astype(np.float32)
    labels = np.append(rng.integers(0, 4, 24), 9)
    found = variance_of_gradients(gradients, labels, channel_axis=2)
    raw, normalized = slow_vog(gradients.astype(np.float64), labels)
    assert np.abs(found.raw - raw).max() < 1e-9
    assert np.abs(found.normalized - normalized).max() < 1e-9
    assert found.flagged[-1]


def test_properties():
    rng = np.random.default_rng(0)
    gradients, labels = rng.normal(size=(4, 30, 6)), rng.integers(0, 3, 30)
    found = variance_of_gradients(gradients, labels)
    constant = variance_of_gradients(np.repeat(gradients[:1], 3, axis=0))
    assert not constant.raw.any()
    assert not constant.normalized.any()
    shifted = variance_of_gradients(gradients + rng.normal(size=(1, 30, 6)), labels)
    assert np.allclose(shifted.raw, found.raw, atol=1e-12)
    scaled = variance_of_gradients(7 * gradients, labels)
    assert np.allclose(scaled.raw, 7 * found.raw)
    assert np.allclose(scaled.normalized, found.normalized)
    order = rng.permutation(30)
    moved = variance_of_gradients(gradients[:, order], labels[order])
    assert np.allclose(moved.normalized, found.normalized[order])
    assert np.allclose(variance_of_gradients(gradients[::-1], labels).raw, found.raw)


def test_tensors_negative_axes_and_one_number_per_example():
    gradients = np.random.default_rng(1).normal(size=(2, 8, 5, 3))
    wanted = variance_of_gradients(gradients.mean(-1)).raw
    found = variance_of_gradients(torch.from_numpy(gradients), channel_axis=-1).raw
    assert np.allclose(found, wanted)
    assert np.allclose(variance_of_gradients(gradients[:, :, 0, 0]).raw,
                       gradients[:, :, 0, 0].std(0))  # fmt: skip


@pytest.mark.parametrize(
    ("gradients", "options", "message"),
    [
        (np.ones((1, 3, 2)), {}, "2 or more checkpoints: got 1"),
        (np.ones(3), {}, r"shape \(t, n, ...\)"),
        (np.ones((2, 0, 3)), {}, "not empty"),
        (np.array([[["a"]], [["b"]]]), {}, "must be numeric"),
        (np.ones((2, 3, 4)), {"labels": [1, 2]}, "labels must be one per example"),
        (np.ones((2, 3, 4)), {"channel_axis": 1}, "axis after"),
        (np.ones((2, 3, 4)), {"channel_axis": 3}, "got 3 for 3 axes"),
    ],
)
def test_errors(gradients, options, message):
    with pytest.raises(InputError, match=message):
        variance_of_gradients(gradients, **options)


def test_the_first_bad_gradient_is_named():
    gradients = np.ones((3, 40, 2))
    gradients[2, 33, 1] = np.nan
    with pytest.raises(InputError, match="checkpoint 2, example 33 holds NaN"):
        variance_of_gradients(gradients)
