"""In which contexts a model fails: each failure takes the candidate text that is nearest to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_choice, check_matrix
from backend.core.errors import InputError
from backend.core.plural import counted

WEAK_MARGIN = 0.01
"""A pick whose cosine is not further than this above the next candidate's is weak."""
MOST = 5
"""Contexts of a class, the paper's k."""
DRAWS = ("proportional", "most_frequent")


@dataclass(frozen=True)
class PickedContexts:
    """The context that each failure takes, and the most frequent ones of each class.

    Attributes
    ----------
    picks : DataFrame
        One line per failure, in their order: ``row``, ``label``, ``context``, ``similarity``
        (cosine), ``margin`` (cosine above that of the next candidate; NaN where there is one
        candidate only) and ``weak``.
    table : DataFrame
        The most frequent contexts of each class, classes in order, most frequent first:
        ``label``, ``rank`` (from 1), ``context``, ``count``, ``share`` (of the class's failures),
        ``similarity`` and ``margin`` (means), ``n_weak``, ``examples`` (rows, nearest first).
    cells : DataFrame
        What these failures were taken for: ``label``, ``context``, ``prediction``, ``count``. Empty
        without predictions.
    dropped : tuple of (class, text)
        Candidates that repeat an earlier one of their class.
    """

    picks: pd.DataFrame = field(repr=False)
    table: pd.DataFrame
    cells: pd.DataFrame = field(repr=False)
    dropped: tuple[tuple[Any, str], ...] = ()


def pick_contexts(
    image_embeddings: Any,
    context_embeddings: Any,
    labels: Any,
    contexts: Mapping[Any, Sequence[str]] | Sequence[str],
    *,
    predictions: Any = None,
    rows: Any = None,
    k: int = MOST,
    weak_similarity: float = -1.0,
    weak_margin: float = WEAK_MARGIN,
    sure: Any = None,
    least_sure: float = 0.0,
    most_alike: float = 1.0,
) -> PickedContexts:
    """Let every failure take the candidate context of its true class that is nearest to it.

    Parameters
    ----------
    image_embeddings : array-like of shape (n, d)
        The seed failures, by an image-text model (or a text model, where examples are texts).
    context_embeddings : mapping of class to array-like of shape (m_c, d), or array-like (m, d)
        The candidates, by the same model: in the form of ``contexts``.
    labels : array-like of shape (n,)
        True class of each failure.
    contexts : mapping of class to texts, or sequence of texts
        Candidates of each class; one sequence serves every class.
    predictions : array-like of shape (n,), optional
        What each was taken for.
    rows : int array-like of shape (n,), optional
        Names of the failures in the result; their places by default.
    k : int
        Contexts listed for each class, from 1.
    weak_similarity, weak_margin : float
        A pick is weak where its cosine is below the first, or its margin is not above the second.
        Weak picks are marked and counted, never left out.
    sure : array-like of shape (n,), optional
        How sure the model is of what it saw in each image, in [0, 1].
    least_sure : float
        A pick is also weak where the model is less sure.
    most_alike : float
        Candidates whose cosine to an earlier one of their class is above this are dropped; with 1,
        only those whose text is the same when case, spaces and punctuation are folded.

    Returns
    -------
    PickedContexts
        Of equally near candidates the first is taken, and of equally frequent contexts the first is
        listed first. A class without failures is not there.

    Raises
    ------
    InputError
        If a class with failures has no candidates (all such are named), dimensions or counts differ,
        an embedding is zero, or k is below 1.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 4.
    """
    if k < 1:
        raise InputError(f"k must be 1 or more: got {k}.")
    labels = np.asarray(as_numpy(labels))
    if labels.ndim != 1:
        raise InputError(f"labels must be one per image: got shape {labels.shape}.")
    n = len(labels)
    rows = np.arange(n) if rows is None else np.asarray(as_numpy(rows))
    for name, given in (
        ("image_embeddings", image_embeddings),
        ("rows", rows),
        ("predictions", predictions),
        ("sure", sure),
    ):
        if given is not None and len(given) != n:
            raise InputError(f"{name} must be one per label: got {len(given)} for {n}.")
    classes = sorted(set(labels.tolist()))
    if n == 0:
        return PickedContexts(_frame([], _PICKS), _frame([], _TABLE), _frame([], _CELLS))
    images = _unit("image_embeddings", image_embeddings)
    lacking = [one for one in classes if not len(_of(contexts, one))]
    if lacking:
        raise InputError(
            f"contexts must have a candidate for every class with failures: none for "
            f"{', '.join(map(str, lacking))}."
        )
    wrong = None if predictions is None else np.asarray(as_numpy(predictions))
    unsure = np.zeros(n, bool) if sure is None else np.asarray(as_numpy(sure)) < least_sure
    picks: list[pd.DataFrame] = []
    dropped: list[tuple[Any, str]] = []
    order: dict[Any, list[str]] = {}
    for label in classes:
        own = np.flatnonzero(labels == label)
        texts, vectors, left_out = _candidates(
            label, _of(contexts, label), _of(context_embeddings, label), images, most_alike
        )
        dropped += [(label, text) for text in left_out]
        order[label] = texts
        cosines = images[own] @ vectors.T
        best = cosines.argmax(axis=1)
        top = cosines[np.arange(len(own)), best]
        margin = np.full(len(own), np.nan)
        if len(texts) > 1:
            others = cosines.copy()
            others[np.arange(len(own)), best] = -np.inf
            margin = top - others.max(axis=1)
        picks.append(
            pd.DataFrame(
                {
                    "place": own,
                    "row": rows[own],
                    "label": [label] * len(own),
                    "context": [texts[at] for at in best],
                    "similarity": top,
                    "margin": margin,
                    "weak": (top < weak_similarity) | (margin <= weak_margin) | unsure[own],
                }
            )
        )
    found = pd.concat(picks).sort_values("place", kind="stable", ignore_index=True)
    if wrong is not None:
        found["prediction"] = wrong
    table = _table(found, order, k)
    return PickedContexts(found[list(_PICKS)], table, _cells(found, table, order), tuple(dropped))


def draw_contexts(
    picked: Sequence[PickedContexts],
    n: int,
    *,
    how: str = "proportional",
    k: int = MOST,
    seed: int = 0,
) -> pd.DataFrame:
    """Contexts for a family of models, from the failures of all of them together.

    Parameters
    ----------
    picked : sequence of PickedContexts
        One per model; picks of one model are those of it alone.
    n : int
        Contexts to draw for each class, from 1.
    how : {"proportional", "most_frequent"}
        Draw with probability proportional to the pooled counts, the paper's rule for collective
        debugging of type 1; or the k most frequent, in turn.
    k : int
        For "most_frequent".
    seed : int
        For "proportional".

    Returns
    -------
    DataFrame
        ``label``, ``context``, ``pooled`` (failures that took it) and ``drawn`` (how often it was
        drawn), the latter adding up to ``n`` in each class; what was not drawn is left out.

    Raises
    ------
    InputError
        If n or k is below 1, ``how`` is unknown or nobody has picks.
    """
    check_choice("how", how, DRAWS)
    for name, number in (("n", n), ("k", k)):
        if number < 1:
            raise InputError(f"{name} must be 1 or more: got {number}.")
    if not sum(len(one.picks) for one in picked):
        raise InputError("picked must hold one failure or more: got none.")
    pooled = pd.concat([one.picks for one in picked])
    rng = np.random.default_rng(seed)
    lines = []
    for label, own in pooled.groupby("label", sort=True):
        counts = own["context"].value_counts(sort=False)
        counts = counts.sort_values(ascending=False, kind="stable")
        if how == "proportional":
            drawn = rng.multinomial(n, counts.to_numpy() / counts.sum())
        else:
            counts = counts.iloc[:k]
            drawn = np.bincount(np.arange(n) % len(counts), minlength=len(counts))
        for context, count, times in zip(counts.index, counts, drawn, strict=True):
            if times:
                lines.append((label, context, int(count), int(times)))
    return pd.DataFrame(lines, columns=["label", "context", "pooled", "drawn"])


def folded(text: str) -> str:
    """A text without what makes no difference between contexts: case, spaces, punctuation.

    Examples
    --------
    >>> folded("In the  Snow!") == folded("in the snow")
    True
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[^\w]+|_+", " ", plain).split())


_PICKS = ("row", "label", "context", "similarity", "margin", "weak")
_TABLE = (
    "label", "rank", "context", "count", "share", "similarity", "margin", "n_weak", "examples",
)  # fmt: skip
_CELLS = ("label", "context", "prediction", "count")


def _of(given: Any, label: Any) -> Any:
    """What is given for a class; of a mapping its entry, else all of it."""
    return given.get(label, ()) if isinstance(given, Mapping) else given


def _candidates(
    label: Any, texts: Any, vectors: Any, images: NDArray[np.float64], most_alike: float
) -> tuple[list[str], NDArray[np.float64], list[str]]:
    """Candidates of one class with their unit vectors, and those that repeat an earlier one."""
    if len(texts) != len(vectors):
        raise InputError(
            f"context_embeddings must be one per context: got {len(vectors)} for the "
            f"{counted(len(texts), 'context')} of {label}."
        )
    unit = _unit("context_embeddings", vectors)
    if unit.shape[1] != images.shape[1]:
        raise InputError(
            "context_embeddings must have the dimensions of the image embeddings: got "
            f"{unit.shape[1]} and {images.shape[1]}. Take both from the same model."
        )
    kept: list[int] = []
    seen: set[str] = set()
    left_out = []
    for at, text in enumerate(texts):
        plain = folded(str(text)) or str(text)
        alike = bool(kept) and most_alike < 1 and float((unit[kept] @ unit[at]).max()) > most_alike
        if plain in seen or alike:
            left_out.append(str(text))
            continue
        seen.add(plain)
        kept.append(at)
    return [str(texts[at]) for at in kept], unit[kept], left_out


def _unit(name: str, values: Any) -> NDArray[np.float64]:
    array = check_matrix(name, values).astype(np.float64)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    if not norms.all():
        raise InputError(f"{name} must not be zero: row {int(np.argmin(norms))} is.")
    return np.asarray(array / norms)


def _table(found: pd.DataFrame, order: Mapping[Any, list[str]], k: int) -> pd.DataFrame:
    lines = []
    for label, texts in order.items():
        own = found[found["label"] == label]
        counts = own["context"].value_counts()
        ranked = sorted(counts.index, key=lambda text: (-counts[text], texts.index(text)))
        for rank, text in enumerate(ranked[:k], 1):
            members = own[own["context"] == text]
            nearest = members.sort_values("similarity", ascending=False, kind="stable")
            lines.append(
                (
                    label,
                    rank,
                    text,
                    len(members),
                    len(members) / len(own),
                    float(members["similarity"].mean()),
                    float(members["margin"].mean()),
                    int(members["weak"].sum()),
                    nearest["row"].to_numpy(),
                )
            )
    return _frame(lines, _TABLE)


def _cells(
    found: pd.DataFrame, table: pd.DataFrame, order: Mapping[Any, list[str]]
) -> pd.DataFrame:
    """What the failures of the listed contexts were taken for, most frequent first."""
    if "prediction" not in found:
        return _frame([], _CELLS)
    lines = []
    for label, text in zip(table["label"], table["context"], strict=True):
        own = found[(found["label"] == label) & (found["context"] == text)]
        taken = own["prediction"].value_counts()
        ordered = taken.sort_index().sort_values(ascending=False, kind="stable")
        lines += [(label, text, name, int(count)) for name, count in ordered.items()]
    return _frame(lines, _CELLS)


def _frame(lines: list[Any], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=list(columns))
