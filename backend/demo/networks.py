"""The small convolutional network of the demo: training, pruning, and what it says of an image.

Everything runs on one CPU thread with its own random state, so the same seed gives the same
network on the same machine whatever else happens in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

BATCH = 64
RATE = 0.002
EVALUATION_BATCH = 500


class Network(nn.Module):
    """Three convolutions, a hidden layer of 64 (the embedding), ten logits; 93 322 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.hidden = nn.Linear(64 * 3 * 3, 64)
        self.head = nn.Linear(64, 10)

    def embed(self, images: Tensor) -> Tensor:
        """Last hidden layer, (n, 64), not negative."""
        return torch.relu(self.hidden(self.convolutions(images).flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (n, 10)."""
        logits: Tensor = self.head(self.embed(images))
        return logits


@dataclass(frozen=True)
class Recipe:
    """How one network is made.

    Parameters
    ----------
    seed : int
        Decides the first weights and the order of the examples.
    epochs : int
        Passes over the training images; Adam, the rate falling linearly from 0.002 to 0.
    sparsity : float
        Share of all weights (biases aside) set to zero after training, smallest magnitude first
        whatever the layer; 0 leaves the network dense.
    recovery : int
        Epochs of training with those zeros held, the rate again from 0.002; only when pruned.
    """

    seed: int
    epochs: int
    sparsity: float = 0.0
    recovery: int = 0

    @property
    def passes(self) -> int:
        """Epochs in all."""
        return self.epochs + (self.recovery if self.sparsity else 0)


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says of n images: embeddings (n, 64) and logits (n, 10), float32."""

    embeddings: NDArray[np.float32]
    logits: NDArray[np.float32]


@contextmanager
def one_thread(seed: int) -> Iterator[None]:
    """Seeded torch on one thread; the caller's random state and thread count come back after."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def train_network(
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    after_batch: Callable[[float], None] = lambda share: None,
    after_epoch: Callable[[Network], None] = lambda network: None,
) -> Network:
    """A network trained on ``images`` (n, 1, 28, 28) and ``labels`` (n,) as ``recipe`` says.

    ``after_batch`` hears the share of the work done; ``after_epoch`` sees the network after every
    epoch of the first training.
    """
    with one_thread(recipe.seed):
        network = Network()
        batches = recipe.passes * -(-len(images) // BATCH)
        done = 0

        def run_epochs(epochs: int) -> Iterator[None]:
            nonlocal done
            optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
            schedule = torch.optim.lr_scheduler.LinearLR(
                optimizer, 1.0, 0.0, epochs * -(-len(images) // BATCH)
            )
            for _ in range(epochs):
                for rows in torch.randperm(len(images)).split(BATCH):
                    optimizer.zero_grad()
                    functional.cross_entropy(network(images[rows]), labels[rows]).backward()
                    optimizer.step()
                    schedule.step()
                    done += 1
                    after_batch(done / batches)
                yield

        for _ in run_epochs(recipe.epochs):
            after_epoch(network)
        if recipe.sparsity:
            layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
            weights = [(layer, "weight") for layer in layers]
            prune.global_unstructured(weights, prune.L1Unstructured, amount=recipe.sparsity)
            for _ in run_epochs(recipe.recovery):
                pass
            for layer in layers:
                prune.remove(layer, "weight")
        return network.eval()


def ask_network(network: Network, images: Tensor) -> NetworkOutput:
    """Embeddings and logits of ``images``, in batches, without gradients."""
    embeddings, logits = [], []
    with one_thread(0), torch.no_grad():
        for batch in images.split(EVALUATION_BATCH):
            embedded = network.embed(batch)
            embeddings.append(embedded.numpy())
            logits.append(network.head(embedded).numpy())
    return NetworkOutput(np.concatenate(embeddings), np.concatenate(logits))


def input_gradients(network: Network, images: Tensor, labels: Tensor) -> NDArray[np.float32]:
    """Gradient of the label's logit with respect to the pixels, (n, 28, 28): what VoG compares."""
    found = []
    with one_thread(0):
        for batch, own in zip(
            images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True
        ):
            batch = batch.clone().requires_grad_()
            chosen = network(batch).gather(1, own[:, None]).sum()
            found.append(torch.autograd.grad(chosen, batch)[0][:, 0].numpy())
    return np.concatenate(found)
