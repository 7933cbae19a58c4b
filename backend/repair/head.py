"""A linear head on frozen features, refitted with some examples counting more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

from backend.core.arrays import as_numpy, check_choice, check_matrix
from backend.core.blocks import rows_per_step
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress

RECIPES = ("sgd", "full")
STRENGTH = 0.5
"""How much the debug examples count beside the original ones: the paper's lambda."""
WEIGHT_DECAY = 5e-4
_STEPS = 300
SLOPE = 1e-5
"""Where a head has converged, by its gradient in whitened coordinates."""

Floats = NDArray[Any]


@dataclass(frozen=True)
class RetrainedHead:
    """A linear head and how its training ended.

    Attributes
    ----------
    weights : float array of shape (C, d)
    bias : float array of shape (C,)
    outcome : {"converged", "out of steps", "all epochs", "not finite"}
        "all epochs" is how the paper's recipe ends, which does not look whether it has converged.
    steps : int
        Gradients taken.
    objective : float
        ``mean CE(original) + strength * mean CE(debug)`` in nats at the end, without weight decay.
    """

    weights: Floats = field(repr=False)
    bias: Floats = field(repr=False)
    outcome: str
    steps: int
    objective: float

    def logits(self, embeddings: Any) -> Floats:
        """Scores of each class, (n, C)."""
        found = np.empty((len(embeddings), len(self.bias)), self.weights.dtype)
        step = rows_per_step(self.weights.shape[1])
        for start in range(0, len(found), step):
            block = np.asarray(embeddings[start : start + step], self.weights.dtype)
            found[start : start + step] = block @ self.weights.T + self.bias
        return found

    def predict(self, embeddings: Any) -> NDArray[np.int64]:
        """Code of the class with the highest score, (n,); the lower one on ties."""
        return np.asarray(self.logits(embeddings).argmax(axis=1), np.int64)


def retrain_head(
    embeddings: Any,
    labels: Any,
    debug_embeddings: Any = None,
    debug_labels: Any = None,
    *,
    strength: float = STRENGTH,
    recipe: str = "sgd",
    learning_rate: float = 0.2,
    momentum: float = 0.9,
    weight_decay: float = WEIGHT_DECAY,
    epochs: int = 1000,
    batch_size: int | None = None,
    n_classes: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> RetrainedHead:
    """Refit the last layer so that debug examples count beside the original ones.

    Minimises ``mean CE(original) + strength * mean CE(debug)`` with weight decay on every
    parameter, bias included, as PyTorch's SGD does it.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Frozen features of the original examples.
    labels : int array-like of shape (n,)
        Classes ``0 .. C - 1``.
    debug_embeddings, debug_labels : array-like of shapes (m, d) and (m,), optional
        What is to count more: made or imported examples, or rows of a group that are up-weighted.
    strength : float
        The paper's lambda, from 0. With 0 the debug examples are not looked at: the head is, bit for
        bit, the one that is refitted without them.
    recipe : {"sgd", "full"}
        "sgd" is the paper's: SGD with momentum, a fixed number of epochs from small random weights.
        "full" finds the one minimum of the same objective (L-BFGS from zero, in coordinates whitened
        by the features), usually in seconds; ``learning_rate``, ``momentum``, ``epochs``,
        ``batch_size`` and ``seed`` are not for it.
    learning_rate, momentum, weight_decay : float
        Of SGD; "full" needs weight decay above 0, or there may be no minimum.
    epochs : int
        From 1.
    batch_size : int, optional
        Original examples per step of SGD; the debug examples are spread over as many steps. All at
        once by default, one step an epoch.
    n_classes : int, optional
        C; the largest label and one by default.
    seed : int
        Of first weights and order.
    progress : Progress

    Returns
    -------
    RetrainedHead
        In the embeddings' own float width, float32 at least.

    Raises
    ------
    InputError
        If there are no debug examples with a strength above 0, the dimensions differ, the strength is
        negative, or labels are no classes.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 5: strength 0.5, SGD 0.2,
    momentum 0.9, weight decay 5e-4, 1000 epochs. They name no batch size.
    """
    check_choice("recipe", recipe, RECIPES)
    x, y, weights, n_original, n_classes = _data(
        embeddings, labels, debug_embeddings, debug_labels, strength, n_classes
    )
    for name, number in (("learning_rate", learning_rate), ("momentum", momentum)):
        if not 0 <= number < np.inf:
            raise InputError(f"{name} must be 0 or more: got {number}.")
    if not 0 <= weight_decay < np.inf or (recipe == "full" and weight_decay == 0):
        raise InputError(
            f"weight_decay must be 0 or more, and above 0 for recipe 'full': got {weight_decay}."
        )
    if recipe == "full":
        return HeadProblem(x, y, n_classes, weight_decay=weight_decay).solve(weights)
    if epochs < 1 or (batch_size is not None and batch_size < 1):
        raise InputError(f"epochs and batch_size must be 1 or more: got {epochs} and {batch_size}.")
    rng = np.random.default_rng(seed)
    bound = 1 / np.sqrt(x.shape[1])
    head = rng.uniform(-bound, bound, (x.shape[1] + 1, n_classes)).astype(x.dtype)
    speed = np.zeros_like(head)
    n_steps = 1 if batch_size is None else -(-n_original // batch_size)
    orders = (np.random.default_rng((seed, 1)), np.random.default_rng((seed, 2)))
    for epoch in range(epochs):
        for rows in _batches(n_original, len(y), n_steps, orders):
            taken = slice(None) if rows is None else rows
            slope = _slope(x[taken], y[taken], weights[taken] * n_steps, head)[1]
            slope += weight_decay * head
            speed = momentum * speed + slope
            head = head - learning_rate * speed
        if not np.isfinite(head).all():
            return _head(head, "not finite", (epoch + 1) * n_steps, float("nan"))
        progress((epoch + 1) / epochs, f"epoch {epoch + 1:,} of {epochs:,}")
    return _head(head, "all epochs", epochs * n_steps, _slope(x, y, weights, head)[0])


def debug_weights(n: int, debug: Any, strength: float) -> NDArray[np.float64]:
    """Weight of each of ``n`` rows when some of them count twice: once as they are, once as debug.

    ``1 / n + strength / m`` for the ``m`` debug rows and ``1 / n`` for the others.
    """
    debug = np.asarray(debug)
    weights = np.full(n, 1 / n)
    weights[debug] += strength / len(weights[debug])
    return weights


class HeadProblem:
    """Many heads on the same examples: what the solver needs of the features is worked out once.

    Parameters
    ----------
    x : float array of shape (n, d)
    labels : int array of shape (n,)
    n_classes : int
    weight_decay : float
        Above 0.
    """

    def __init__(
        self, x: Floats, labels: NDArray[np.int64], n_classes: int, *, weight_decay: float
    ) -> None:
        self.x, self.y, self.n_classes, self.decay = x, labels, n_classes, weight_decay
        d = x.shape[1]
        gram = np.empty((d + 1, d + 1))
        gram[:d, :d] = (x.T @ x) / (2 * len(x))
        gram[d, :d] = gram[:d, d] = x.mean(axis=0, dtype=np.float64) / 2
        gram[d, d] = 0.5
        gram[np.diag_indices(d + 1)] += weight_decay
        # Rounding can leave a Gram of float32 features without a root: a little more on its diagonal
        # changes how fast the minimum is found, not which.
        gram[np.diag_indices(d + 1)] += 1e-6 * np.trace(gram) / (d + 1)
        self._root = linalg.cholesky(gram, lower=True)

    def solve(
        self,
        weights: Any,
        start: RetrainedHead | None = None,
        *,
        slope: float = SLOPE,
        tick: Callable[[], None] = lambda: None,
    ) -> RetrainedHead:
        """The head that minimises ``sum(weights * CE) + weight_decay / 2 * |head|^2``.

        Parameters
        ----------
        weights : array-like of shape (n,)
            Never negative; rows of weight 0 take no part.
        start : RetrainedHead, optional
            A head near by. Where it ends does not depend on it, to the solver's tolerance.
        slope : float
            Largest entry of the gradient, in whitened coordinates, at which it has converged.
        tick : callable
            Called at every step; may raise to stop.
        """
        weights = np.asarray(weights, dtype=self.x.dtype)
        rows = np.flatnonzero(weights)
        x, y, own = self.x, self.y, weights
        if len(rows) < 0.8 * len(weights):
            x, y, own = x[rows], y[rows], weights[rows]
        shape = (self.x.shape[1] + 1, self.n_classes)

        def outward(point: Floats) -> Floats:
            return linalg.solve_triangular(self._root, point.reshape(shape), lower=True, trans="T")

        def value(point: Floats) -> tuple[float, Floats]:
            tick()
            head = outward(point)
            loss, steep = _slope(x, y, own, head.astype(x.dtype))
            full = steep.astype(np.float64) + self.decay * head
            inward = linalg.solve_triangular(self._root, full, lower=True)
            return loss + self.decay / 2 * float(np.square(head).sum()), inward.ravel()

        first = np.zeros(shape)
        if start is not None:
            first = self._root.T @ np.vstack([start.weights.T, start.bias]).astype(np.float64)
        found = optimize.minimize(
            value,
            first.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "gtol": slope, "ftol": 1e-11, "maxcor": 12},
        )
        head = outward(found.x)
        if not np.isfinite(head).all():
            return _head(head, "not finite", int(found.nfev), float("nan"))
        settled = found.success or float(np.abs(found.jac).max()) < 10 * slope
        loss = float(found.fun) - self.decay / 2 * float(np.square(head).sum())
        return _head(
            head.astype(x.dtype),
            "converged" if settled else "out of steps",
            int(found.nfev),
            loss,
        )


def _slope(x: Floats, y: NDArray[np.int64], weights: Floats, head: Floats) -> tuple[float, Floats]:
    """Weighted sum of cross-entropies and its gradient; the last line of ``head`` is the bias."""
    scores = x @ head[:-1] + head[-1]
    at = np.arange(len(y))
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[at, y].copy()
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1)
    loss = float(weights.astype(np.float64) @ (np.log(totals) - own))
    scores /= totals[:, None]
    scores[at, y] -= 1
    scores *= weights[:, None]
    return loss, np.vstack([x.T @ scores, scores.sum(axis=0)])


def _batches(
    n: int, total: int, n_steps: int, orders: tuple[np.random.Generator, np.random.Generator]
) -> Iterator[NDArray[np.int64] | None]:
    """Rows of each step of an epoch; None stands for all."""
    if n_steps == 1:
        yield None
        return
    original = np.array_split(orders[0].permutation(n), n_steps)
    debug = np.array_split(n + orders[1].permutation(total - n), n_steps)
    for one, other in zip(original, debug, strict=True):
        yield np.concatenate([one, other])


def _head(head: Floats, outcome: str, steps: int, objective: float) -> RetrainedHead:
    return RetrainedHead(
        np.ascontiguousarray(head[:-1].T), head[-1].copy(), outcome, steps, objective
    )


def _data(
    embeddings: Any,
    labels: Any,
    debug_embeddings: Any,
    debug_labels: Any,
    strength: float,
    n_classes: int | None,
) -> tuple[Floats, NDArray[np.int64], Floats, int, int]:
    """Features, classes and weights of all rows that count, the original ones first."""
    if not 0 <= strength < np.inf:
        raise InputError(f"strength must be 0 or more: got {strength}.")
    x = _wide(check_matrix("embeddings", embeddings))
    y = check_classes("labels", labels, len(x))
    given = debug_embeddings is not None and len(debug_embeddings) > 0
    if strength > 0 and not given:
        raise InputError(
            f"debug_embeddings must hold one example or more for a strength of {strength:g}: got "
            "none. With a strength of 0 the head is refitted without any."
        )
    weights = np.full(len(x), 1 / len(x))
    n_original = len(x)
    if given:
        debug = _wide(check_matrix("debug_embeddings", debug_embeddings))
        if debug.shape[1] != x.shape[1]:
            raise InputError(
                "debug_embeddings must have the dimensions of the embeddings: got "
                f"{debug.shape[1]} and {x.shape[1]}. Take both from the same layer."
            )
        if debug_labels is None:
            raise InputError("debug_labels must be given with debug_embeddings: got none.")
        own = check_classes("debug_labels", debug_labels, len(debug))
        if strength > 0:
            x, y = np.concatenate([x, debug.astype(x.dtype)]), np.concatenate([y, own])
            weights = np.concatenate([weights, np.full(len(debug), strength / len(debug))])
    least = int(y.max()) + 1
    if n_classes is None:
        n_classes = least
    if n_classes < least:
        raise InputError(f"labels must be below n_classes = {n_classes}: got {least - 1}.")
    return x, y, weights.astype(x.dtype), n_original, n_classes


def _wide(values: Floats) -> Floats:
    return values.astype(np.float32) if values.dtype.itemsize < 4 else values


def check_classes(name: str, values: Any, n: int) -> NDArray[np.int64]:
    """Class codes from 0, one per embedding.

    Raises
    ------
    InputError
        If they are not; names what came.
    """
    codes = np.asarray(as_numpy(values))
    if codes.shape != (n,):
        raise InputError(f"{name} must be one per embedding: got shape {codes.shape} for {n}.")
    if codes.dtype.kind not in "biu" or (len(codes) and int(codes.min()) < 0):
        low = f"{codes.min()}" if codes.dtype.kind == "i" else str(codes.dtype)
        raise InputError(f"{name} must be classes, whole numbers from 0: got {low}.")
    return codes.astype(np.int64)


def log_probabilities(logits: Floats) -> Floats:
    """Log-probabilities of these scores, (n, C), in float64."""
    wide = np.asarray(logits, np.float64)
    return np.asarray(wide - special.logsumexp(wide, axis=1, keepdims=True))
