"""What a search for spotlights depends on besides its data, written once. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.spotlight.solver.names import KERNELS, PRECISIONS

SOLVERS, MODES = ("fast", "adam"), ("successive", "distinct")
USUAL_SIZE, USUAL_SIZE_WITHOUT_PICTURES = 0.02, 0.05
"""Shares of the examples that the paper took for pictures, and for texts and tables."""
FULL_EXAMPLES, FULL_DIMENSIONS = 5, 2000
"""A full precision of fewer examples a dimension singles out any few; of more dimensions it is refused."""
NO_MORE_OPTIMA = "the search has no more distinct peaks"
"""Why there may be fewer spotlights than were asked for."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of a search, with the names, meaning and defaults of ``find_spotlights``.

    They are taken as they come: ``checked`` gives them as a search takes them.
    """

    size: float = 0.02
    n_spotlights: int = 5
    kernel: str = "gaussian"
    precision: str = "spherical"
    solver: str = "fast"
    starts: int = 16
    flip: bool = False
    seed: int = 0
    mode: str = "successive"
    barrier_scale: float | None = None
    max_steps: int | None = None
    prepare: str = "none"
    components: int | None = None

    def checked(self) -> SearchOptions:
        """The same in plain numbers, or an ``InputError`` about one that is wrong for any data.

        What depends on the data (largest size, components) is left to ``check_search``.
        """
        if isinstance(self.size, bool) or not isinstance(self.size, int | float | np.number):
            raise InputError(f"size must be a number: got {self.size!r}.")
        check_choice("kernel", self.kernel, KERNELS)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("solver", self.solver, SOLVERS)
        check_choice("mode", self.mode, MODES)
        if self.mode == "distinct" and self.solver == "adam":
            raise InputError("mode 'distinct' needs solver 'fast': Adam has a single start.")
        scale, steps = self.barrier_scale, self.max_steps
        if scale is not None and self.solver == "fast":
            raise InputError("barrier_scale belongs to solver 'adam': 'fast' has no barrier.")
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise InputError(f"barrier_scale must be above 0: got {scale}.")
        return replace(
            self,
            n_spotlights=_whole("n_spotlights", self.n_spotlights),
            starts=_whole("starts", self.starts),
            flip=bool(self.flip),
            seed=_whole("seed", self.seed, least=0),
            barrier_scale=None if scale is None else float(scale),
            max_steps=None if steps is None else _whole("max_steps", steps),
        )


def usual_size(pictures: bool) -> float:
    """The size that is taken where nobody says one: 2 % of pictures, 5 % of anything else."""
    return USUAL_SIZE if pictures else USUAL_SIZE_WITHOUT_PICTURES


def size_in_examples(size: float, whole: float) -> float:
    """The size in examples, of a total of ``whole``.

    Raises
    ------
    InputError
        If it is neither a share of the total nor a number below it.
    """
    examples = float(size) * whole if 0 < size < 1 else float(size)
    if not 0 < examples < whole:
        raise InputError(
            f"size must be a share in (0, 1), or a number of examples from 1 to below the total "
            f"of {whole:g}: got {size}."
        )
    return examples


def full_note(precision: str, solver: str, min_weight: float, d: int) -> str:
    """What to know of ellipsoids of ``min_weight`` examples in ``d`` dimensions; "" for nothing.

    With few examples a dimension an ellipsoid can single out any few. The paper did so (219 examples
    in 512 dimensions), and so does the solver that repeats it, with this warning.

    Raises
    ------
    InputError
        If there are too few examples a dimension for the fast solver, or too many dimensions.
    """
    if precision != "full":
        return ""
    if d > FULL_DIMENSIONS:
        raise InputError(
            f"precision 'full' takes at most {FULL_DIMENSIONS} dimensions: got {d}. "
            "Project the embeddings first, for instance on principal components."
        )
    needed = FULL_EXAMPLES * d
    if min_weight >= needed:
        return ""
    if solver == "adam":
        return (
            f"An ellipsoid of {min_weight:g} examples in {d} dimensions can single out any few examples: "
            f"trust it from a size of {needed} on."
        )
    few = int(min_weight) // FULL_EXAMPLES
    less = f", or project on at most {few} dimensions first" if few else ""
    raise InputError(
        f"precision 'full' needs a size of at least {FULL_EXAMPLES} examples per dimension: "
        f"got size {min_weight:g} and {d} dimensions. Take 'diagonal' or 'spherical', a size "
        f"of {needed}, solver 'adam', which runs with a warning{less}."
    )


def _whole(name: str, value: Any, *, least: int = 1) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}: got {value!r}.")
    return int(value)
