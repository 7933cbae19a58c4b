"""How right a network is, group by group; and what recipes come to over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.statistics import Interval, mean_share_interval

MEASURES = ("worst", "balanced", "accuracy")
"""Lowest accuracy of a group, mean of the groups' accuracies, share right of all."""


def group_accuracies(right: NDArray[np.bool_], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracy of each group among the examples whose code is 0 or more; absent ones are left out."""
    used = codes >= 0
    counts = np.bincount(codes[used])
    rights = np.bincount(codes[used], right[used].astype(np.float64))
    return np.asarray(rights[counts > 0] / counts[counts > 0])


def measured(right: NDArray[np.bool_], codes: NDArray[np.int64]) -> dict[str, float]:
    """The three measures of examples of these groups."""
    each = group_accuracies(right, codes)
    return {
        "worst": float(each.min()),
        "balanced": float(each.mean()),
        "accuracy": float(right[codes >= 0].mean()),
    }


def recipe_table(
    found: Sequence[Mapping[str, Any]], titles: Mapping[str, str], base: str
) -> pd.DataFrame:
    """What recipes come to on the examples that report, each with the setting it chose.

    Parameters
    ----------
    found : sequence of mapping
        One per recipe and seed: ``recipe``, ``seed``, ``chosen`` and ``settings``, each of which has
        ``name``, ``removed``, ``planted`` and ``report``.
    titles : {recipe: title}
        In the order of the table.
    base : str
        Recipe that gains are measured against, seed by seed.

    Returns
    -------
    DataFrame
        ``recipe``, ``title``, ``seeds``; ``worst``, ``balanced`` and ``accuracy``, each with
        ``_low`` and ``_high`` (Student's t over seeds, NaN for one); ``gain`` of the worst-group accuracy
        with ``gain_low`` and ``gain_high``; ``removed`` (mean number), ``planted`` (share of these
        that are planted, NaN where that is not known), ``settings`` (what was chosen, by seed).
    """
    chosen = {(one["recipe"], int(one["seed"])): one["settings"][one["chosen"]] for one in found}
    lines = []
    for recipe, title in titles.items():
        own = {seed: line for (name, seed), line in sorted(chosen.items()) if name == recipe}
        if not own:
            continue
        line: dict[str, Any] = {"recipe": recipe, "title": title, "seeds": len(own)}
        for name in MEASURES:
            line |= _ends(name, mean_share_interval([one["report"][name] for one in own.values()]))
        pairs = [
            one["report"]["worst"] - chosen[base, seed]["report"]["worst"]
            for seed, one in own.items()
            if (base, seed) in chosen and recipe != base
        ]
        line |= _ends("gain", mean_share_interval(pairs, least=-1.0))
        removed = [one["removed"] for one in own.values() if one["removed"] is not None]
        planted = [one["planted"] for one in own.values() if one["planted"] is not None]
        line["removed"] = float(np.mean(removed)) if removed else np.nan
        line["planted"] = sum(planted) / sum(removed) if planted and sum(removed) else np.nan
        line["settings"] = "; ".join(
            dict.fromkeys(one["name"] for one in own.values() if one["name"])
        )
        lines.append(line)
    return pd.DataFrame(lines)


def removal_curve(found: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> pd.DataFrame:
    """Accuracy over the number removed, of the numbers that every seed tried.

    Returns
    -------
    DataFrame
        ``recipe``, ``title``, ``removed``, ``seeds``; ``worst`` and ``balanced`` with ``_low`` and
        ``_high``; ``planted`` (mean number of the removed that are planted).
    """
    lines = []
    for recipe, title in titles.items():
        own = [one for one in found if one["recipe"] == recipe]
        tried: dict[int, list[Mapping[str, Any]]] = {}
        for one in own:
            for setting in one["settings"]:
                if setting["removed"] is not None:
                    tried.setdefault(int(setting["removed"]), []).append(setting)
        for removed, settings in sorted(tried.items()):
            if len(settings) < len(own):
                continue  # a number of one seed alone, as where all with a negative score go
            line: dict[str, Any] = {"recipe": recipe, "title": title, "removed": removed}
            line["seeds"] = len(settings)
            for name in ("worst", "balanced"):
                line |= _ends(name, mean_share_interval([one["report"][name] for one in settings]))
            planted = [one["planted"] for one in settings if one["planted"] is not None]
            line["planted"] = float(np.mean(planted)) if planted else np.nan
            lines.append(line)
    columns = ["recipe", "title", "removed", "seeds"]
    return pd.DataFrame(lines) if lines else pd.DataFrame(columns=columns)


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
