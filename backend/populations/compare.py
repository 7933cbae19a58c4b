"""Every population beside the baseline: how many examples change, and what accuracy says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import mean_share_interval, wilson_interval
from backend.populations.ensemble import Ensemble
from backend.populations.modal import modes, taxicab

SUBSETS = ("pie", "non-pie", "all")


@dataclass(frozen=True)
class BaselineComparison:
    """P populations of an ensemble, in its order, beside one of them.

    Attributes
    ----------
    modes : int32 array of shape (P, n)
        Modal class of every population.
    tied : bool array of shape (P, n)
        Where the mode was one of several.
    taxicab : float array of shape (P, n)
        Divergence from the baseline, 0 in its own row.
    counts : DataFrame
        One row per other population: ``population``, ``n_models``, ``n_pies``, ``share`` of all
        examples with Wilson 95 % bounds ``low`` and ``high``, ``n_tied``; with labels also
        ``n_baseline_right`` and ``n_compressed_right``: PIEs whose modal class is the true one.
    accuracy : DataFrame
        Per other population, ``side`` ("baseline", "compressed") and ``subset`` ("pie",
        "non-pie", "all"): ``n`` examples, ``n_models``, ``accuracy``, the mean over models, with
        Student's t 95 % interval ``low`` and ``high`` over models. Empty without labels; NaN for
        an empty subset; no interval for one model.
    """

    modes: NDArray[np.int32] = field(repr=False)
    tied: NDArray[np.bool_] = field(repr=False)
    taxicab: NDArray[np.float64] = field(repr=False)
    counts: pd.DataFrame
    accuracy: pd.DataFrame

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """``modes``, ``tied`` and ``taxicab`` by name."""
        return {"modes": self.modes, "tied": self.tied, "taxicab": self.taxicab}


def compare_populations(
    ensemble: Ensemble,
    baseline: str,
    *,
    tie: str = "largest",
    progress: Progress = ignore_progress,
) -> BaselineComparison:
    """PIEs of every population against the baseline, and top-1 accuracy on them.

    Parameters
    ----------
    ensemble : Ensemble
    baseline : str
        Name of the population the others are compared with.
    tie : {"largest", "smallest"}
        As in ``modal_label``.

    Returns
    -------
    BaselineComparison

    Raises
    ------
    InputError
        If there is no population of that name.
    """
    if baseline not in ensemble.populations:
        raise InputError(
            f"baseline must be one of {', '.join(map(repr, ensemble.populations))}: "
            f"got {baseline!r}."
        )
    names = list(ensemble.populations)
    n = ensemble.n
    held = np.empty((len(names), n), dtype=np.int32)
    tied = np.empty((len(names), n), dtype=bool)
    divergence = np.zeros((len(names), n))
    before = ensemble.populations[baseline]
    for at, name in enumerate(names):
        progress(at / len(names), f"comparing {name} with {baseline}")
        held[at], tied[at] = modes(ensemble.populations[name], tie)
        if name != baseline:
            divergence[at] = taxicab(before, ensemble.populations[name])
    base = names.index(baseline)
    right_before = None if ensemble.labels is None else before == ensemble.labels
    counts: list[dict[str, Any]] = []
    accuracies: list[dict[str, Any]] = []
    for at, name in enumerate(names):
        if at == base:
            continue
        mask, unsure = held[at] != held[base], tied[at] | tied[base]
        low, high = (float(bound) for bound in wilson_interval(int(mask.sum()), n))
        row: dict[str, Any] = {
            "population": name,
            "n_models": len(ensemble.populations[name]),
            "n_pies": int(mask.sum()),
            "share": float(mask.mean()),
            "low": low,
            "high": high,
            "n_tied": int((mask & unsure).sum()),
        }
        if right_before is not None:
            truth = ensemble.labels
            row["n_baseline_right"] = int((mask & (held[base] == truth)).sum())
            row["n_compressed_right"] = int((mask & (held[at] == truth)).sum())
            after = ensemble.populations[name] == truth
            for side, right in (("baseline", right_before), ("compressed", after)):
                for subset, chosen in zip(SUBSETS, (mask, ~mask, mask | True), strict=True):
                    accuracies.append(
                        {"population": name, "side": side, "subset": subset}
                        | _accuracy(right, chosen)
                    )
        counts.append(row)
    return BaselineComparison(
        held,
        tied,
        divergence,
        pd.DataFrame(counts),
        pd.DataFrame(
            accuracies,
            columns=["population", "side", "subset", "n", "n_models", "accuracy", "low", "high"],
        ),
    )


def _accuracy(right: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> dict[str, Any]:
    n = int(chosen.sum())
    rates = right[:, chosen].mean(1) if n else np.full(0, np.nan)
    found = mean_share_interval(rates)
    return {
        "n": n,
        "n_models": len(right),
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
    }
