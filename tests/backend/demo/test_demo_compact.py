"""Pruned networks are as sparse as said, rounded ones are rounded channel by channel."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from backend.core.errors import InputError
from backend.demo.compact import (
    Plan,
    ask,
    cubic_sparsity,
    image_network,
    log_probabilities,
    prune_to,
    round_weights,
    table_network,
    train_plan,
    weighted_layers,
)

INPUTS = torch.rand(320, 1, 28, 28, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(320) % 10


def trained(plan, seen=None):
    def look(share):
        if seen is not None:
            seen.append(share)

    return train_plan(image_network, INPUTS, LABELS, plan, after_batch=look)


def zeros(network):
    weights = torch.cat([layer.weight.flatten() for layer in weighted_layers(network)])
    return float((weights == 0).float().mean())


@pytest.mark.parametrize("sparsity", [0.0, 0.7, 0.9])
def test_the_share_of_zeros_is_the_planned_one(sparsity):
    network = trained(Plan(3, 2, sparsity=sparsity))
    assert zeros(network) == pytest.approx(sparsity, abs=1e-4)
    assert not any("orig" in name or "mask" in name for name in network.state_dict())


def test_weights_go_step_by_step_and_never_come_back(monkeypatch):
    monkeypatch.setattr("backend.demo.compact.PRUNE_EVERY", 1)
    shares, masks = [], []
    make = image_network
    kept = []

    def keep():
        kept.append(make())
        return kept[0]

    def look(share):
        held = [mask.flatten() for name, mask in kept[0].named_buffers()]
        masks.append(torch.cat(held).numpy() if held else None)
        shares.append(share)

    train_plan(keep, INPUTS, LABELS, Plan(0, 2, sparsity=0.8), after_batch=look)
    pruned = [(share, mask) for share, mask in zip(shares, masks, strict=True) if mask is not None]
    done = [float((mask == 0).mean()) for _, mask in pruned]
    wanted = [cubic_sparsity(share - 0.1, 0.8) for share, _ in pruned]  # before the batch of 5
    assert np.allclose(done, wanted, atol=1e-3) and len(set(done)) > 3
    for (_, before), (_, after) in pairwise(pruned):
        assert not (after[before == 0] != 0).any()


def test_the_schedule_worked_by_hand():
    given = [0.0, 0.2, 0.45, 0.7, 1.0]
    assert [cubic_sparsity(share, 0.8) for share in given] == pytest.approx([0, 0, 0.7, 0.8, 0.8])


def test_pruning_takes_the_smallest_of_all_layers():
    network = table_network(5)
    before = torch.cat(
        [layer.weight.detach().flatten().abs() for layer in weighted_layers(network)]
    )
    prune_to(network, 0.25)
    after = torch.cat([layer.weight.detach().flatten() for layer in weighted_layers(network)])
    assert before[after == 0].max() < before[after != 0].min()
    prune_to(network, 0.1)  # fewer than are gone already: none comes back
    again = torch.cat([layer.weight.detach().flatten() for layer in weighted_layers(network)])
    assert torch.equal(after, again)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_every_channel_is_whole_multiples_of_its_own_step(bits):
    torch.manual_seed(0)
    network = image_network()
    before = [layer.weight.detach().clone() for layer in weighted_layers(network)]
    biases = [layer.bias.detach().clone() for layer in weighted_layers(network)]
    round_weights(network, bits)
    top = 2 ** (bits - 1) - 1
    for layer, old, bias in zip(weighted_layers(network), before, biases, strict=True):
        weights, old = layer.weight.detach().flatten(1).double(), old.flatten(1).double()
        step = old.abs().amax(1, keepdim=True) / top
        level = weights / step
        assert (level - level.round()).abs().max() < 1e-4
        assert level.abs().max() == pytest.approx(top)
        assert ((weights - old).abs() <= step / 2 * (1 + 1e-5)).all()
        assert max(len(np.unique(row.round())) for row in level.numpy()) <= 2**bits - 1
        assert len(np.unique(step.numpy())) > 1  # one step per channel, not one per layer
        assert torch.equal(layer.bias, bias)


def test_a_channel_of_zeros_stays_one():
    network = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [0.7, -0.25, 0.0]]))
    round_weights(network, 4)
    wanted = torch.tensor([[0.0, 0.0, 0.0], [0.7, -0.2, 0.0]])  # -2.5 steps: the even one, -2
    assert torch.allclose(network[0].weight, wanted, atol=1e-6)


def test_a_trained_network_is_rounded_after_training():
    dense, rounded = trained(Plan(5, 1)), trained(Plan(5, 1, bits=4))
    round_weights(dense, 4)
    for own, other in zip(dense.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(own, other)


def test_bits_out_of_range():
    with pytest.raises(InputError, match="bits must be 2 to 8: got 1"):
        round_weights(image_network(), 1)


def test_one_plan_is_one_network_and_seeds_differ():
    torch.manual_seed(11)
    first, again, other = (trained(Plan(seed, 1)) for seed in (4, 4, 5))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_progress_ends_at_one():
    seen = []
    trained(Plan(0, 2), seen)
    assert seen == sorted(seen) and len(seen) == 10
    assert seen[-1] == 1


def test_answers_are_those_of_the_network():
    network = trained(Plan(0, 1))
    answers = ask(network, INPUTS)
    with torch.no_grad():
        assert np.allclose(answers.logits, network(INPUTS).numpy(), atol=1e-5)
    head = answers.embeddings @ network.head.weight.detach().numpy().T
    assert np.allclose(head + network.head.bias.detach().numpy(), answers.logits, atol=1e-5)
    assert np.allclose(np.exp(log_probabilities(answers.logits)).sum(1), 1)
