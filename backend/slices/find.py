"""One door to all methods."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from backend.core.arrays import check_choice
from backend.core.progress import Progress, ignore_progress
from backend.slices.found import FoundGroups
from backend.slices.methods import METHODS


def find_groups(
    method: str,
    embeddings: Any,
    losses: Any,
    labels: Any = None,
    predictions: Any = None,
    *,
    probabilities: Any = None,
    classes: Any = None,
    n_groups: int = 5,
    seed: int = 0,
    progress: Progress = ignore_progress,
    **options: Any,
) -> FoundGroups:
    """Groups found by the named method; arguments are those of its function.

    Parameters
    ----------
    method : str
        A key of ``METHODS``; the row says what it needs.
    embeddings, losses, labels, predictions, probabilities, classes
        As for the method's function.
    n_groups : int
    seed : int
    progress : Progress
    **options
        More options of that function.

    Raises
    ------
    InputError
        If the method does not exist, or misses a field.
    """
    check_choice("method", method, tuple(METHODS))
    function = getattr(import_module("backend.slices"), METHODS[method].function)
    found: FoundGroups = function(
        embeddings,
        losses,
        labels,
        predictions,
        probabilities=probabilities,
        classes=classes,
        n_groups=n_groups,
        seed=seed,
        progress=progress,
        **options,
    )
    return found
