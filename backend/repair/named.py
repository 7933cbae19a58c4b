"""Failures in the words of candidate lists: which contexts they take, and whether these explain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.repair.contexts import MOST, WEAK_MARGIN, pick_contexts
from backend.repair.contrast import contrast_members


@dataclass(frozen=True)
class Axis:
    """One list of candidates: texts and their embeddings, for every class or for each its own."""

    contexts: Mapping[Any, Sequence[str]] | Sequence[str]
    embeddings: Any = field(repr=False)


@dataclass(frozen=True)
class NamedFailures:
    """The contexts that failures take most often, and what held-out examples say of them.

    Attributes
    ----------
    table : DataFrame
        One line per axis, class and context: ``axis``, then the columns of ``PickedContexts.table``
        (of the failures that choose), then those of ``contrast_members`` (of held-out examples).
    members : tuple of DataFrame
        For each line the examples of its class that take the context, right or wrong, nearest first:
        ``row``, ``similarity``, ``margin``, ``weak``.
    cells : tuple of DataFrame
        For each line what the failures that choose were taken for: ``prediction``, ``count``.
    dropped : tuple of (axis, class, text)
        Candidates that say what an earlier one of their class says.
    """

    table: pd.DataFrame
    members: tuple[pd.DataFrame, ...] = field(repr=False)
    cells: tuple[pd.DataFrame, ...] = field(repr=False)
    dropped: tuple[tuple[str, Any, str], ...] = ()


def name_failures(
    vectors: Any,
    labels: Any,
    predictions: Any,
    held: Any,
    axes: Mapping[str, Axis],
    *,
    k: int = MOST,
    weak_margin: float = WEAK_MARGIN,
    sure: Any = None,
    least_sure: float = 0.0,
    most_alike: float = 1.0,
) -> NamedFailures:
    """Find the contexts that failures take most often, and test them on failures that had no part in it.

    Parameters
    ----------
    vectors : array-like of shape (n, d)
        All examples, right and wrong, by an image-text model.
    labels, predictions : array-like of shape (n,)
    held : bool array-like of shape (n,)
        Examples that choose nothing and test what was chosen.
    axes : mapping of name to Axis
        Of each axis every example takes one context.
    k : int
        Contexts of a class and axis, the most frequent among the failures that are not held out.
    weak_margin, sure, least_sure, most_alike
        As for ``pick_contexts``.

    Returns
    -------
    NamedFailures
        Classes without a failure that chooses are not there. A class whose only failure chooses has
        none that tests: its verdict says that there are too few.

    Raises
    ------
    InputError
        If there is no axis, lengths differ, or ``pick_contexts`` refuses.

    Notes
    -----
    Chegini, Feizi 2023, arXiv:2312.05464, section 4, count contexts of failures alone. A context that is
    as frequent among right examples of the class explains nothing, whatever its count, so each is compared
    with these on the held-out part.
    """
    if not axes:
        raise InputError("axes must hold one list of candidates or more: got none.")
    labels, predictions, held = (np.asarray(as_numpy(one)) for one in (labels, predictions, held))
    if not len(vectors) == len(labels) == len(predictions) == len(held):
        raise InputError(
            "vectors, labels, predictions and held must be one per example: got "
            f"{len(vectors)}, {len(labels)}, {len(predictions)} and {len(held)}."
        )
    wrong = labels != predictions
    seeds = np.flatnonzero(wrong & ~held)
    scope = np.flatnonzero(np.isin(labels, np.unique(labels[seeds])))
    vectors = np.asarray(as_numpy(vectors))
    certain = None if sure is None else np.asarray(as_numpy(sure))

    def picked(axis: Axis, rows: NDArray[np.int64]) -> Any:
        return pick_contexts(
            vectors[rows],
            axis.embeddings,
            labels[rows],
            axis.contexts,
            predictions=predictions[rows],
            rows=rows,
            k=k,
            weak_margin=weak_margin,
            sure=None if certain is None else certain[rows],
            least_sure=least_sure,
            most_alike=most_alike,
        )

    tables, members, cells, dropped = [], [], [], []
    for name, axis in axes.items():
        chosen, every = picked(axis, seeds), picked(axis, scope).picks
        dropped += [(name, label, text) for label, text in chosen.dropped]
        table = chosen.table
        table.insert(0, "axis", name)
        tables.append(table)
        for label, context in zip(table["label"], table["context"], strict=True):
            own = every[(every["label"] == label) & (every["context"] == context)]
            own = own.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)
            members.append(own[["row", "similarity", "margin", "weak"]])
            taken = chosen.cells
            mine = taken[(taken["label"] == label) & (taken["context"] == context)]
            cells.append(mine[["prediction", "count"]].reset_index(drop=True))
    found = pd.concat(tables, ignore_index=True)
    said = contrast_members(
        [one["row"].to_numpy() for one in members], found["label"].tolist(), labels, wrong, held
    )
    return NamedFailures(
        pd.concat([found, said], axis=1), tuple(members), tuple(cells), tuple(dropped)
    )
