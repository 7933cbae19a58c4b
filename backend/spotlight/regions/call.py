"""A call of ``find_regions``, checked before any work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress


@dataclass(frozen=True)
class RegionCall:
    """A checked call. ``n`` rows.

    Parameters
    ----------
    values : float array of shape (n, d)
    losses : float64 array of shape (n,)
    codes, names : int array of shape (n,) or None, array
        Labels as numbers from 0, and what they are called.
    answers, answer_names : int array of shape (n,) or None, array
        Predictions likewise; ``answer_codes`` gives them the numbers of the labels.
    probabilities : float64 array of shape (n, c) or None
    groups : int array of shape (n,) or None
    aside : bool array of shape (n,) or None
        Rows kept aside, where the caller chose them.
    sizes : tuple of float or None
        Shares of all rows that regions may have.
    known : tuple of int arrays
        Rows of each group that was set aside before, ascending, each once.
    """

    values: NDArray[Any]
    losses: NDArray[np.float64]
    codes: NDArray[np.int64] | None
    names: NDArray[Any]
    answers: NDArray[np.int64] | None
    answer_names: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    groups: NDArray[np.int64] | None
    aside: NDArray[np.bool_] | None
    sizes: tuple[float, ...] | None
    known: tuple[NDArray[np.int64], ...]
    n_regions: int
    seed: int
    device: torch.device
    progress: Progress

    @property
    def wrong(self) -> NDArray[np.bool_] | None:
        """(n,) whether the prediction is another than the label; None without either."""
        if self.codes is None or self.answers is None:
            return None
        label, answer = self.names[self.codes], self.answer_names[self.answers]
        if label.dtype.kind in "biuf" and answer.dtype.kind in "biuf":
            return np.asarray(label != answer)
        return np.asarray(label.astype(str) != answer.astype(str))


def check_call(
    embeddings: Any,
    losses: Any,
    *,
    labels: Any = None,
    predictions: Any = None,
    probabilities: Any = None,
    groups: Any = None,
    kept_aside: Any = None,
    sizes: Any = None,
    known: Any = None,
    n_regions: int = 5,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> RegionCall:
    """The arguments of ``find_regions`` in one piece, or an ``InputError`` about one of them."""
    values = check_matrix("embeddings", embeddings)
    n = len(values)
    loss = check_vector("losses", losses, n)
    names: NDArray[Any] = np.empty(0)
    answer_names: NDArray[Any] = np.empty(0)
    codes = answers = dealt = shares = None
    if labels is not None:
        names, codes = _codes("labels", labels, n)
    if probabilities is not None:
        shares = check_matrix("probabilities", probabilities).astype(np.float64, copy=False)
        if len(shares) != n:
            raise InputError(
                f"probabilities must be one row per embedding: got {len(shares)} rows and "
                f"{n} embeddings."
            )
    if predictions is not None:
        answer_names, answers = _codes("predictions", predictions, n)
    elif shares is not None and len(names) == shares.shape[1]:
        # Columns are the labels in order: nothing else could be meant by as many.
        answer_names, answers = names, shares.argmax(axis=1).astype(np.int64)
    if groups is not None:
        _, dealt = _codes("groups", groups, n)
    aside = None
    if kept_aside is not None:
        aside = as_numpy(kept_aside)
        if aside.shape != (n,) or aside.dtype != bool:
            raise InputError(
                f"kept_aside must be one truth value per embedding: got {aside.dtype} of shape "
                f"{aside.shape}."
            )
    for name, value, least in (("n_regions", n_regions, 1), ("seed", seed, 0)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least:
            raise InputError(f"{name} must be a whole number of at least {least}: got {value!r}.")
    return RegionCall(
        values=values,
        losses=loss,
        codes=codes,
        names=names,
        answers=answers,
        answer_names=answer_names,
        probabilities=shares,
        groups=dealt,
        aside=aside,
        sizes=_checked_sizes(sizes),
        known=_checked_known(known, n),
        n_regions=int(n_regions),
        seed=int(seed),
        device=choose_device(device),
        progress=progress or ignore_progress,
    )


def _checked_sizes(sizes: Any) -> tuple[float, ...] | None:
    if sizes is None:
        return None
    given = tuple(float(size) for size in (sizes if np.iterable(sizes) else (sizes,)))
    if not given or not all(0 < size < 0.5 for size in given):
        raise InputError(f"sizes must be shares above 0 and below 0.5: got {sizes!r}.")
    return tuple(sorted(set(given)))


def _checked_known(known: Any, n: int) -> tuple[NDArray[np.int64], ...]:
    if known is None:
        return ()
    single = isinstance(known, np.ndarray) or (
        len(known) > 0 and all(isinstance(one, (int, np.integer)) for one in known)
    )
    groups = []
    for one in [known] if single else known:
        rows = as_numpy(one)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise InputError(
                f"known must be rows, or a list of arrays of rows: got {rows.dtype} of shape "
                f"{rows.shape}. Of a mask, take np.flatnonzero."
            )
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= n):
            raise InputError(
                f"known must be rows from 0 to {n - 1}: got {int(rows.min())} to {int(rows.max())}."
            )
        if len(rows):
            groups.append(np.unique(rows).astype(np.int64))
    return tuple(groups)


def _codes(name: str, given: Any, n: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distinct values in order, and the number of each row's."""
    array = as_numpy(given)
    if array.shape != (n,):
        raise InputError(
            f"{name} must be one per embedding: got shape {array.shape} and {n} embeddings."
        )
    if array.dtype.kind == "O" and pd.api.types.infer_dtype(array, skipna=False) == "string":
        # Of millions of texts each is compared once.
        codes, firsts = pd.factorize(array)
        names, order = np.unique(np.asarray(firsts).astype(str), return_inverse=True)
        return names, order.astype(np.int64)[codes]
    if array.dtype.kind == "O":
        if any(value is None or value != value for value in array):
            raise InputError(f"{name} must not be missing: fill or remove rows without one.")
        kinds = {type(value) for value in array.tolist()}
        # Values of different types have no order of their own.
        array = array.astype(str) if len(kinds) > 1 or kinds == {str} else np.array(array.tolist())
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name} must not be NaN or infinite: fill or remove those rows.")
    if array.dtype.kind not in "biufUS":
        raise InputError(f"{name} must be numbers or texts: got dtype {array.dtype}.")
    names, codes = np.unique(array, return_inverse=True)
    return names, codes.astype(np.int64)
