"""The one training loop, which every recipe shares, and what a network says of examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from backend.core.errors import InputError
from backend.demo.networks import EVALUATION_BATCH, one_thread
from backend.retraining.problem import Schedule

Floats = NDArray[np.float64]
Tick = Callable[[float], None]


class Course:
    """What a recipe does while a network is trained; by itself nothing but training.

    Attributes
    ----------
    drawn : float array of shape (n_train,)
        How often each example is drawn, relative to the others.
    """

    def __init__(self, drawn: Any) -> None:
        self.drawn = np.asarray(drawn, np.float64)

    def weights(self, done: int, network: nn.Module) -> Floats:
        """How often each example is drawn in the pass after ``done`` passes."""
        return self.drawn

    def inputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """The inputs that these rows are shown as."""
        return inputs

    def loss(self, losses: Tensor, rows: Tensor) -> Tensor:
        """What a step lowers, of the cross-entropies (b,) of its rows."""
        return losses.mean()


@dataclass(frozen=True)
class Said:
    """What a network says of examples: its last hidden layer (n, d), and log-probabilities (n, C)."""

    embeddings: NDArray[np.float32]
    log_p: Floats


def train(
    make: Callable[[], nn.Module],
    x: Tensor,
    y: Tensor,
    plan: Schedule,
    course: Course,
    seed: int,
    tick: Tick = lambda share: None,
) -> nn.Module:
    """A network trained as planned, along a course. The seed decides weights, order and draws."""
    with one_thread(seed):
        network = make()
        optimizer = torch.optim.Adam(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
        steps = plan.passes * -(-len(x) // plan.batch)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        done = 0
        for number in range(plan.passes):
            weights = course.weights(number, network)
            network.train()
            for rows in drawn(weights, len(x), plan.batch):
                logits = network(course.inputs(x[rows], rows))
                losses = functional.cross_entropy(logits, y[rows], reduction="none")
                optimizer.zero_grad()
                course.loss(losses, rows).backward()
                optimizer.step()
                schedule.step()
                done += 1
                tick(done / steps)
        return network.eval()


def drawn(weights: Floats, n: int, batch: int) -> Iterator[Tensor]:
    """Rows of the steps of a pass of ``n`` draws.

    Where all rows that are drawn at all have one weight, each comes once before any comes again;
    else they are drawn with replacement, by their weights.
    """
    held = np.flatnonzero(weights)
    if not len(held) or (weights < 0).any() or not np.isfinite(weights).all():
        raise InputError("weights must be finite, none below 0, and one at least above it.")
    if np.ptp(weights[held]) == 0:
        rounds = [torch.randperm(len(held)) for _ in range(-(-n // len(held)))]
        order = torch.from_numpy(held)[torch.cat(rounds)[:n]]
    else:
        order = torch.multinomial(torch.from_numpy(weights), n, replacement=True)
    yield from order.split(batch)


def last_linear(network: nn.Module) -> nn.Linear:
    """The last linear layer of a network, whose inputs are its embedding."""
    layers = [part for part in network.modules() if isinstance(part, nn.Linear)]
    if not layers:
        raise InputError("the network must end in a linear layer (torch.nn.Linear): it has none.")
    return layers[-1]


def ask(network: nn.Module, inputs: Tensor, tick: Callable[[], None] = lambda: None) -> Said:
    """What a network says of ``inputs``, in batches, without gradients.

    Raises
    ------
    InputError
        If it does not end in its last linear layer, or says what is no number.
    """
    layer = last_linear(network)
    caught: dict[str, Tensor] = {}
    hook = layer.register_forward_hook(
        lambda module, given, made: caught.update(inputs=given[0], outputs=made)
    )
    was_training = network.training
    network.eval()
    embeddings, logits = [], []
    try:
        with one_thread(0), torch.no_grad():
            for batch in inputs.split(EVALUATION_BATCH):
                tick()
                made = network(batch)
                if not torch.equal(made, caught["outputs"]):
                    raise InputError(
                        "the network must give the outputs of its last linear layer as logits: it "
                        "gives something else."
                    )
                embeddings.append(caught["inputs"].numpy())
                logits.append(made.numpy())
    finally:
        hook.remove()
        network.train(was_training)
    found = np.concatenate(logits).astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(
            "a network's outputs are not finite: training ran away. Lower the rate of the schedule."
        )
    log_p = torch.log_softmax(torch.from_numpy(found), 1).numpy()
    return Said(np.concatenate(embeddings).astype(np.float32), log_p)
