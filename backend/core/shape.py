"""Where a region lies, and the one evaluation of how strongly examples belong to it. Plain numpy.

Nothing is fitted here: weights follow from a shape, the embeddings and the names of the labels.
Searches, pages, exports and replays all take them from ``Shape.weights``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backend.core.arrays import check_choice
from backend.core.blocks import row_blocks
from backend.core.errors import InputError
from backend.core.preparation import fit_preparation
from backend.core.reach import drawn_in

KINDS = ("ball", "direction", "label")
KERNELS = ("gaussian", "squared_distance")


@dataclass(frozen=True, eq=False)
class Shape:
    """What a region is, apart from its name and its numbers.

    Made by ``Shape.ball``, ``Shape.direction`` and ``Shape.label``, which convert what they are
    given. A ball weighs examples by their distance from a center; a direction holds those that lie
    far enough along it, with weight 1; a label holds all examples of its labels, with weight 1.

    Parameters
    ----------
    kind : {"ball", "direction", "label"}
    labels : tuple of str
        Labels that the region is bound to, as text; examples of others have weight 0. () for none.
    layer : str
        The layer of the bundle it lies in; "" for the bundle's own embeddings.
    center : float64 array of shape (d,), or None
        Of a ball, in the units of the embeddings, or of the prepared ones.
    precision : float64 array of shape (), (d,) or (d, d), or None
        Of a ball: spherical, diagonal or full.
    root : float32 array of shape (d, q), or None
        Root of the precision of a ball, which then counts instead of ``precision``. Float64 where
        a search has not rounded it.
    kernel : {"gaussian", "squared_distance"}
        Of a ball.
    preparation : tuple of str, int or None, int
        How the embeddings were prepared before a ball was searched, with components and seed.
    shift : float64 array of shape (d,), or None
    reach : float
        Rows farther from ``shift`` than this are drawn in to there before a ball measures them.
    vector : float64 array of shape (d,), or None
        Of a direction.
    cut : float
        A row is in a direction from this ``projections`` on. NaN for other kinds.

    Raises
    ------
    InputError
        If a part that the kind needs is missing, not finite, or of another size.
    """

    kind: str
    labels: tuple[str, ...] = ()
    layer: str = ""
    center: NDArray[np.float64] | None = field(default=None, repr=False)
    precision: NDArray[np.float64] | None = field(default=None, repr=False)
    root: NDArray[np.floating[Any]] | None = field(default=None, repr=False)
    kernel: str = "gaussian"
    preparation: tuple[str, int | None, int] = ("none", None, 0)
    shift: NDArray[np.float64] | None = field(default=None, repr=False)
    reach: float = np.inf
    vector: NDArray[np.float64] | None = field(default=None, repr=False)
    cut: float = np.nan

    def __post_init__(self) -> None:
        check_choice("the kind of a shape", self.kind, KINDS)
        if self.kind == "ball":
            check_choice("the kernel of a ball", self.kernel, KERNELS)
            self._check_ball()
        elif self.kind == "direction":
            self._check_direction()
        elif not self.labels:
            raise InputError("a shape of kind 'label' needs at least one label.")

    @classmethod
    def ball(
        cls,
        center: ArrayLike,
        precision: ArrayLike | None = None,
        *,
        root: ArrayLike | None = None,
        kernel: str = "gaussian",
        preparation: tuple[str, int | None, int] = ("none", None, 0),
        shift: ArrayLike | None = None,
        reach: Any = np.inf,
        labels: tuple[str, ...] = (),
        layer: str = "",
    ) -> Shape:
        """The examples around a center; ``precision`` or its ``root`` says how far."""
        return cls(
            "ball",
            labels,
            layer,
            np.asarray(center, np.float64),
            None if precision is None else np.asarray(precision, np.float64),
            None if root is None else np.asarray(root),
            kernel,
            preparation,
            None if shift is None else np.asarray(shift, np.float64),
            float(reach),
        )

    @classmethod
    def direction(
        cls, vector: ArrayLike, cut: float, *, labels: tuple[str, ...] = (), layer: str = ""
    ) -> Shape:
        """The examples from ``cut`` on along ``vector``."""
        return cls(
            "direction", labels, layer, vector=np.asarray(vector, np.float64), cut=float(cut)
        )

    @classmethod
    def label(cls, *labels: str) -> Shape:
        """All examples of these labels."""
        return cls("label", tuple(labels))

    @property
    def d(self) -> int | None:
        """Dimensions of the rows it measures, prepared where they are; None for a label."""
        measured = self.center if self.kind == "ball" else self.vector
        return None if measured is None else len(measured)

    def weights(
        self,
        embeddings: Any,
        label_names: ArrayLike | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """How strongly examples belong to the region, in [0, 1].

        Parameters
        ----------
        embeddings : array of shape (n, d)
            Read in blocks and computed in float64, whatever their own precision.
        label_names : array of shape (n,), optional
            Label of each example, as text; a shape that is bound to labels needs them.
        rows : int array of shape (k,), optional
            The examples asked for; all by default.

        Returns
        -------
        float64 array of shape (k,) or (n,)
            Of a ball ``exp(-q / 2)`` or ``max(0, 1 - q)`` with ``q = (x - center)^T precision
            (x - center)``, or ``q = |(x - center) root|^2``, of rows drawn in to ``reach``. Of a
            direction 1 where ``projections`` is at least ``cut``, else 0. Of a label 1. In all
            kinds 0 for examples of other labels.

        Raises
        ------
        InputError
            If the shape is bound to labels and there are none.

        References
        ----------
        d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, section 2; the second kernel is their
        code's.
        """
        return self.weigh(self.scores(embeddings, label_names, rows))

    def scores(
        self,
        embeddings: Any,
        label_names: ArrayLike | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """A ranking of examples, higher first; parameters and errors as for ``weights``.

        Weights of a ball, ``projections`` of a direction, 1 for a label. Examples of other labels
        are -inf.
        """
        scores = np.full(len(embeddings) if rows is None else len(rows), -np.inf)
        places, asked = self._within(len(embeddings), label_names, rows)
        if self.vector is not None:
            scores[places] = projections(embeddings, self.vector, asked)
        else:
            scores[places] = self._closeness(embeddings, asked) if self.kind == "ball" else 1.0
        return scores

    def weigh(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights of examples with these ``scores``."""
        if self.kind == "direction":
            return (scores >= self.cut).astype(np.float64)
        return np.maximum(scores, 0.0)

    def weights_in(self, bundle: Any, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """``weights`` of the examples of a bundle: in the shape's layer, among its labels.

        Raises
        ------
        InputError
            If the bundle does not have the layer, or no labels for a region that is bound to some.
        """
        embeddings = bundle.at_layer(self.layer).embeddings
        if self.labels and bundle.label_names is None:
            raise InputError(
                f"a region bound to labels needs labels: bundle '{bundle.name}' has none."
            )
        return self.weights(embeddings, bundle.label_names if self.labels else None, rows)

    def _within(
        self, n: int, label_names: ArrayLike | None, rows: NDArray[np.int64] | None
    ) -> tuple[slice | NDArray[np.int64], NDArray[np.int64] | None]:
        """Which of the rows asked for have a label of the region's: their places, and the rows."""
        if not self.labels:
            return slice(None), rows
        if label_names is None:
            raise InputError("a region bound to labels needs labels: got none.")
        names = np.asarray(label_names)
        if len(names) != n:
            raise InputError(f"labels must be one per embedding: got {len(names)} for {n}.")
        if rows is not None:
            names = names[rows]
        if names.dtype.kind not in "OU":
            names = names.astype(str)
        places = np.flatnonzero(np.isin(names, self.labels))
        return places, places if rows is None else rows[places]

    def _closeness(self, embeddings: Any, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Weights of these rows in a ball, whatever their labels."""
        prepare, components, seed = self.preparation
        prepared = None
        if prepare != "none":
            prepared = fit_preparation(embeddings, prepare, components=components, seed=seed)
        weights = np.empty(len(embeddings) if rows is None else len(rows))
        for start, block in row_blocks(embeddings, rows):
            if prepared is not None:
                block = prepared.apply(block)
            weights[start : start + len(block)] = self._around(np.asarray(block, np.float64))
        return weights

    def _around(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights of a block of rows in a ball."""
        if self.shift is not None:
            block = drawn_in(block, self.shift, self.reach)
        apart = other = block - np.asarray(self.center)
        if self.root is not None:
            apart = other = apart @ self.root.astype(np.float64)
        elif self.precision is not None:
            full = self.precision.ndim == 2
            other = apart @ self.precision if full else apart * self.precision
        q = np.maximum(np.einsum("ij,ij->i", apart, other), 0.0)
        return np.exp(-0.5 * q) if self.kernel == "gaussian" else np.maximum(0.0, 1.0 - q)

    def _check_ball(self) -> None:
        center, root, precision = self.center, self.root, self.precision
        if center is None or center.ndim != 1 or not len(center):
            raise InputError(f"a ball needs a center (d,): got {_shape(center)}.")
        d = len(center)
        if not np.isfinite(center).all():
            raise InputError("the center of a shape must be finite numbers.")
        if root is not None:
            if root.ndim != 2 or root.shape[0] != d:
                raise InputError(
                    "a shape needs a center (d,) and a root (d, q): "
                    f"got {_shape(center)} and {_shape(root)}."
                )
            if not np.isfinite(root).all():
                raise InputError("the root of a shape must be finite numbers.")
        elif precision is None or precision.shape not in ((), (d,), (d, d)):
            raise InputError(
                f"precision of a ball must be one number, {d} numbers or {d} x {d} numbers: "
                f"got {_shape(precision)}."
            )
        elif not np.isfinite(precision).all():
            raise InputError("the precision of a ball must be finite numbers.")
        elif precision.ndim < 2 and not (precision >= 0).all():
            raise InputError(
                f"the precision of a ball must not be negative: got {precision.min():g}."
            )
        if (self.shift is None) != (self.reach == np.inf):
            raise InputError("a shape needs both shift and reach, or neither.")
        if self.shift is None:
            return
        if self.shift.shape != (d,) or not np.isfinite(self.shift).all():
            raise InputError(
                f"the shift of a shape must be {d} finite numbers, as its center is: "
                f"got shape {_shape(self.shift)}."
            )
        if not 0 < self.reach < np.inf:
            raise InputError(f"the reach of a shape must be above 0: got {self.reach}.")

    def _check_direction(self) -> None:
        vector = self.vector
        if vector is None or vector.ndim != 1 or not len(vector):
            raise InputError(f"a direction needs a vector (d,): got {_shape(vector)}.")
        if not (np.isfinite(vector).all() and np.isfinite(self.cut)):
            raise InputError("vector and cut of a direction must be finite numbers.")


@dataclass(frozen=True)
class Cut:
    """Where a direction ends.

    Parameters
    ----------
    cut : float
        Members are the rows whose score is at least this.
    scores : float64 array of shape (k,)
        ``projections`` of the rows that were asked about, in their order.
    members : int array of shape (m,)
        Those of these rows that are members, highest score first; ties: lower row first.
    """

    cut: float
    scores: NDArray[np.float64] = field(repr=False)
    members: NDArray[np.int64] = field(repr=False)


def cut_between(
    embeddings: Any, vector: ArrayLike, rows: NDArray[np.int64] | None, size: int
) -> Cut:
    """The cut of a direction that makes the ``size`` rows farthest along it its members.

    It lies halfway between the last member's score and the next row's, and is the last member's
    score where no number lies between them or no row follows. Rows with the same score cannot be
    told apart by a cut: where a tie straddles the border all of them are members, and there are
    more than ``size``. (Rankings elsewhere take the lower row first; here that does not apply.)

    Parameters
    ----------
    embeddings : array of shape (n, d)
        Read in blocks.
    vector : array of shape (d,)
    rows : int array of shape (k,), or None
        The rows the direction is looked for among: those of its labels. All by default.
    size : int
        Members wanted, from 1; all rows where there are fewer.

    Returns
    -------
    Cut
        A shape of this vector and cut gives exactly its members weight 1.

    Raises
    ------
    InputError
        If ``size`` is below 1, or there are no rows.
    """
    if size < 1:
        raise InputError(f"size of a direction must be at least 1: got {size}.")
    rows = np.arange(len(embeddings)) if rows is None else np.asarray(rows)
    if not len(rows):
        raise InputError("a direction needs rows to be cut among: got none.")
    scores = projections(embeddings, vector, rows)
    at = len(scores) - min(int(size), len(scores))
    last = float(np.partition(scores, at)[at])
    below = scores[scores < last]
    cut = last
    if len(below):
        following = float(below.max())
        # Halves are added, not a sum halved: two large numbers may have none.
        between = last / 2 + following / 2
        cut = between if following < between < last else last
    held = np.flatnonzero(scores >= cut)
    order = np.lexsort((rows[held], -scores[held]))
    return Cut(cut, scores, rows[held[order]].astype(np.int64))


def projections(
    embeddings: Any, vector: ArrayLike, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """``x @ vector`` in float64, x read as float64: how far rows lie along a direction.

    A row gets the same bits whichever rows are asked for with it and whatever the machine:
    products are added up row by row, not in a matrix product, whose order of summation hangs on
    the number of rows and on the processor. Whether a row is a member is decided by these numbers.

    Parameters
    ----------
    embeddings : array of shape (n, d)
        Read in blocks.
    vector : array of shape (d,)
    rows : int array of shape (k,), optional

    Returns
    -------
    float64 array of shape (k,) or (n,)
    """
    along = np.asarray(vector, dtype=np.float64)
    scores = np.empty(len(embeddings) if rows is None else len(rows))
    for start, block in row_blocks(embeddings, rows):
        # In this order in memory each row is summed by itself.
        products = np.multiply(block, along, dtype=np.float64, order="C")
        scores[start : start + len(block)] = products.sum(axis=1)
    return scores


def _shape(array: NDArray[Any] | None) -> str:
    return "none" if array is None else str(array.shape)
