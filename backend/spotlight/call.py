"""A call of ``find_spotlights``, checked before any work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import check_choice, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.preparation import Preparation, check_preparation, prepare_embeddings
from backend.core.progress import Progress, ignore_progress
from backend.spotlight.objective import check_counts
from backend.spotlight.solver.kernels import Kernel, check_kernel
from backend.spotlight.solver.ranks import ALONE, Ranks
from backend.spotlight.solver.shapes import SHAPES

SOLVERS, MODES = ("fast", "adam"), ("successive", "distinct")
# A full precision is refused with fewer examples per dimension, or more dimensions.
_FULL_EXAMPLES, _FULL_DIMENSIONS = 5, 2000


@dataclass(frozen=True)
class Task:
    """A checked call of ``find_spotlights``; ``whole`` is the total count, ``min_weight`` is S.

    Where processes share the search, ``values`` are the rows of this one; ``losses`` and ``counts``
    are those of all rows.
    """

    values: NDArray[Any]
    losses: NDArray[np.float64]
    counts: NDArray[np.float64] | None
    whole: float
    min_weight: float
    n_spotlights: int
    kernel: Kernel
    precision: str
    solver: str
    mode: str
    starts: int
    flip: bool
    seed: int
    device: torch.device
    barrier_scale: float
    max_steps: int | None
    progress: Progress
    ranks: Ranks = ALONE
    preparation: Preparation | None = None

    def options(self) -> dict[str, float | str | bool | None]:
        """What the result depends on besides the data."""
        shared = ("min_weight", "n_spotlights", "kernel", "precision", "solver", "flip")
        own = ("barrier_scale",) if self.solver == "adam" else ("mode", "starts", "seed")
        prepared = {"prepare": "none"} if self.preparation is None else self.preparation.to_dict()
        return prepared | {name: getattr(self, name) for name in (*shared, *own, "max_steps")}


def check_task(
    embeddings: Any,
    losses: Any,
    *,
    size: float,
    n_spotlights: int,
    kernel: str,
    precision: str,
    solver: str,
    starts: int,
    counts: Any,
    flip: bool,
    seed: int,
    device: str | torch.device,
    progress: Progress | None,
    mode: str,
    barrier_scale: float | None,
    max_steps: int | None,
    prepare: str = "none",
    components: int | None = None,
    ranks: Ranks = ALONE,
) -> Task:
    """The arguments of ``find_spotlights`` in one piece, or an ``InputError`` about one of them.

    Processes that share a search have checked their own rows before, and prepare them after.
    """
    values = check_matrix("embeddings", embeddings) if ranks.world == 1 else embeddings
    check_preparation(prepare, components, values.shape[1])
    d = values.shape[1] if components is None else components
    _, n, _ = ranks.place(len(values))
    loss = check_vector("losses", losses, n)
    count = check_counts(counts, n)
    whole = float(n if count is None else count.sum())
    check_choice("precision", precision, tuple(SHAPES))
    check_choice("solver", solver, SOLVERS)
    check_choice("mode", mode, MODES)
    min_weight = _check_size(size, whole)
    if mode == "distinct" and solver == "adam":
        raise InputError("mode 'distinct' needs solver 'fast': Adam has a single start.")
    if barrier_scale is not None and solver == "fast":
        raise InputError("barrier_scale belongs to solver 'adam': 'fast' has no barrier.")
    if barrier_scale is not None and not (math.isfinite(barrier_scale) and barrier_scale > 0):
        raise InputError(f"barrier_scale must be above 0: got {barrier_scale}.")
    if precision == "full":
        _check_full(min_weight, d)
    _check_whole("n_spotlights", n_spotlights)
    _check_whole("starts", starts)
    _check_whole("seed", seed, least=0)
    if max_steps is not None:
        _check_whole("max_steps", max_steps)
    report = progress or ignore_progress
    prepared = (
        prepare_embeddings(
            values,
            prepare,
            components=components,
            seed=seed,
            tick=lambda: report(0.0, "Preparing the embeddings"),
        )
        if prepare != "none" and ranks.world == 1
        else None
    )
    return Task(
        values=values if prepared is None else prepared.values,
        losses=loss,
        counts=count,
        whole=whole,
        min_weight=min_weight,
        n_spotlights=int(n_spotlights),
        kernel=check_kernel(kernel),
        precision=precision,
        solver=solver,
        mode=mode,
        starts=int(starts),
        flip=bool(flip),
        seed=int(seed),
        device=choose_device(device),
        barrier_scale=1.0 if barrier_scale is None else float(barrier_scale),
        max_steps=None if max_steps is None else int(max_steps),
        progress=report,
        ranks=ranks,
        preparation=None if prepared is None else prepared.preparation,
    )


def _check_size(size: Any, whole: float) -> float:
    """The size in examples."""
    if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
        raise InputError(f"size must be a number: got {size!r}.")
    examples = float(size) * whole if 0 < size < 1 else float(size)
    if not 0 < examples < whole:
        raise InputError(
            f"size must be a share in (0, 1), or a number of examples from 1 to below the total "
            f"of {whole:g}: got {size}."
        )
    return examples


def _check_full(min_weight: float, d: int) -> None:
    """Refuse ellipsoids that could single out any few examples."""
    if d > _FULL_DIMENSIONS:
        raise InputError(
            f"precision 'full' takes at most {_FULL_DIMENSIONS} dimensions: got {d}. "
            "Project the embeddings first, for instance on principal components."
        )
    if min_weight < _FULL_EXAMPLES * d:
        raise InputError(
            f"precision 'full' needs a size of at least {_FULL_EXAMPLES} examples per dimension: "
            f"got size {min_weight:g} and {d} dimensions. Take 'diagonal' or 'spherical', a size "
            f"of {_FULL_EXAMPLES * d}, or project on at most {int(min_weight) // _FULL_EXAMPLES} "
            "dimensions first."
        )


def _check_whole(name: str, value: Any, *, least: int = 1) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}: got {value!r}.")
