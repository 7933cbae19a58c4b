"""Two long tails: of the examples a model is unsure of, which are rare and which are noise?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.core.statistics import average_precision


@dataclass(frozen=True)
class LongTails:
    """Confidence in the given label over training, with and without targeted augmentation.

    Attributes
    ----------
    variants : tuple of str
        Training variants, in the order given (v of them).
    auc : float array of shape (v, n)
        Mean confidence over epochs, in [0, 1].
    slope : float array of shape (v, n)
        Least-squares slope of the confidence per epoch.
    recovery : float array of shape (v, n) or None
        First epoch (from 0) from which the example stays correctly predicted; NaN when it is wrong
        at the end. None without ``correct``.
    gain : float array of shape (n,) or None
        ``auc`` of the targeted variant less that of the untreated one; None unless both are given.
    candidates : bool array of shape (n,)
        The least confident examples at ``epoch`` of the variant ``reference``: worth a look. High
        gain or late recovery suggests atypical, neither suggests noisy (our reading, not a verdict).
    reference, epoch : str, int
    curves : DataFrame
        ``variant``, ``epoch``, ``subset``, ``n``, ``mean_msp`` and ``mean_rank``: percentile in
        [0, 1], 0 least confident, equal values averaged. "all" and each known subset.
    separation : DataFrame
        Per known subset, variant and epoch: ``precision`` (average precision of ranking by least
        confidence) beside ``prevalence``, the value of a random ranking. NaN for an empty subset.
    """

    variants: tuple[str, ...]
    auc: NDArray[np.float64]
    slope: NDArray[np.float64]
    recovery: NDArray[np.float64] | None
    gain: NDArray[np.float64] | None
    candidates: NDArray[np.bool_]
    reference: str
    epoch: int
    curves: pd.DataFrame
    separation: pd.DataFrame

    @property
    def n_epochs(self) -> int:
        """How many epochs were followed."""
        return int(self.curves["epoch"].max()) + 1


def long_tails(
    msp: Mapping[str, Any],
    *,
    known: Mapping[str, Any] | None = None,
    correct: Mapping[str, Any] | None = None,
    untreated: str = "none",
    targeted: str = "targeted",
    epoch: int = -1,
    share: float = 0.2,
) -> LongTails:
    """Follow the confidence in each example's given label over training variants.

    Parameters
    ----------
    msp : {variant: array-like of shape (n, epochs)}
        Softmax probability of the *given* label, recorded in the training pass of every epoch.
    known : {name: bool array of shape (n,)}, optional
        Subsets known by construction, for instance "noisy" and "atypical".
    correct : {variant: bool array of shape (n, epochs)}, optional
        Whether the given label was predicted, for the recovery; every variant of ``msp``.
    untreated, targeted : str
        Variants between which the gain is measured. Candidates come from the untreated one, or
        from the first given when there is none of that name.
    epoch : int
        Epoch at which candidates are taken; negative counts from the end.
    share : float
        Candidates as a share of the examples, in (0, 1]; at least one, ties by lower row.

    Returns
    -------
    LongTails

    Raises
    ------
    InputError
        If there is no variant, shapes differ, a probability is outside [0, 1], or an option is out
        of range.

    References
    ----------
    D'souza, Nussbaum, Agarwal, Hooker, A Tale of Two Long Tails, 2021, arXiv:2107.13098. Gain,
    slope and candidates for unknown subsets are our extension.
    """
    values = _check_variants(msp)
    variants = tuple(values)
    n, epochs = values[variants[0]].shape
    if not -epochs <= epoch < epochs:
        raise InputError(f"epoch must be one of the {epochs} recorded: got {epoch}.")
    if not 0 < share <= 1:
        raise InputError(f"share must be in (0, 1]: got {share}.")
    subsets = {name: _check_subset(name, mask, n) for name, mask in (known or {}).items()}
    reference = untreated if untreated in values else variants[0]
    size = max(1, int(share * n + 1e-9))  # 0.29 * 100 is 28.999...
    candidates = np.zeros(n, dtype=bool)
    candidates[np.argsort(values[reference][:, epoch], kind="stable")[:size]] = True
    auc = np.array([own.mean(1) for own in values.values()])
    gain = None
    if untreated in values and targeted in values:
        gain = auc[variants.index(targeted)] - auc[variants.index(untreated)]
    return LongTails(
        variants=variants,
        auc=auc,
        slope=np.array([_slope(own) for own in values.values()]),
        recovery=None if correct is None else _recovery(correct, variants, (n, epochs)),
        gain=gain,
        candidates=candidates,
        reference=reference,
        epoch=epoch % epochs,
        curves=_curves(values, subsets),
        separation=_separation(values, subsets),
    )


def _check_variants(msp: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    if not msp:
        raise InputError("msp must hold at least one training variant: got none.")
    values: dict[str, NDArray[np.float64]] = {}
    for name, value in msp.items():
        own = check_matrix(f"msp {name!r}", value).astype(np.float64)
        if (own < 0).any() or (own > 1).any():
            row = int(np.argwhere((own < 0) | (own > 1))[0][0])
            raise InputError(f"msp {name!r} must lie in [0, 1]: row {row} does not.")
        for first, other in list(values.items())[:1]:
            if own.shape != other.shape:
                raise InputError(
                    f"msp {name!r} and {first!r} must have one shape (n, epochs): "
                    f"got {own.shape} and {other.shape}."
                )
        values[name] = own
    return values


def _check_subset(name: str, mask: Any, n: int) -> NDArray[np.bool_]:
    array = as_numpy(mask)
    if array.dtype != bool or array.shape != (n,):
        raise InputError(
            f"known subset {name!r} must be booleans of shape ({n},): "
            f"got {array.dtype} of shape {array.shape}."
        )
    return array


def _slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares slope over epochs; NaN for a single one."""
    time = np.arange(values.shape[1]) - (values.shape[1] - 1) / 2
    if len(time) < 2:
        return np.full(len(values), np.nan)
    return (values @ time) / (time @ time)


def _recovery(
    correct: Mapping[str, Any], variants: tuple[str, ...], shape: tuple[int, int]
) -> NDArray[np.float64]:
    rows = []
    for name in variants:
        if name not in correct:
            raise InputError(f"correct must have every variant of msp: {name!r} is missing.")
        own = as_numpy(correct[name])
        if own.dtype != bool or own.shape != shape:
            raise InputError(
                f"correct {name!r} must be booleans of shape {shape}: "
                f"got {own.dtype} of shape {own.shape}."
            )
        run = np.minimum.accumulate(own[:, ::-1], axis=1).sum(1)  # right answers at the end
        rows.append(np.where(run > 0, shape[1] - run, np.nan))
    return np.array(rows)


def _curves(
    values: dict[str, NDArray[np.float64]], subsets: dict[str, NDArray[np.bool_]]
) -> pd.DataFrame:
    rows = []
    for variant, own in values.items():
        # One example has no rank among others.
        ranks = (pd.DataFrame(own).rank().to_numpy() - 1) / (
            len(own) - 1 if len(own) > 1 else np.nan
        )
        everyone = {"all": np.ones(len(own), dtype=bool)}
        for epoch in range(own.shape[1]):
            for subset, mask in (everyone | subsets).items():
                held = bool(mask.any())
                mean = own[mask, epoch].mean() if held else np.nan
                rank = ranks[mask, epoch].mean() if held else np.nan
                rows.append((variant, epoch, subset, int(mask.sum()), mean, rank))
    return pd.DataFrame(rows, columns=["variant", "epoch", "subset", "n", "mean_msp", "mean_rank"])


def _separation(
    values: dict[str, NDArray[np.float64]], subsets: dict[str, NDArray[np.bool_]]
) -> pd.DataFrame:
    rows = [
        (subset, variant, epoch, average_precision(-own[:, epoch], mask), float(mask.mean()))
        for subset, mask in subsets.items()
        for variant, own in values.items()
        for epoch in range(own.shape[1])
    ]
    return pd.DataFrame(rows, columns=["subset", "variant", "epoch", "precision", "prevalence"])
