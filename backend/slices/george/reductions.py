"""From the embeddings of one class to the few coordinates that GEORGE clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from backend.core.errors import InputError
from backend.slices.axes import principal_axes
from backend.slices.inputs import Inputs, needed

_UNIT_FLOOR = 1e-6

Reduce = Callable[[NDArray[Any]], NDArray[np.float64]]


def unit_rows(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rows divided by their L2 norm, norms below 1e-6 counting as 1e-6."""
    values = np.asarray(values, dtype=np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(norms, _UNIT_FLOOR)


def fit_reduction(
    kind: str, values: NDArray[np.float64], k: int, seed: int, normal: NDArray[np.float64] | None
) -> tuple[Reduce, str]:
    """A map from (m, d) to (m, k') coordinates, fitted on ``values``; and a note, mostly empty.

    ``normal`` (d,) is the first axis of ``hardness``. Coordinates are scaled by one number, so that
    the covariance floor of a Gaussian mixture means the same whatever the units.
    """
    if kind == "umap":
        from backend.slices.george.umap_reduction import FEWEST, umap_reduction

        if len(values) >= FEWEST:
            return umap_reduction(values, k, seed), ""
        return fit_reduction("pca", values, k, seed, None)[0], (
            f"PCA instead of UMAP, which needs {FEWEST} examples"
        )
    if kind == "hardness" and normal is not None:
        residual = values - np.outer(values @ normal, normal)
        rest = principal_axes(residual, k - 1, seed=seed) if k > 1 else None
        scale = float(values.std(axis=0).max()) or 1.0

        def hardness(rows: NDArray[Any]) -> NDArray[np.float64]:
            along = rows @ normal
            columns = [along[:, None] / scale]
            if rest is not None:
                columns.append(rest.apply(rows - np.outer(along, normal)) * rest.scale / scale)
            return np.hstack(columns)

        return hardness, ""
    if kind == "none":
        mean = values.mean(axis=0)
        scale = float(np.sqrt(np.square(values - mean).sum(axis=1).mean())) or 1.0
        return lambda rows: (np.asarray(rows, dtype=np.float64) - mean) / scale, ""
    return principal_axes(values, k, seed=seed).apply, ""


def head_normal(inputs: Inputs, prepared: NDArray[np.float64], rows: NDArray[np.int64]) -> Any:
    """Unit normal (d,) of the model's decision between two classes, as its predictions show it.

    A logistic regression of the predictions on ``prepared``, the embeddings of ``rows``: the head
    itself is not part of a bundle, and its predictions determine it up to the margin.
    """
    if len(inputs.classes) != 2:
        raise InputError(
            "reduction='hardness' needs two classes, as its first axis is the normal of a binary "
            f"head: got {len(inputs.classes)}. Take 'pca' or 'umap'."
        )
    predicted = needed(inputs.predictions)[rows]
    if predicted.min() == predicted.max():
        raise InputError(
            "reduction='hardness' needs predictions of both classes: all of them are "
            f"{inputs.classes[int(predicted[0])]!r}. Take 'pca' or 'umap'."
        )
    normal = LogisticRegression(max_iter=1000).fit(prepared, predicted).coef_[0]
    length = float(np.linalg.norm(normal))
    if length == 0:
        raise InputError("reduction='hardness' found no direction: the embeddings are all equal.")
    return normal / length
