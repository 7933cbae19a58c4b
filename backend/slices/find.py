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
    kept_aside: Any = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    **options: Any,
) -> FoundGroups:
    """Groups found by the named method, the worst first.

    All methods take these arguments, so their functions tell only what they do with them and what
    they take besides.

    Parameters
    ----------
    method : str
        A key of ``METHODS``; the row says which of the optional fields it needs.
    embeddings : array-like of shape (n, d)
    losses : array-like of shape (n,)
    labels : array-like of shape (n,), whole numbers or text, optional
    predictions : array-like of shape (n,), or (n, C) for probabilities, optional
    probabilities : array-like of shape (n, C), optional
        The largest of a row is its prediction where none are given; ties go to the lower column.
    classes : sequence of C str, optional
        Labels and predictions may be these names, or positions among them. Without names: the
        columns of the probabilities, else the labels and predictions that occur, sorted.
    n_groups : int
        Groups returned at most, by falling weighted mean loss; of equal ones the lower part,
        cluster or class comes first.
    kept_aside : bool array-like of shape (n,), optional
        Examples that find and choose no group, and have no part in their order, so that they can
        say how bad the groups are (``compare_groups``, or ``measure_effect`` on ``members``). They
        get their weights and scores from the rule for unseen examples. None by default. Groups
        that are defined by the loss of each example look at all of them whatever is kept aside.
    seed : int
        Of samples, starts and folds. Same input and seed, same groups.
    progress : Progress
    **options
        More options of the method's function.

    Returns
    -------
    FoundGroups

    Raises
    ------
    InputError
        If the method does not exist or misses a field, arrays do not fit one another, values are
        not finite, a label names no class, or an option is out of range.
    """
    check_choice("method", method, tuple(METHODS))
    if "losses" not in METHODS[method].sees:
        options["kept_aside"] = kept_aside
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
