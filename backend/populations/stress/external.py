"""Whether each model goes with something outside: one correlation per model, a stress metric of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.populations.stress.loadings import scored_models
from backend.populations.stress.report import fisher_interval


def external_correlation(scores: Any, external: Any) -> pd.DataFrame:
    """Correlation of every model's scores with an outside number, over examples.

    Parameters
    ----------
    scores : array-like of shape (M, n)
        A number of each model on each example: a difference of two scores ("man" less "woman"), a
        score, or 0 and 1 for wrong and right.
    external : array-like of shape (n,)
        The outside number (the share of women in an occupation). Examples without a finite one
        take no part.

    Returns
    -------
    DataFrame
        One row per model: ``model`` from 0, ``n`` examples, ``correlation`` (Pearson) with its 95 %
        interval ``low`` and ``high`` by Fisher's z (NaN below four examples); NaN where a model says
        the same of all.

    Raises
    ------
    InputError
        If shapes differ, a score is not finite, or fewer than three examples have the number.

    References
    ----------
    D'Amour et al., 2020, arXiv:2011.03395: how far gendered similarities and pronouns go with the
    share of women in an occupation, fine-tuning by fine-tuning.
    """
    values = check_matrix("scores", scores)
    numbers = as_numpy(external)
    if numbers.shape != (values.shape[1],) or numbers.dtype.kind not in "biuf":
        raise InputError(
            f"external must be one number per example: got {numbers.dtype} of shape "
            f"{numbers.shape} for {values.shape[1]} examples."
        )
    numbers = numbers.astype(np.float64)
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) < 3:
        raise InputError(f"external must be known of 3 or more examples: got {len(known)}.")
    centred = numbers[known] - numbers[known].mean()
    rows = []
    for at, own in enumerate(values):
        r = _pearson(own[known].astype(np.float64), centred)
        rows.append((at, len(known), r, *fisher_interval(r, len(known))))
    return pd.DataFrame(rows, columns=["model", "n", "correlation", "low", "high"])


def paired_difference(
    scores: Any, pair_ids: Any, versions: Any, first: Any, second: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What each model scores more on the first version of an example than on the second.

    Parameters
    ----------
    scores : array-like of shape (M, n)
    pair_ids, versions : array-like of shape (n,)
        Rows of one id are versions of one example.
    first, second : version

    Returns
    -------
    difference : float array of shape (M, p)
    rows : int array of shape (p,)
        The row of the first version of each pair, ascending. Ids that lack a version, or have one
        twice, are left out.

    Raises
    ------
    InputError
        If no id has both versions once.
    """
    values, ids, said = check_matrix("scores", scores), as_numpy(pair_ids), as_numpy(versions)
    frame = pd.DataFrame({"id": ids, "row": np.arange(len(ids))})
    sides = [
        frame[said == version].drop_duplicates("id", keep=False).set_index("id")["row"]
        for version in (first, second)
    ]
    both = sides[0].to_frame("first").join(sides[1].rename("second"), how="inner")
    both = both[both.index.notna()].sort_values("first")
    if both.empty:
        raise InputError(f"no pair_id has both {first!r} and {second!r}, once each.")
    rows, others = both["first"].to_numpy(), both["second"].to_numpy()
    return values[:, rows] - values[:, others], rows.astype(np.int64)


def external_scores(
    scores: NDArray[Any], stress: pd.DataFrame | None, population: str
) -> NDArray[Any]:
    """The rows of a bundle's scores that belong to a population of its stress table, else all."""
    rows = scored_models(stress, population, len(scores))
    return scores[rows] if rows else scores


def _pearson(values: NDArray[np.float64], centred: NDArray[np.float64]) -> float:
    own = values - values.mean()
    scale = float(np.sqrt((own @ own) * (centred @ centred)))
    # What is left of a constant by rounding is no variation.
    if scale <= 1e-12 * max(1.0, float(np.abs(values).max())) * len(values):
        return float("nan")
    return float(np.clip(own @ centred / scale, -1, 1))
