"""What retraining buys, over strengths, numbers of contexts and seeds, beside a plain refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import mean_share_interval
from backend.repair.head import RetrainedHead, check_classes, retrain_head

PLAIN = "plain refit"
"""The head refitted by the same recipe without debug examples."""


@dataclass(frozen=True)
class DebugSet:
    """Examples that are to count more.

    Attributes
    ----------
    embeddings : array of shape (m, d)
    labels : int array of shape (m,)
    ranks : int array of shape (m,), optional
        Place, from 1, of the context that each was made for among those of its class; sweeps over
        k take those up to k.
    """

    embeddings: NDArray[Any]
    labels: NDArray[Any]
    ranks: NDArray[Any] | None = None

    def up_to(self, k: int | None) -> DebugSet:
        """Those made for the k most frequent contexts of their class; all for None."""
        if k is None or self.ranks is None:
            return self
        kept = np.asarray(self.ranks) <= k
        return DebugSet(self.embeddings[kept], self.labels[kept], np.asarray(self.ranks)[kept])


def sweep_heads(
    embeddings: Any,
    labels: Any,
    debug: Mapping[str, DebugSet | Callable[[int], DebugSet]],
    measured: Mapping[str, tuple[Any, Any]],
    *,
    strengths: Sequence[float] = (0.5,),
    ks: Sequence[int | None] = (None,),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    progress: Progress = ignore_progress,
    **recipe: Any,
) -> pd.DataFrame:
    """Accuracy of retrained heads on seed failures, heldout failures, test examples and the like.

    Parameters
    ----------
    embeddings, labels : array-like of shapes (n, d) and (n,)
        The original examples.
    debug : mapping of name to DebugSet, or to a function of the seed that gives one
        "targeted", "random" and so on. A function draws anew for every seed.
    measured : mapping of name to (embeddings, labels)
        What each head is measured on.
    strengths : sequence of float
        Above 0; 0 is the plain refit, which is always there.
    ks : sequence of int or None
        Contexts of a class that debug examples are taken from, from 1; None for all.
    seeds : sequence of int
    progress : Progress
    **recipe
        Further arguments of ``retrain_head``.

    Returns
    -------
    DataFrame
        ``set``, ``strength``, ``k``, ``n_debug``, ``measured``, ``n``; ``accuracy`` with ``low`` and
        ``high``, its mean and 95 % interval over seeds (Student's t, cut at 0 and 1; NaN bounds for
        one seed). The first lines are those of the plain refit, strength 0.

    Raises
    ------
    InputError
        As for ``retrain_head``; if there are no seeds, nothing to measure on, or a k is below 1.

    Notes
    -----
    Heldout failures are 0 right before, by construction, so any refit repairs some: what debug
    examples buy is the difference from the plain refit and from random ones of equal number.
    """
    if not len(seeds) or not measured:
        raise InputError("a sweep needs at least one seed and something to measure on.")
    if any(k is not None and k < 1 for k in ks):
        raise InputError(f"ks must be 1 or more: got {list(ks)}.")
    n_classes = 1 + int(
        max(np.max(labels, initial=0), *(np.max(own, initial=0) for _, own in measured.values()))
    )
    plan = [(name, strength, k) for name in debug for strength in strengths for k in ks if strength]
    shares: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    sizes: dict[tuple[Any, ...], int] = {}
    for at, seed in enumerate(seeds):
        asked = {"n_classes": n_classes, "seed": seed, **recipe}
        drawn = {name: one(seed) if callable(one) else one for name, one in debug.items()}
        for step, (name, strength, k) in enumerate([(PLAIN, 0.0, None), *plan]):
            progress((at + step / (1 + len(plan))) / len(seeds), f"head {step + 1}, seed {at + 1}")
            if name == PLAIN:
                head = retrain_head(embeddings, labels, strength=0, **asked)
                size = 0
            else:
                one = drawn[name].up_to(k)
                head = retrain_head(
                    embeddings, labels, one.embeddings, one.labels, strength=strength, **asked
                )
                size = len(one.labels)
            key = (name, strength, k)
            sizes[key] = size
            for what, (x, y) in measured.items():
                share = head_accuracy(head, x, y)
                shares.setdefault(key, {}).setdefault(what, []).append(share)
    lines = []
    for (name, strength, k), found in shares.items():
        for what, values in found.items():
            mean = mean_share_interval([one for one in values if np.isfinite(one)])
            n = len(measured[what][1])
            size = sizes[name, strength, k]
            lines.append((name, strength, k, size, what, n, mean.value, mean.low, mean.high))
    columns = ["set", "strength", "k", "n_debug", "measured", "n", "accuracy", "low", "high"]
    return pd.DataFrame(lines, columns=columns)


def head_accuracy(head: RetrainedHead, embeddings: Any, labels: Any) -> float:
    """Share of these examples that a head gets right; NaN of none.

    Raises
    ------
    InputError
        If there is not one label per embedding.
    """
    if not len(labels):
        return float("nan")
    x = check_matrix("embeddings", embeddings)
    y = check_classes("labels", labels, len(x))
    return float((head.predict(x) == y).mean())


@dataclass(frozen=True)
class ResolvedFailures:
    """How much of what a model's own repair resolves a shared repair resolves, too.

    Attributes
    ----------
    share : float
        Of the failures that the individual repair resolves, those the collective one resolves; NaN
        where that resolves none.
    relative_accuracy : float
        Accuracy after the collective repair over that after the individual one; NaN likewise.
    n : int
        Failures they were measured on.
    """

    share: float
    relative_accuracy: float
    n: int


def resolved_share(individual: Any, collective: Any) -> ResolvedFailures:
    """Compare a repair made for a whole family of models with the model's own.

    Parameters
    ----------
    individual, collective : bool array-like of shape (h,)
        Which heldout failures the model gets right after each repair.

    Returns
    -------
    ResolvedFailures

    Raises
    ------
    InputError
        If the lengths differ.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 5.4.

    Examples
    --------
    >>> resolved_share([True, True, False, False], [True, False, True, False])
    ResolvedFailures(share=0.5, relative_accuracy=1.0, n=4)
    """
    own, shared = (np.asarray(as_numpy(one), bool) for one in (individual, collective))
    if own.shape != shared.shape or own.ndim != 1:
        raise InputError(
            f"individual and collective must be one per failure: got {own.shape} and {shared.shape}."
        )
    n_own = int(own.sum())
    if not n_own:
        return ResolvedFailures(float("nan"), float("nan"), len(own))
    return ResolvedFailures(
        float((own & shared).sum() / n_own), float(shared.sum() / n_own), len(own)
    )
