"""What compression does as its level rises: a number read from the names of populations, or given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from backend.populations.ensemble import CompressionLevel, compression_levels

BITS = ("int", "bit", "bits", "fp", "float", "uint", "bf")
"""Kinds whose number counts bits: fewer is stronger, and the baseline is not 0 of them."""
MEASURES = {
    "pie": "share of PIEs",
    "on_pie": "accuracy on PIE",
    "on_others": "accuracy on all others",
    "on_all": "accuracy on all",
    "classes": "significantly changed classes",
}


def level_table(
    counts: pd.DataFrame,
    accuracy: pd.DataFrame,
    baseline: str,
    changed: Mapping[str, int] | None = None,
    given: Mapping[str, CompressionLevel] | None = None,
) -> pd.DataFrame:
    """Every population whose name holds a number, or that is given one, with what is measured of it, in long form.

    Parameters
    ----------
    counts, accuracy : DataFrame
        Of ``BaselineComparison``.
    baseline : str
    changed : {population: int}, optional
        How many classes changed significantly.
    given : {population: CompressionLevel}, optional
        Levels that count instead of what the names say.

    Returns
    -------
    DataFrame
        ``population``, ``kind``, ``level``, ``measure`` (one of ``MEASURES``), ``value``, ``low``,
        ``high`` (NaN where there is no interval). Kind by kind with rising level. The baseline
        stands at level 0 of every kind that does not count bits: no PIE, no changed class, its own
        accuracy on all.
    """
    names = [baseline, *counts["population"]]
    share = counts.set_index("population")
    own = accuracy[accuracy["side"] == "compressed"].set_index(["population", "subset"])
    rows: list[tuple[Any, ...]] = []
    kinds: list[str] = []
    for one in compression_levels(names, baseline, given):
        if one.name == baseline or one.level is None:
            continue
        if one.kind not in kinds:
            kinds.append(one.kind)
        where = (one.name, one.kind, one.level)
        line = share.loc[one.name]
        rows.append((*where, "pie", line["share"], line["low"], line["high"]))
        for measure, subset in (("on_pie", "pie"), ("on_others", "non-pie"), ("on_all", "all")):
            if (one.name, subset) in own.index:
                found = own.loc[(one.name, subset)]
                rows.append((*where, measure, found["accuracy"], found["low"], found["high"]))
        if changed is not None and one.name in changed:
            rows.append((*where, "classes", changed[one.name], np.nan, np.nan))
    rows += _of_baseline(kinds, baseline, accuracy, changed)
    columns = ["population", "kind", "level", "measure", "value", "low", "high"]
    table = pd.DataFrame(rows, columns=columns)
    order = {kind: at for at, kind in enumerate(kinds)}
    return table.sort_values(
        ["kind", "level"], key=lambda own: own.map(order) if own.name == "kind" else own,
        kind="stable", ignore_index=True,
    )  # fmt: skip


def _of_baseline(
    kinds: Sequence[str],
    baseline: str,
    accuracy: pd.DataFrame,
    changed: Mapping[str, int] | None,
) -> list[tuple[Any, ...]]:
    held = accuracy[(accuracy["side"] == "baseline") & (accuracy["subset"] == "all")]
    rows: list[tuple[Any, ...]] = []
    for kind in kinds:
        if kind.lower() in BITS:
            continue
        where = (baseline, kind, 0.0)
        rows.append((*where, "pie", 0.0, np.nan, np.nan))
        if len(held):
            first = held.iloc[0]
            rows.append((*where, "on_all", first["accuracy"], first["low"], first["high"]))
        if changed is not None:
            rows.append((*where, "classes", 0, np.nan, np.nan))
    return rows


def level_lines(table: pd.DataFrame, measure: str) -> list[pd.DataFrame]:
    """The rows of one measure, kind by kind, in order of their level."""
    held = table[table["measure"] == measure]
    return [held[held["kind"] == kind] for kind in dict.fromkeys(held["kind"])]


def training_shares(groups: Sequence[str], training: Mapping[str, Any]) -> np.ndarray:
    """Share of the training set in each group of one attribute value.

    Parameters
    ----------
    groups : sequence of str
        Names as audits give them: "sex=F", "all"; others ("sex=F & race=Black") give their joint
        share.
    training : {name: array-like of shape (n_train,)}
        The same columns of the training set.

    Returns
    -------
    float array of shape (len(groups),)
        NaN for a group that names a column the training set does not have.
    """
    texts = {name: pd.Series(values).astype(object).map(_said) for name, values in training.items()}
    shares = np.full(len(groups), np.nan)
    for at, group in enumerate(groups):
        mask: Any = None
        for part in [] if group == "all" else group.split(" & "):
            name = next((one for one in texts if part.startswith(f"{one}=")), None)
            if name is None:
                break
            own = (texts[name] == part[len(name) + 1 :]).to_numpy()
            mask = own if mask is None else mask & own
        else:
            shares[at] = 1.0 if mask is None else float(mask.mean())
    return shares


def _said(value: Any) -> str:
    missing = value is None or value == "" or value != value
    return "unknown" if missing else str(value)
