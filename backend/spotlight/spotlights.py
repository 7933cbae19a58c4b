"""What a search for spotlights gives back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.preparation import Preparation
from backend.core.wording import fewer_words
from backend.spotlight.options import NO_MORE_OPTIMA
from backend.spotlight.outcome import Outcome


@dataclass(frozen=True)
class Region:
    """One spotlight. ``n`` examples, ``d`` dimensions.

    Parameters
    ----------
    weights : float64 array of shape (n,)
        Membership of each example, in [0, 1].
    center : float64 array of shape (d,)
        In the units of the embeddings.
    precision : float, or float64 array of shape (d,) or (d, d)
        Spherical, diagonal or full, in inverse squared units of the embeddings.
    weighted_loss : float
        On the raw losses, in loss units.
    objective : float
        What the search maximised: the weighted loss (its negative when flipped) on losses from
        which earlier regions were taken away.
    total_weight : float
        Size in examples.
    outcome : Outcome
    """

    weights: NDArray[np.float64]
    center: NDArray[np.float64]
    precision: float | NDArray[np.float64]
    weighted_loss: float
    objective: float
    total_weight: float
    outcome: Outcome


@dataclass(frozen=True)
class Spotlights:
    """Regions in the order they were found. ``r`` regions, ``n`` examples, ``d`` dimensions.

    Parameters
    ----------
    weights : float64 array of shape (r, n)
        Membership of each example in each region, in [0, 1].
    centers : float64 array of shape (r, d)
        In the units of the embeddings.
    precisions : float64 array of shape (r,), (r, d) or (r, d, d)
        Spherical, diagonal or full, in inverse squared units of the embeddings.
    weighted_losses : float64 array of shape (r,)
        On the raw losses, in loss units.
    objectives : float64 array of shape (r,)
        What each search maximised: see ``Region``.
    total_weights : float64 array of shape (r,)
        Sizes in examples.
    outcomes : tuple of r Outcome
        How each search ended.
    mean_loss : float
        Of all examples: what a weighted loss is to be compared with.
    options : dict
        What was asked for, by name; ``min_weight`` is the smallest allowed size in examples.
    preparation : Preparation, optional
        What was done to the embeddings before the search: ``preparation.apply(rows)`` gives the
        coordinates that centers and precisions refer to.
    warning : str
        What a reader should know of the options that were asked for; "" for nothing.
    """

    weights: NDArray[np.float64]
    centers: NDArray[np.float64]
    precisions: NDArray[np.float64]
    weighted_losses: NDArray[np.float64]
    objectives: NDArray[np.float64]
    total_weights: NDArray[np.float64]
    outcomes: tuple[Outcome, ...]
    mean_loss: float
    options: dict[str, Any]
    preparation: Preparation | None = None
    warning: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the embeddings, a warning, and why there are fewer, as sentences."""
        done = () if self.preparation is None else (self.preparation.note,)
        done = (*done, self.warning) if self.warning else done
        asked = int(self.options.get("n_spotlights", len(self)))
        fewer = fewer_words(len(self), asked, NO_MORE_OPTIMA)
        return (*done, fewer) if fewer else done

    def __len__(self) -> int:
        return len(self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, for JSON; no digit is lost."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {name: value.tolist() for name, value in plain.items() if hasattr(value, "tolist")}
        plain["preparation"] = None if self.preparation is None else self.preparation.to_dict()
        outcomes = [outcome.to_dict() for outcome in self.outcomes]
        return plain | {"outcomes": outcomes, "notes": list(self.notes)}
