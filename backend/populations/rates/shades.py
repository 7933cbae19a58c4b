"""One table of several classifiers: each rate of each classifier, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.populations.audit import audit, target_audit

SHADES = ("ppv", "error", "tpr", "fpr")
"""The rates of the published table, in its order."""
MOST_GROUPS = 120


def shades_table(
    labels: Any,
    classifiers: Mapping[str, Any],
    attributes: Mapping[str, Any],
    *,
    positive: Any = None,
    order: int = 2,
    rates: tuple[str, ...] = SHADES,
) -> pd.DataFrame:
    """Rates of several classifiers in every group, as the Gender Shades table lays them out.

    Parameters
    ----------
    labels : array-like of shape (n,)
    classifiers : {name: array-like of shape (n,) or (m, n)}
        Predictions; of m models each rate is the mean over the models in which it is defined.
    attributes : {name: array-like of shape (n,)}
    positive : label, optional
        The positive class. Without it the target is the axis: every class takes its turn inside
        each value of each attribute, and a group reads "skin=dark · F".
    order : int
        Attributes combined at most, where there is a positive class.
    rates : tuple of str
        Of ``RATES``; ``error`` of a positive class asks whether it was told from the rest.

    Returns
    -------
    DataFrame
        One row per classifier and rate: ``classifier``, ``n_models``, ``rate``, then a column per
        group in the order of the audit, in [0, 1]; NaN where undefined.

    Raises
    ------
    InputError
        If there is no classifier, or groups are more than fit a table; as ``audit``.

    References
    ----------
    Buolamwini, Gebru, Gender Shades, 2018, table 4.
    """
    if not classifiers:
        raise InputError("classifiers must hold at least one set of predictions: got none.")
    rows: list[dict[str, Any]] = []
    for name, answers in classifiers.items():
        models = np.atleast_2d(as_numpy(answers))
        tables = [_audited(labels, own, attributes, positive, order) for own in models]
        groups = tables[0].index
        if len(groups) > MOST_GROUPS:
            raise InputError(
                f"a table holds {MOST_GROUPS} groups at most: these attributes make {len(groups)}. "
                "Choose fewer, or combine fewer."
            )
        for rate in rates:
            values = pd.concat([one[rate] for one in tables], axis=1).mean(axis=1)
            rows.append({"classifier": name, "n_models": len(models), "rate": rate, **values})
    return pd.DataFrame(rows)


def _audited(
    labels: Any, predictions: Any, attributes: Mapping[str, Any], positive: Any, order: int
) -> pd.DataFrame:
    if positive is not None:
        table = audit(labels, predictions, attributes, positive=positive, order=order)
        return table.set_index("group")
    table = target_audit(labels, predictions, attributes)
    names = [
        f"{group} · {'every class' if name == 'all' else name}"
        for group, name in zip(table["group"], table["class"].astype(str), strict=True)
    ]
    return table.set_index(pd.Index(names))
