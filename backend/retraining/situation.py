"""What a recipe has at hand for one seed: the plain network, the two halves, and what it may try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.core.parts import deal
from backend.retraining.checks import Checked, Codes

if TYPE_CHECKING:
    from backend.retraining.training import Course, Floats, Said

Rows = NDArray[np.int64]
VALIDATION, REPORT = 0, 1
"""The two halves of the held-out examples."""


@dataclass(frozen=True)
class Base:
    """The network that was trained on everything, and what it said.

    Attributes
    ----------
    train, held_out : Said
        At the end.
    early : int64 array of shape (n_train,)
        Predictions for the training examples after the first pass.
    """

    train: Said
    held_out: Said
    early: Codes


@dataclass(frozen=True)
class Situation:
    """One seed of a problem.

    Attributes
    ----------
    problem : Checked
    seed : int
    base : Base
    parts : int64 array of shape (n,)
        Half of each held-out example: 0 chooses, 1 reports.
    candidates : tuple of int
        Numbers of training examples that recipes of removal try.
    """

    problem: Checked
    seed: int
    base: Base = field(repr=False)
    parts: Codes = field(repr=False)
    candidates: tuple[int, ...] = ()

    @property
    def validation(self) -> Rows:
        """Held-out rows that choose."""
        return np.flatnonzero(self.parts == VALIDATION)

    def draws(self, purpose: str) -> np.random.Generator:
        """Random numbers of their own for each purpose and seed."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    def losses(self) -> Floats:
        """Cross-entropies of the plain network on the examples that choose."""
        rows = self.validation
        found: Floats = -self.base.held_out.log_p[rows, self.problem.own[rows]]
        return found


@dataclass(frozen=True)
class Setting:
    """One of the ways in which a recipe can be followed.

    Attributes
    ----------
    name : str
        What is tried, in words; "" where there is only one way.
    course : callable or None
        Gives the course of a network that is trained for it.
    answers : callable or None
        Gives log-probabilities (n, C) of the held-out examples where no network is trained, and the
        accuracy by which this setting is chosen, or NaN for that on validation.
        With neither, the answers are those of the plain network.
    removed : int64 array or None
        Training examples that are left out; None where the recipe leaves out none by its nature.
    """

    name: str = ""
    course: Callable[[], Course] | None = None
    answers: Callable[[], tuple[Floats, float]] | None = None
    removed: Rows | None = None


def halves(problem: Checked, seed: int) -> Codes:
    """0 or 1 for each held-out example, alike within groups: what chooses, and what reports."""
    return deal(len(problem.own), key=f"retraining {seed}", shares=(1, 1), labels=problem.own_group)
