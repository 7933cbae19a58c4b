"""What is trained, on what, and whom it should serve: what a factory of the user's returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Sample:
    """Examples as a network takes them.

    Attributes
    ----------
    inputs : array-like of shape (n, ...)
        Floating point, one example a row.
    labels : int array-like of shape (n,)
        Class of each, from 0.
    groups : array-like of text, shape (n,)
        Whom the model should serve alike: usually label and an attribute.
    """

    inputs: Any = field(repr=False)
    labels: Any = field(repr=False)
    groups: Any = field(repr=False)


@dataclass(frozen=True)
class Schedule:
    """How every network is trained: Adam, the rate falling linearly to 0.

    Attributes
    ----------
    passes : int
        A pass has as many examples as the training set, whatever a recipe leaves out: every
        recipe takes as many steps.
    batch : int
    rate, decay : float
        Learning rate, and weight decay.
    """

    passes: int = 4
    batch: int = 64
    rate: float = 0.002
    decay: float = 0.0


@dataclass(frozen=True)
class RetrainingProblem:
    """A small network, its training set, and examples that were held out.

    Attributes
    ----------
    network : callable
        Gives a fresh network (n, ...) -> logits (n, C) whose last layer is linear; its first
        weights come from the random state of torch.
    train, held_out : Sample
        Held-out examples are dealt anew for every seed, to half and half: one chooses, the other
        reports. The model must not have seen any.
    classes : tuple of str
    schedule : Schedule
    augment : callable, optional
        From a batch of inputs to changed ones, drawing from the random state of torch; for the
        recipe that needs it.
    planted : bool array-like of shape (n_train,), optional
        Training examples that were put there to mislead: how many of the removed ones are among
        them is counted.
    planted_name : str
        What they are, in words.
    ids : array-like of text, shape (n,), optional
        Of the held-out examples: those of the bundle, in its order, where one is named.
    name : str
    """

    network: Callable[[], nn.Module] = field(repr=False)
    train: Sample
    held_out: Sample
    classes: tuple[str, ...]
    schedule: Schedule = Schedule()
    augment: Callable[[Tensor], Tensor] | None = None
    planted: Any = field(default=None, repr=False)
    planted_name: str = "planted"
    ids: Any = field(default=None, repr=False)
    name: str = "retraining"
