"""A call of ``find_spotlights``, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.preparation import Preparation, check_preparation, prepare_embeddings
from backend.core.progress import Progress, ignore_progress
from backend.spotlight.objective import check_counts
from backend.spotlight.options import SearchOptions, full_note, size_in_examples
from backend.spotlight.solver.names import Kernel, check_kernel
from backend.spotlight.solver.ranks import ALONE, Processes


@dataclass(frozen=True)
class Search:
    """A checked call of ``find_spotlights``; ``min_weight`` is S, the size in examples.

    ``warning`` says what a reader of the result should know of the options, "" for nothing. Where processes share the search, ``values`` are the rows of this one; ``losses`` and ``counts``
    are those of all rows.
    """

    values: NDArray[Any]
    losses: NDArray[np.float64]
    counts: NDArray[np.float64] | None
    options: SearchOptions
    min_weight: float
    kernel: Kernel
    device: torch.device
    progress: Progress
    ranks: Processes = ALONE
    preparation: Preparation | None = None
    warning: str = ""

    @property
    def barrier_scale(self) -> float:
        """Of Adam's barrier, in loss units."""
        return 1.0 if self.options.barrier_scale is None else self.options.barrier_scale

    def told(self) -> dict[str, float | str | bool | None]:
        """What the result depends on besides the data, by name."""
        prepared = {"prepare": "none"} if self.preparation is None else self.preparation.to_dict()
        shared = ("n_spotlights", "kernel", "precision", "solver", "flip", "max_steps")
        adam = self.options.solver == "adam"
        own = () if adam else ("mode", "starts", "seed")
        said = {name: getattr(self.options, name) for name in (*shared, *own)}
        said |= {"barrier_scale": self.barrier_scale} if adam else {}
        return prepared | said | {"min_weight": self.min_weight}


def check_search(
    embeddings: Any,
    losses: Any,
    options: SearchOptions,
    *,
    counts: Any,
    device: str | torch.device,
    progress: Progress | None,
    ranks: Processes = ALONE,
) -> Search:
    """The arguments of ``find_spotlights`` in one piece, or an ``InputError`` about one of them.

    Processes that share a search have checked their own rows before, and prepare them after.
    """
    values = check_matrix("embeddings", embeddings) if ranks.world == 1 else embeddings
    check_preparation(options.prepare, options.components, values.shape[1])
    d = values.shape[1] if options.components is None else options.components
    _, n, _ = ranks.place(len(values))
    loss = check_vector("losses", losses, n)
    count = check_counts(counts, n)
    options = options.checked()
    min_weight = size_in_examples(options.size, float(n if count is None else count.sum()))
    warning = full_note(options.precision, options.solver, min_weight, d)
    report = progress or ignore_progress
    prepared = None
    if options.prepare != "none" and ranks.world == 1:
        prepared = prepare_embeddings(
            values,
            options.prepare,
            components=options.components,
            seed=options.seed,
            tick=lambda: report(0.0, "Preparing the embeddings"),
        )
    return Search(
        values=values if prepared is None else prepared.values,
        losses=loss,
        counts=count,
        options=options,
        min_weight=min_weight,
        kernel=check_kernel(options.kernel),
        device=choose_device(device),
        progress=report,
        ranks=ranks,
        preparation=None if prepared is None else prepared.preparation,
        warning=warning,
    )
