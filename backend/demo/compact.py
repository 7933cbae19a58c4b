"""Networks small enough to train by the dozen, and the two ways they are compressed.

Pruned networks lose their weights gradually while they are trained; rounded ones are trained dense
and rounded at the end. One CPU thread and a random state of its own for each, so the same plan
gives the same network whatever else the process did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from backend.core.errors import InputError
from backend.demo.networks import EVALUATION_BATCH, NetworkOutput, one_thread

BATCH = 64
RATE = 0.003
PRUNE_EVERY = 50  # batches between two prunings
PRUNE_START, PRUNE_STOP = 0.2, 0.7  # shares of the training between which weights are removed


class Embedder(nn.Module):
    """A body that ends in a hidden layer, the embedding, and a linear head on it."""

    def __init__(self, body: nn.Module, hidden: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(hidden, classes)

    def embed(self, inputs: Tensor) -> Tensor:
        """Last hidden layer, (n, hidden), not negative."""
        embedded: Tensor = self.body(inputs)
        return embedded

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, (n, classes)."""
        logits: Tensor = self.head(self.embed(inputs))
        return logits


def image_network() -> Embedder:
    """Three convolutions (16, 32, 32), a hidden layer of 32, ten logits; 23 626 parameters."""
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 3 * 3, 32), nn.ReLU(),
    )  # fmt: skip
    # Only the order in memory; together with pooling before the ReLU it halves the time.
    network = Embedder(body, 32, 10)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def table_network(columns: int) -> Embedder:
    """Two hidden layers (64, 32) on the columns of a table, two logits."""
    body = nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    return Embedder(body, 32, 2)


@dataclass(frozen=True)
class Plan:
    """How one network is made.

    Parameters
    ----------
    seed : int
        Decides the first weights and the order of the examples.
    epochs : int
        Passes over the training examples; Adam, the rate falling linearly from 0.003 to 0.
    sparsity : float
        Share of all weights (biases aside) that are zero in the end; 0 leaves the network dense.
    bits : int
        Bits a weight is rounded to after training, 2 to 8; 0 leaves the weights as they are.
    """

    seed: int
    epochs: int
    sparsity: float = 0.0
    bits: int = 0


def cubic_sparsity(share: float, final: float) -> float:
    """Sparsity when ``share`` in [0, 1] of the training is done: 0, then a cubic rise to ``final``.

    ``s_f (1 - (1 - u)^3)`` with u running from 0 to 1 between a fifth and seven tenths of the
    training: most weights go early, while many are redundant (Zhu, Gupta, To Prune, or Not to
    Prune, 2017, arXiv:1710.01878, equation 1, starting from 0).
    """
    u = min(1.0, max(0.0, (share - PRUNE_START) / (PRUNE_STOP - PRUNE_START)))
    return final * (1 - (1 - u) ** 3)


def weighted_layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    """The layers whose weights are pruned or rounded, first to last."""
    return [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of one number per example: ``outputs`` (n, 1), ``targets`` (n,)."""
    return functional.mse_loss(outputs[:, 0], targets)


def train_plan(
    make: Callable[[], Embedder],
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
    after_batch: Callable[[float], None] = lambda share: None,
) -> Embedder:
    """A network from ``make``, trained on ``inputs`` (n, ...) and ``labels`` (n,) as planned.

    ``loss`` is of outputs and labels, ``squared_error`` for numbers; ``after_batch`` hears the share
    of the training done.
    """
    with one_thread(plan.seed):
        network = make()
        batches = plan.epochs * -(-len(inputs) // BATCH)
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, batches)
        done = 0
        for _ in range(plan.epochs):
            for rows in torch.randperm(len(inputs)).split(BATCH):
                last = done == int(PRUNE_STOP * batches)
                if plan.sparsity and (done % PRUNE_EVERY == 0 or last):
                    prune_to(network, cubic_sparsity(done / batches, plan.sparsity))
                optimizer.zero_grad()
                loss(network(inputs[rows]), labels[rows]).backward()
                optimizer.step()
                schedule.step()
                done += 1
                after_batch(done / batches)
        if plan.sparsity:
            prune_to(network, plan.sparsity)
            for layer in weighted_layers(network):
                prune.remove(layer, "weight")
    if plan.bits:
        round_weights(network, plan.bits)
    return network.eval()


def prune_to(network: nn.Module, sparsity: float) -> None:
    """Hold more weights at zero, smallest magnitude of all layers first, until the share is met.

    A weight once removed stays removed.
    """
    layers = weighted_layers(network)
    magnitudes = torch.cat([layer.weight.detach().abs().flatten() for layer in layers])
    count = round(sparsity * len(magnitudes))
    if count == 0:
        return
    kept = torch.ones(len(magnitudes))
    kept[magnitudes.topk(count, largest=False).indices] = 0
    own = kept.split([layer.weight.numel() for layer in layers])
    for layer, mask in zip(layers, own, strict=True):
        prune.custom_from_mask(layer, "weight", mask.reshape(layer.weight.shape))
        # In the order of the weights in memory, so that their product is in it as well.
        weights, plain = layer.get_parameter("weight_orig"), layer.get_buffer("weight_mask")
        layer.weight_mask = torch.empty_like(weights).copy_(plain)


def round_weights(network: nn.Module, bits: int) -> None:
    """Round each output channel's weights to whole multiples of its own step.

    Symmetric: the step is the largest magnitude of the channel over ``2^(bits - 1) - 1``, so a
    channel holds at most ``2^bits - 1`` values and zero stays zero. Biases stay as they are.
    """
    if not 2 <= bits <= 8:
        raise InputError(f"bits must be 2 to 8: got {bits}.")
    top = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for layer in weighted_layers(network):
            largest = layer.weight.abs().flatten(1).amax(1)
            step = largest.clamp_min(torch.finfo(torch.float32).tiny * top) / top
            zero = torch.zeros(len(step), dtype=torch.int32)
            rounded = torch.fake_quantize_per_channel_affine(layer.weight, step, zero, 0, -top, top)
            layer.weight.copy_(rounded)


def ask(network: Embedder, inputs: Tensor) -> NetworkOutput:
    """Embeddings and logits of ``inputs``, in batches, without gradients."""
    embeddings, logits = [], []
    with one_thread(0), torch.no_grad():
        for batch in inputs.split(EVALUATION_BATCH):
            embedded = network.embed(batch)
            embeddings.append(embedded.numpy())
            logits.append(network.head(embedded).numpy())
    return NetworkOutput(np.concatenate(embeddings), np.concatenate(logits))


def log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Natural logarithm of the softmax of each row, (n, C)."""
    return torch.log_softmax(torch.from_numpy(logits).double(), 1).numpy()
