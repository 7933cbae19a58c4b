"""Embeddings changed before a search: standardised, or brought to fewer dimensions.

A preparation follows from the embeddings and three options alone, so these are all that has to be
kept to evaluate a region again.

    >>> ready = prepare_embeddings(embeddings, "pca", components=50)  # doctest: +SKIP
    >>> ready.values.shape, ready.note                               # doctest: +SKIP
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_choice, check_matrix
from backend.core.blocks import row_blocks
from backend.core.errors import InputError
from backend.core.pca import mean_and_scale, principal_components
from backend.core.wording import percent

PREPARATIONS = ("none", "standardise", "pca", "projection")
# Means, deviations and axes come from at most so many rows, evenly spaced.
_SAMPLE = 2**17
# Prepared values beyond this many bytes live in a temporary file.
_HELD = 2**29
_PCA_DIMENSIONS = 4096
# Components that each dimension is added to by a random projection.
_SPREAD = 8


@dataclass(frozen=True)
class Preparation:
    """What is done to each row: ``(x - shift) matrix``.

    Parameters
    ----------
    prepare : str
        "standardise", "pca" or "projection".
    components : int
        Dimensions that come out.
    seed : int
        Of a random projection.
    shift : float64 array of shape (d,)
    matrix : array
        (d,) factors, (d, k) axes, or a sparse (k, d) matrix of a random projection.
    note : str
        What was done, as a sentence.
    """

    prepare: str
    components: int
    seed: int
    shift: NDArray[np.float64] = field(repr=False)
    matrix: Any = field(repr=False)
    note: str

    def apply(self, block: NDArray[Any]) -> NDArray[np.float32]:
        """(b, k) float32 coordinates of (b, d) rows."""
        apart = np.asarray(block, dtype=np.float64) - self.shift
        if self.prepare == "standardise":
            return (apart * self.matrix).astype(np.float32)
        if self.prepare == "pca":
            return (apart @ self.matrix).astype(np.float32)
        return np.ascontiguousarray((self.matrix @ apart.T).T, dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The options that ``prepare_embeddings`` makes the same preparation from."""
        return {"prepare": self.prepare, "components": self.components, "seed": self.seed}


@dataclass(frozen=True)
class Prepared:
    """Prepared rows, (n, k); ``preparation`` is None where nothing was done."""

    values: NDArray[Any]
    preparation: Preparation | None

    @property
    def note(self) -> str:
        return "" if self.preparation is None else self.preparation.note


def check_preparation(prepare: Any, components: Any, d: int | None = None) -> None:
    """Raise ``InputError`` for options that name no preparation of ``d`` dimensions."""
    check_choice("prepare", prepare, PREPARATIONS)
    reduces = prepare in ("pca", "projection")
    if not reduces:
        if components is not None and components != d:
            raise InputError(
                f"components belongs to prepare 'pca' or 'projection': got {prepare!r}."
            )
        return
    whole = isinstance(components, (int, np.integer)) and not isinstance(components, bool)
    if not whole or components < 1 or (d is not None and components >= d):
        below = "" if d is None else f", below the {d} dimensions of the embeddings"
        raise InputError(
            f"prepare {prepare!r} needs components, a whole number from 1{below}: "
            f"got {components!r}."
        )
    if prepare == "pca" and d is not None and d > _PCA_DIMENSIONS:
        raise InputError(
            f"prepare 'pca' takes at most {_PCA_DIMENSIONS} dimensions: got {d}. "
            "Take 'projection', which takes any number."
        )


def prepare_embeddings(
    embeddings: Any,
    prepare: str = "none",
    *,
    components: int | None = None,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> Prepared:
    """Embeddings as a search should see them.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        May be memory-mapped; read in blocks.
    prepare : {"none", "standardise", "pca", "projection"}
        "standardise" gives every dimension mean 0 and deviation 1 (a deviation of 0 stays).
        "pca" keeps the directions of largest variance. "projection" adds every dimension, with
        random signs, to 8 of the components: distances change little when there are many.
    components : int, optional
        Dimensions that "pca" and "projection" leave.
    seed : int
        Of the random projection.
    tick : callable, optional
        Called for each block; may raise to stop.

    Returns
    -------
    Prepared
        float32 values, in memory up to 512 MB and in a temporary file beyond.

    Raises
    ------
    InputError
        If an option is unknown, or components do not fit the embeddings.

    References
    ----------
    Kane, Nelson, Sparser Johnson-Lindenstrauss Transforms, JACM 2014, arXiv:1012.1577, for the
    projection (its block construction).
    """
    values = check_matrix("embeddings", embeddings)
    check_preparation(prepare, components, values.shape[1])
    if prepare == "none":
        return Prepared(values, None)
    made = fit_preparation(values, prepare, components=components, seed=seed, tick=tick)
    return Prepared(apply_preparation(values, made, tick), made)


def apply_preparation(
    values: NDArray[Any], made: Preparation, tick: Callable[[], None] | None = None
) -> NDArray[np.float32]:
    """(n, k) prepared values, in memory up to 512 MB and in a temporary file beyond."""
    n, k = len(values), made.components
    out: NDArray[np.float32]
    if 4 * n * k <= _HELD:
        out = np.empty((n, k), dtype=np.float32)
    else:  # the file has no name and ends with the array
        with tempfile.TemporaryFile() as file:
            out = np.memmap(file, dtype=np.float32, mode="w+", shape=(n, k))
    for start, block in row_blocks(values, tick=tick):
        out[start : start + len(block)] = made.apply(block)
    return out


def fit_preparation(
    values: NDArray[Any],
    prepare: str,
    *,
    components: int | None = None,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> Preparation:
    """The preparation of checked embeddings, not applied yet."""
    n, d = values.shape
    rows = None
    if n > _SAMPLE:
        rows = np.unique(np.linspace(0, n - 1, _SAMPLE).astype(np.int64))
    told = "" if rows is None else f" (measured on {len(rows):,} evenly spaced examples)"

    def progress(fraction: float, message: str) -> None:
        if tick is not None:
            tick()

    if prepare == "pca":
        kept = int(components or 0)
        found = principal_components(
            values, kept, rows=rows, dtype=np.float64, direct=_PCA_DIMENSIONS, progress=progress
        )
        note = (
            f"Embeddings were projected on {kept} of {d} principal components, which "
            f"hold {percent(min(float(found.explained.sum()), 1.0))} of the variance{told}."
        )
        return Preparation(prepare, kept, seed, found.mean, found.axes.T, note)
    shift, _ = mean_and_scale(values, rows, progress=progress)
    if prepare == "standardise":
        squares = np.zeros(d)
        for _, block in row_blocks(values, rows, tick):
            squares += np.square(np.asarray(block, dtype=np.float64) - shift).sum(0)
        deviation = np.sqrt(squares / (n if rows is None else len(rows)))
        # Rounding of the mean alone must not look like variance.
        flat = deviation <= 1e-12 * np.maximum(np.abs(shift), 1e-300)
        factors = 1.0 / np.where(flat, 1.0, deviation)
        note = f"Every dimension was given mean 0 and standard deviation 1{told}."
        return Preparation(prepare, d, seed, shift, factors, note)
    kept = int(components or 0)
    note = f"Embeddings were projected from {d:,} on {kept} dimensions at random (seed {seed})."
    return Preparation(prepare, kept, seed, shift, _signs(d, kept, seed), note)


def _signs(d: int, k: int, seed: int) -> Any:
    """Sparse (k, d): one random sign per dimension in each of up to 8 blocks of components.

    Drawn from raw bits of PCG64, which numpy promises never to change.
    """
    import scipy.sparse

    spread = min(_SPREAD, k)
    edges = np.linspace(0, k, spread + 1).astype(np.int64)
    raw = np.random.PCG64(seed).random_raw(d * spread).reshape(d, spread)
    widths = np.diff(edges).astype(np.uint64)
    places = edges[:-1] + ((raw >> np.uint64(1)) % widths).astype(np.int64)
    signs = np.where(raw & np.uint64(1), 1.0, -1.0) / np.sqrt(spread)
    columns = np.repeat(np.arange(d), spread)
    return scipy.sparse.csr_matrix((signs.ravel(), (places.ravel(), columns)), shape=(k, d))
