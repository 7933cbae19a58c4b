"""What demos of several populations share: whom they train, and what the bundle tells of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from backend.core.home import home_folder
from backend.core.progress import Progress
from backend.demo.compact import Plan, log_probabilities
from backend.demo.pool import Arrays, Work, WorkFolder, run_kept

Split = dict[str, NDArray[np.int8]]
"""Predicted labels (m, n) of each population, by its name."""


def plans(
    populations: Mapping[str, Mapping[str, Any]], n_models: int, epochs: int, seed: int
) -> list[Plan]:
    """``n_models`` networks of one population after the other; no two share a seed."""
    return [
        Plan(seed * 10_000 + 1000 * place + model, epochs, **made)
        for place, made in enumerate(populations.values())
        for model in range(n_models)
    ]


@contextmanager
def trained(
    work: Work,
    tasks: Sequence[tuple[dict[str, Any], Any]],
    keep: str | os.PathLike[str] | None,
    demo: str,
    *,
    workers: int,
    progress: Progress,
) -> Iterator[list[Arrays]]:
    """What the networks answer, as ``run_kept`` gives it.

    Their answers lie in ``keep``. Without it they lie in the home folder under the name of the
    ``demo``, and are removed when the block has ended well.
    """
    folder = Path(keep) if keep is not None else home_folder() / "demo" / demo
    folder.mkdir(parents=True, exist_ok=True)
    yield run_kept(
        work,
        tasks,
        WorkFolder(folder),
        workers=workers,
        progress=lambda share, said: progress(0.98 * share, said),
        what="network",
    )
    if keep is None:
        shutil.rmtree(folder)
    progress(1.0, "Demo written.")


def by_population(answers: list[Arrays], names: Sequence[str]) -> Split:
    """Predictions of equally many networks per population, in the order of ``names``."""
    predictions = np.stack([answer["predictions"] for answer in answers])
    return dict(zip(names, np.split(predictions, len(names)), strict=True))


def judged(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    predictions: NDArray[np.int8],
    classes: Sequence[str],
    dtype: DTypeLike,
) -> Arrays:
    """What one network makes of each example, beside the true labels (n,).

    ``logits`` (n, C); probabilities are kept in ``dtype``.
    """
    log_p = log_probabilities(logits)
    return {
        "losses": -log_p[np.arange(len(truth)), truth].astype(np.float32),
        "probabilities": np.exp(log_p).astype(dtype),
        "labels": truth.astype(np.int8),
        "predictions": predictions,
        "classes": np.array(classes),
    }


def told(path: Path, truth: NDArray[np.int64], split: Split) -> dict[str, float]:
    """What ``build`` returns: counts, mean accuracy of each population, bytes of the file."""
    return {
        "n": len(truth),
        "n_models": len(next(iter(split.values()))),
        **{name: float((predictions == truth).mean()) for name, predictions in split.items()},
        "size_bytes": path.stat().st_size,
    }
