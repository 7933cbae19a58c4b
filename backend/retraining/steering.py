"""Recipes that look at the network after every pass: spotlights, and targeted augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.errors import InputError
from backend.retraining.situation import Setting, Situation
from backend.retraining.training import Course, Floats, ask
from backend.spotlight import find_spotlights

SIZES = (0.01, 0.1)
"""Of a spotlight, as shares of the training set: those of the paper."""
MIXED = 0.5
"""Of the draws of a pass that a spotlight has; the others are uniform."""
AUGMENTED = 0.2
"""Of the training examples that are augmented in a pass: the least confident."""
EVERYTHING = 5 / 60
"""Share of the passes in which all are augmented first, as in the paper; one pass at least."""
NEEDS = (
    "targeted augmentation needs the problem's augment, from a batch of inputs to changed ones: give it, "
    "or leave this recipe out."
)
_STARTS = 4


def spotlight_training(at: Situation) -> list[Setting]:
    """After every pass, what a spotlight on the training set covers is drawn more often."""
    return [
        Setting(f"size {size:.0%}", lambda size=size: SpotlightCourse(at, size))  # type: ignore[misc]
        for size in SIZES
    ]


class SpotlightCourse(Course):
    """Draws by ``s * spotlight + (1 - s) * uniform``, the spotlight found anew after every pass.

    d'Eon, d'Eon, Wright, Leyton-Brown, The Spotlight, 2021, arXiv:2107.00758, section 4.
    """

    def __init__(self, at: Situation, size: float, mixed: float = MIXED) -> None:
        super().__init__(np.ones(at.problem.n_train))
        self.at, self.size, self.mixed = at, size, mixed

    def weights(self, done: int, network: nn.Module) -> Floats:
        if not done:
            return self.drawn
        said = ask(network, self.at.problem.x)
        losses = -said.log_p[np.arange(len(said.log_p)), self.at.problem.y]
        found = find_spotlights(
            said.embeddings,
            losses,
            size=self.size,
            n_spotlights=1,
            starts=_STARTS,
            seed=self.at.seed,
            device="cpu",
        )
        return mix(found.weights[0], self.mixed)


def mix(weights: Floats, mixed: float) -> Floats:
    """``mixed`` times the normalised weights, and the rest spread evenly; sums to 1."""
    return np.asarray(mixed * weights / weights.sum() + (1 - mixed) / len(weights), np.float64)


def targeted_augmentation(at: Situation) -> list[Setting]:
    """Only the examples that the network is least sure of in training are augmented.

    Raises
    ------
    InputError
        If the problem does not say how to augment.
    """
    if at.problem.problem.augment is None:
        raise InputError(NEEDS)
    return [Setting("", lambda: TargetedCourse(at))]


class TargetedCourse(Course):
    """Everything is augmented at first, then the fifth with the lowest probability of its label.

    The probability is that of the training pass, on the input as it was shown and before the step.
    D'souza, Nussbaum, Agarwal, Hooker, A Tale of Two Long Tails, 2021, arXiv:2107.13098.
    """

    def __init__(self, at: Situation) -> None:
        super().__init__(np.ones(at.problem.n_train))
        augment = at.problem.problem.augment
        assert augment is not None  # asked for before
        self.augment = augment
        self.first = max(1, round(EVERYTHING * at.problem.problem.schedule.passes))
        self.confidence = torch.zeros(at.problem.n_train)
        self.targeted = torch.ones(at.problem.n_train, dtype=torch.bool)

    def weights(self, done: int, network: nn.Module) -> Floats:
        if done >= self.first:
            count = max(1, int(AUGMENTED * len(self.confidence) + 1e-9))
            self.targeted = torch.zeros_like(self.targeted)
            self.targeted[torch.argsort(self.confidence, stable=True)[:count]] = True
        return self.drawn

    def inputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        chosen = self.targeted[rows]
        if not chosen.any():
            return inputs
        shown = inputs.clone()
        shown[chosen] = self.augment(inputs[chosen])
        return shown

    def loss(self, losses: Tensor, rows: Tensor) -> Tensor:
        self.confidence[rows] = torch.exp(-losses.detach())
        return losses.mean()
