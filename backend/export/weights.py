"""Kernel weights from what a region is, evaluated and never fitted again. Plain numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.preparation import check_preparation, fit_preparation
from backend.core.reach import drawn_in
from backend.export.shapes import RootShape

KERNELS = ("gaussian", "squared_distance")
_BLOCK = 2**22  # numbers per block: 32 MB of float64


@dataclass(frozen=True)
class Shape:
    """What a region is, apart from its name.

    Parameters
    ----------
    center : float64 array of shape (d,)
        In the units of the embeddings, or in those of the prepared ones.
    precision : float64 array of shape (), (d,) or (d, d)
        Spherical, diagonal or full.
    kernel : str
        ``"gaussian"`` or ``"squared_distance"``.
    preparation : tuple of str, int or None, int
        How the embeddings were prepared before the search, with components and seed.
    root : float32 array of shape (d, q), optional
        Root of the precision, which then counts instead of ``precision``.
    shift : float64 array of shape (d,), optional
    reach : float
        Rows farther from ``shift`` than this are drawn in to there before they are measured.
    labels : tuple of str
        Labels that the region is bound to, as text; others have weight 0. () for none.
    layer : str
        The layer of the bundle it was found in; "" for its own embeddings.
    """

    center: NDArray[np.float64]
    precision: NDArray[np.float64]
    kernel: str
    preparation: tuple[str, int | None, int] = ("none", None, 0)
    root: NDArray[np.float32] | None = None
    shift: NDArray[np.float64] | None = None
    reach: float = np.inf
    labels: tuple[str, ...] = ()
    layer: str = ""

    @classmethod
    def from_source(
        cls,
        source: dict[str, Any] | None,
        d: int,
        *,
        told: str,
        shapes: Mapping[str, RootShape] | None = None,
    ) -> Shape | None:
        """The shape that the source of a tag describes; None when it describes none.

        Parameters
        ----------
        source : dict or None
            As given to ``Store.tag``; a shape has ``center`` and ``precision``, and ``kernel``
            where that is not Gaussian. ``shape`` names an exact one, ``labels`` those it is bound
            to, ``layer`` where it was found.
        d : int
            Dimensions of the embeddings of that layer.
        told : str
            What to call the source in an error.
        shapes : mapping of name to RootShape, optional
            Exact shapes. A source that names one which is not here describes none: a round
            stand-in would give other weights than were on screen.

        Raises
        ------
        InputError
            If center, precision or kernel is not what a region of ``d`` dimensions has.
        """
        if not source or source.get("center") is None or source.get("precision") is None:
            return None
        layer = layer_of(source, told)
        labels = _labels(source.get("labels"), told)
        if source.get("shape") is not None:
            exact = (shapes or {}).get(str(source["shape"]))
            if exact is None:
                return None
            if len(exact.center) != d:
                raise InputError(
                    f"the shape of {told} must have the {d} dimensions of the embeddings: "
                    f"got {len(exact.center)}."
                )
            one = np.array(1.0)
            return cls(
                exact.center,
                one,
                "gaussian",
                root=exact.root,
                shift=exact.shift,
                reach=exact.reach,
                labels=labels,
                layer=layer,
            )
        center = _numbers(f"center of {told}", source["center"])
        precision = _numbers(f"precision of {told}", source["precision"])
        kernel = source.get("kernel") or "gaussian"
        if not isinstance(kernel, str):
            raise InputError(f"kernel of {told} must be text: got {type(kernel).__name__}.")
        check_choice(f"kernel of {told}", kernel, KERNELS)
        preparation = _preparation(source.get("options"), d, told)
        d = preparation[1] or d
        if center.shape != (d,):
            raise InputError(
                f"center of {told} must have the {d} numbers of an embedding: "
                f"got shape {center.shape}."
            )
        if precision.shape not in ((), (d,), (d, d)):
            raise InputError(
                f"precision of {told} must be one number, {d} numbers or {d} x {d} numbers: "
                f"got shape {precision.shape}."
            )
        if precision.ndim < 2 and not (precision >= 0).all():
            raise InputError(f"precision of {told} must not be negative: got {precision.min():g}.")
        return cls(center, precision, kernel, preparation, labels=(), layer=layer)


def layer_of(source: Mapping[str, Any] | None, told: str) -> str:
    """The layer that a source names; "" where it names none.

    Raises
    ------
    InputError
        If it is no text.
    """
    layer = (source or {}).get("layer") or ""
    if not isinstance(layer, str):
        raise InputError(f"layer of {told} must be text: got {type(layer).__name__}.")
    return layer


def region_weights(
    bundle: Any, shape: Shape, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """How strongly examples of a bundle belong to a region: in its layer, among its labels.

    Raises
    ------
    InputError
        If the bundle does not have the layer, or no labels for a region that is bound to some.
    """
    weights = kernel_weights(bundle.at_layer(shape.layer).embeddings, shape, rows)
    if shape.labels:
        if bundle.label_codes is None or bundle.class_names is None:
            raise InputError(
                f"a region bound to labels needs labels: bundle '{bundle.name}' has none."
            )
        bound = np.isin(np.asarray(bundle.class_names), shape.labels)[bundle.label_codes]
        weights *= bound if rows is None else bound[rows]
    return weights


def kernel_weights(
    embeddings: Any, shape: Shape, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """How strongly examples belong to a region, in [0, 1].

    Parameters
    ----------
    embeddings : array of shape (n, d)
        Read in blocks and computed in float64, whatever their own precision.
    shape : Shape
    rows : int array of shape (k,), optional
        The examples asked for; all by default.

    Returns
    -------
    float64 array of shape (k,) or (n,)
        ``exp(-q / 2)`` or ``max(0, 1 - q)`` with ``q = (x - center)^T precision (x - center)``,
        or ``q = |(x - center) root|^2``, of rows drawn in to ``reach``.

    References
    ----------
    d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, section 2; the second is their code's.
    """
    k = len(embeddings) if rows is None else len(rows)
    weights = np.empty(k, dtype=np.float64)
    prepare, components, seed = shape.preparation
    prepared = None
    if prepare != "none":
        prepared = fit_preparation(embeddings, prepare, components=components, seed=seed)
    step = max(1, _BLOCK // max(1, embeddings.shape[1]))
    for start in range(0, k, step):
        stop = min(k, start + step)
        chosen = slice(start, stop) if rows is None else rows[start:stop]
        block = embeddings[chosen]
        if prepared is not None:
            block = prepared.apply(block)
        block = np.asarray(block, dtype=np.float64)
        if shape.shift is not None:
            block = drawn_in(block, shape.shift, shape.reach)
        difference = block - shape.center
        if shape.root is not None:
            difference = difference @ shape.root.astype(np.float64)
        other = (
            difference @ shape.precision
            if shape.precision.ndim == 2
            else difference * shape.precision
        )
        q = np.maximum(np.einsum("ij,ij->i", difference, other), 0.0)
        weights[start:stop] = (
            np.exp(-0.5 * q) if shape.kernel == "gaussian" else np.maximum(0.0, 1.0 - q)
        )
    return weights


def _preparation(options: Any, d: int, told: str) -> tuple[str, int | None, int]:
    """How embeddings were prepared, from the options of a search, which may be anything."""
    given = options if isinstance(options, dict) else {}
    prepare, components = given.get("prepare", "none"), given.get("components")
    if prepare == "none":
        return "none", None, 0
    seed = given.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed of {told} must be a whole number from 0: got {str(seed)[:40]!r}.")
    try:
        check_preparation(prepare, components, d)
    except InputError as error:
        raise InputError(f"the preparation of {told}: {error}") from error
    return str(prepare), components, seed


def _labels(given: Any, told: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise InputError(f"labels of {told} must be a list of texts: got {str(given)[:60]}.")
    return tuple(given)


def _numbers(what: str, value: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what} must be numbers: {error}.") from error
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InputError(f"{what} must be finite numbers: got {str(value)[:60]}.")
    return array.astype(np.float64)
