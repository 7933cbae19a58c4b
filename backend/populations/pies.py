"""PIE and CIE: the examples on which compression changes what a population of models answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from backend.core.errors import InputError
from backend.core.sampling import random_rows
from backend.core.statistics import adjust_p, wilson_interval
from backend.populations.cells import level_order
from backend.populations.encode import check_mask, check_populations
from backend.populations.modal import modes


@dataclass(frozen=True)
class PieSelection:
    """Examples whose modal label differs between two populations.

    Attributes
    ----------
    mask : bool array of shape (n,)
        The PIEs (pruning) or modal CIEs (any compression). The true label plays no part.
    baseline_mode, compressed_mode : arrays of shape (n,)
        Modal labels, as they came.
    tied : bool array of shape (n,)
        Where either mode was one of several equally frequent labels.
    n_pies, n_tied : int
        PIEs, and how many of them involve a tie: those depend on the tie rule.
    n_baseline_right, n_compressed_right : int or None
        PIEs whose modal label is the true one; None without labels.
    tie : str
        The rule used for both populations.
    notes : tuple of str
        What the reader should know: a population of one model.
    """

    mask: NDArray[np.bool_]
    baseline_mode: NDArray[Any]
    compressed_mode: NDArray[Any]
    tied: NDArray[np.bool_]
    n_pies: int
    n_tied: int
    n_baseline_right: int | None
    n_compressed_right: int | None
    tie: str
    notes: tuple[str, ...]


def select_pies(
    baseline: Any, compressed: Any, labels: Any = None, *, tie: str = "largest"
) -> PieSelection:
    """Examples on which compression changes the label most models predict.

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
        Predicted labels, one row per model; the numbers of models may differ (the studies use 30).
    labels : array-like of shape (n,), optional
        True labels, only to count how many PIEs each population gets right.
    tie : {"largest", "smallest"}
        As in ``modal_label``, for both populations.

    Raises
    ------
    InputError
        If a population has no models, lengths differ, numbers meet names, or values are missing.

    References
    ----------
    Hooker et al., What Do Compressed Deep Neural Networks Forget?, 2019, arXiv:1911.05248,
    section 3; Characterising Bias in Compressed Models, 2020, arXiv:2010.03058.
    """
    encoded = check_populations(labels, baseline=baseline, compressed=compressed)
    first, second = encoded.parts[:2]
    own, own_tied = modes(first, tie)
    other, other_tied = modes(second, tie)
    mask, tied = own != other, own_tied | other_tied
    right = None
    if labels is not None:
        truth = encoded.parts[2]
        right = [int((mask & (mode == truth)).sum()) for mode in (own, other)]
    notes = tuple(
        f"The {name} population is one model: a PIE is then plain disagreement with it."
        for name, codes in (("baseline", first), ("compressed", second))
        if len(codes) == 1
    )
    return PieSelection(
        mask=mask,
        baseline_mode=encoded.names[own],
        compressed_mode=encoded.names[other],
        tied=tied,
        n_pies=int(mask.sum()),
        n_tied=int((mask & tied).sum()),
        n_baseline_right=right[0] if right else None,
        n_compressed_right=right[1] if right else None,
        tie=tie,
        notes=notes,
    )


def pie_accuracy(baseline: Any, compressed: Any, labels: Any, mask: Any) -> pd.DataFrame:
    """Top-1 accuracy of both populations on PIE, on the other examples, and on all.

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
    labels : array-like of shape (n,)
    mask : bool array of shape (n,)
        As ``select_pies(...).mask``, or any other choice of examples.

    Returns
    -------
    DataFrame
        Six rows: ``population`` ("baseline", "compressed"), ``subset`` ("pie", "non-pie", "all"),
        ``n`` examples, ``n_models``, ``accuracy``: mean over models of the share of the subset
        predicted right, in [0, 1]; NaN for an empty subset.

    Raises
    ------
    InputError
        As ``select_pies``; or if the mask is not boolean of shape (n,).
    """
    encoded = check_populations(labels, baseline=baseline, compressed=compressed)
    truth = encoded.parts[2]
    chosen = check_mask(mask, len(truth))
    rows = []
    for name, codes in zip(("baseline", "compressed"), encoded.parts, strict=False):
        right = (codes == truth).mean(0)
        for subset, held in (("pie", chosen), ("non-pie", ~chosen), ("all", chosen | True)):
            accuracy = right[held].mean() if held.any() else np.nan
            rows.append((name, subset, int(held.sum()), len(codes), accuracy))
    return pd.DataFrame(rows, columns=["population", "subset", "n", "n_models", "accuracy"])


def matched_non_pies(mask: Any, *, seed: int = 0) -> NDArray[np.int64]:
    """As many examples outside the mask as there are inside, drawn at random.

    Returns
    -------
    int array of shape (k,)
        Rows in drawn order, none twice; all others when fewer than that exist.
    """
    chosen = check_mask(mask)
    size = int(chosen.sum())
    return random_rows(len(chosen), size, seed=seed, among=np.flatnonzero(~chosen))


def pie_representation(mask: Any, attributes: Mapping[str, Any]) -> pd.DataFrame:
    """Which attributes are over-represented among PIEs.

    Parameters
    ----------
    mask : bool array of shape (n,)
    attributes : {name: array-like of shape (n,)}
        Any categories; yes-or-no attributes give the rows of the studies' figures. A missing value
        (None, NaN, empty text) is the level "unknown".

    Returns
    -------
    DataFrame
        ``attribute``, ``value``, ``n``, ``n_pie``, ``share`` (of all examples), ``pie_share`` (of
        the PIEs; NaN when there are none) with its Wilson 95 % interval ``pie_low`` and
        ``pie_high``, ``ratio`` = pie_share / share, ``p`` of Fisher's exact test (two-sided) of
        being a PIE against having the value, and ``p_adjusted`` over all rows
        (Benjamini-Hochberg). The test is NaN where it cannot come out either way: no PIE, nothing
        but PIEs, or a value everybody has. Attributes in the order given, values in sorted order,
        "unknown" last.

    Raises
    ------
    InputError
        If there are no attributes, or lengths differ.
    """
    chosen = check_mask(mask)
    if not attributes:
        raise InputError("attributes must hold at least one column: got none.")
    n, n_pies = len(chosen), int(chosen.sum())
    rows = []
    for name, values in attributes.items():
        column = pd.Series(values, dtype=object).reset_index(drop=True)
        column = column.mask(column == "")
        if len(column) != n:
            raise InputError(
                f"attribute {name!r} must be one per example: got {len(column)} values "
                f"and {n} examples."
            )
        codes, found = pd.factorize(column)
        order = level_order(found)
        levels = [*(found[code] for code in order), *(["unknown"] if (codes < 0).any() else [])]
        place = np.empty(len(found) + 1, dtype=np.int64)  # the last one is for a missing value
        place[order] = np.arange(len(order))
        place[-1] = len(order)
        count = np.bincount(place[codes], minlength=len(levels))
        inside = np.bincount(place[codes[chosen]], minlength=len(levels))
        rows += [(name, *row) for row in zip(levels, count, inside, strict=True)]
    table = pd.DataFrame(rows, columns=["attribute", "value", "n", "n_pie"])
    held, n_held = table["n_pie"].to_numpy(), table["n"].to_numpy()
    low, high = wilson_interval(held, n_pies)
    table["share"] = n_held / n
    table["pie_share"] = held / n_pies if n_pies else np.nan
    table["pie_low"], table["pie_high"] = low, high
    table["ratio"] = table["pie_share"] / table["share"]
    table["p"] = [_fisher_p(int(k), n_pies, int(of), n) for k, of in zip(held, n_held, strict=True)]
    table["p_adjusted"] = adjust_p(table["p"])
    return table


def surest_first(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``pie_representation``, smallest p first.

    Among equals the share that is farthest from that of the data comes first; rows without a test
    come last.
    """
    apart = (table["ratio"] - 1).abs()
    order = table.assign(_apart=apart).sort_values(
        ["p", "_apart"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="_apart")


def _fisher_p(k: int, drawn: int, held: int, n: int) -> float:
    """Two-sided p of ``k`` of ``held`` among ``drawn`` of ``n``: all outcomes no likelier than it."""
    low, high = max(0, drawn + held - n), min(drawn, held)
    if low == high:
        return float("nan")
    outcomes = np.arange(low, high + 1)
    logs = (
        _log_choose(held, outcomes)
        + _log_choose(n - held, drawn - outcomes)
        - _log_choose(n, np.array(drawn))
    )
    # Outcomes as likely as this one count, whatever the last digit says.
    return float(min(1.0, np.exp(logs[logs <= logs[k - low] + 1e-7]).sum()))


def _log_choose(n: int, k: NDArray[Any]) -> NDArray[np.float64]:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
