"""scikit-learn estimators and plain functions, asked batch by batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.media import plain
from backend.collect.projection import (
    LEAF_DIMENSIONS,
    TOKEN_DIMENSIONS,
    projected,
    projected_leaves,
)
from backend.collect.seen import Seen, inputs_and_labels

MOST_FEATURES = 4096
"""Features up to this number are kept as they are; more, and sparse ones, are projected."""
ACTIVATIONS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "logistic": lambda x: np.asarray(1 / (1 + np.exp(-x))),
}


class Estimator:
    """A fitted scikit-learn classifier, regressor or pipeline as a source.

    Parameters
    ----------
    model : estimator
        Has ``predict``, and where it knows them ``predict_proba`` and ``classes_``.
    embedding : callable, optional
        ``embedding(inputs)`` gives the embeddings (b, d). By default they are the activations of
        the last hidden layer of a multi-layer perceptron, the leaves of trees, projected, or else
        the features as they come to the last step of the pipeline.
    seed : int
        Of projections.
    """

    def __init__(
        self, model: Any, embedding: Callable[[Any], Any] | None = None, seed: int = 0
    ) -> None:
        self.model, self.embedding, self.seed = model, embedding, seed
        steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
        self.before, self.last = steps[:-1], steps[-1]
        self.notes: list[str] = []
        self.codes: NDArray[Any] | None = None
        self.classes: tuple[str, ...] | None = None
        known = getattr(model, "classes_", None)
        if known is None:
            self.kind = "numbers"
            return
        if isinstance(known, list):
            raise CollectError("the classifier predicts several labels a row: one is needed.")
        self.codes = np.asarray(known)
        self.classes = tuple(str(name) for name in self.codes.tolist())
        self.kind = "probabilities" if hasattr(model, "predict_proba") else "codes"
        if self.kind == "codes":
            self.notes.append(
                f"probabilities: {type(self.last).__name__} makes none, so there are only predictions."
            )

    def __enter__(self) -> Estimator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def output(self, batch: Any) -> NDArray[Any]:
        """Probabilities, predicted codes, or the numbers of a regression."""
        return self._output(inputs_and_labels(batch)[0])

    def _output(self, inputs: Any) -> NDArray[Any]:
        if self.kind == "probabilities":
            return np.asarray(self.model.predict_proba(inputs))
        predicted = np.asarray(self.model.predict(inputs))
        if self.kind == "codes":
            return self._coded(predicted)
        if predicted.ndim == 2 and predicted.shape[1] == 1:
            predicted = predicted[:, 0]
        if predicted.ndim != 1:
            raise CollectError(
                f"a regression must give one number per example: got shape {predicted.shape}."
            )
        return predicted.astype(np.float64)

    def _coded(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Labels as positions among the classes that the model was fitted on."""
        assert self.codes is not None
        order = np.argsort(self.codes, kind="stable")
        try:
            places = np.searchsorted(self.codes[order], labels)
        except TypeError as error:
            raise CollectError(
                f"labels must be among the {len(self.codes)} classes of the model: got "
                f"{labels.dtype} where it has {self.codes.dtype}."
            ) from error
        found = order[np.minimum(places, len(order) - 1)]
        strange = self.codes[found] != labels
        if strange.any():
            raise CollectError(
                f"labels must be among the {len(self.codes)} classes of the model: got "
                f"{labels[strange].tolist()[0]!r}, which it was not fitted on."
            )
        return np.asarray(found, dtype=np.int64)

    def see(self, batch: Any, training: bool = False) -> Seen:
        """Embeddings, outputs and labels of a batch."""
        inputs, labels = inputs_and_labels(batch)
        if isinstance(inputs, Mapping) and len(inputs) == 1:
            inputs = next(iter(inputs.values()))
        labels = np.asarray(plain(labels)).reshape(-1)
        coded = labels.astype(np.float64) if self.codes is None else self._coded(labels)
        return Seen(self._embeddings(inputs), self._output(inputs), coded)

    def _embeddings(self, inputs: Any) -> NDArray[Any]:
        if self.embedding is not None:
            self._say("embeddings: what the given function made.")
            return np.asarray(plain(self.embedding(inputs)))
        features = inputs
        for step in self.before:
            if step is not None and not isinstance(step, str):
                features = step.transform(features)
        name = type(self.last).__name__
        if hasattr(self.last, "coefs_") and getattr(self.last, "activation", None) in ACTIVATIONS:
            self._say(f"embeddings: activations of the last hidden layer of {name}.")
            hidden = as_numbers(features)
            shape = ACTIVATIONS[self.last.activation]
            for weights, bias in zip(
                self.last.coefs_[:-1], self.last.intercepts_[:-1], strict=True
            ):
                hidden = shape(hidden @ weights + bias)
            return np.asarray(hidden)
        if hasattr(self.last, "apply"):
            with warnings.catch_warnings():  # trees of an ensemble were fitted without the names
                warnings.filterwarnings("ignore", "X has feature names", UserWarning)
                leaves = np.asarray(self.last.apply(features))
            leaves = leaves.reshape(len(leaves), -1).astype(np.int64)
            self._say(
                f"embeddings: the leaves of {name} that an example falls into ({leaves.shape[1]} "
                f"trees), one-hot and projected to {LEAF_DIMENSIONS} dimensions by random signs."
            )
            return projected_leaves(leaves, LEAF_DIMENSIONS, self.seed)
        what = f"the features as they come to {name}" if self.before else "the features"
        if hasattr(features, "tocsr") or features.shape[1] > MOST_FEATURES:
            self._say(
                f"embeddings: {what}, {features.shape[1]} of them, projected to {TOKEN_DIMENSIONS} "
                "dimensions by random signs."
            )
            return projected(features, TOKEN_DIMENSIONS, [self.seed])
        self._say(f"embeddings: {what}.")
        return as_numbers(features)

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def as_numbers(features: Any) -> NDArray[Any]:
    """Features (b, d) as an array of floats.

    Raises
    ------
    CollectError
        If they are not numbers.
    """
    features = features.toarray() if hasattr(features, "toarray") else features
    try:
        array = np.asarray(plain(features))
        array = array if array.dtype.kind == "f" else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise CollectError(
            "the model's features are not numbers, so they are no embeddings. Give "
            "embedding=FUNCTION, which makes an array (b, d) of the inputs."
        ) from error
    if array.ndim != 2:
        array = array.reshape(len(array), -1)
    return array


GIVEN = ("logits", "probabilities", "predictions")
"""What a function may give beside the embeddings; the first that is there counts."""


class Function:
    """A function of a batch's inputs as a source.

    Parameters
    ----------
    function : callable
        Gives a dictionary with ``embeddings`` (b, d), one of ``GIVEN``, perhaps ``losses`` (b,);
        or, with ``embedding``, only the scores.
    embedding : callable, optional
        ``embedding(inputs)`` gives the embeddings.
    classes : sequence of str, optional
        Names of the classes, where labels are names.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        embedding: Callable[[Any], Any] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.function, self.embedding = function, embedding
        self.kind = "scores"
        self.classes = None if classes is None else tuple(map(str, classes))
        self.notes: list[str] = []

    def __enter__(self) -> Function:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def _called(self, inputs: Any) -> dict[str, NDArray[Any]]:
        returned = self.function(inputs)
        given = dict(returned) if isinstance(returned, Mapping) else {"logits": returned}
        found = {name: np.asarray(plain(value)) for name, value in given.items()}
        if not {*GIVEN, "losses"} & found.keys():
            raise CollectError(
                f"the function must give one of {', '.join(GIVEN)} or losses: got "
                f"{', '.join(map(str, found)) or 'nothing'}."
            )
        return found

    def output(self, batch: Any) -> NDArray[Any]:
        """The scores, or the predictions, that the function gives."""
        return self._scores(self._called(inputs_and_labels(batch)[0]))

    def _scores(self, found: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        name = next((name for name in GIVEN if name in found), None)
        if name is None:
            return np.zeros(len(found["losses"]), np.float32)
        scores = found[name]
        scores = scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
        if name == "predictions":
            self.kind = "numbers" if scores.dtype.kind == "f" else "codes"
            if scores.dtype.kind in "USO":
                return self._coded(scores)
        elif name == "probabilities" and scores.ndim == 2:
            self.kind = "probabilities"
        return scores

    def see(self, batch: Any, training: bool = False) -> Seen:
        """Embeddings, outputs and labels of a batch."""
        inputs, labels = inputs_and_labels(batch)
        if isinstance(inputs, Mapping) and len(inputs) == 1:
            inputs = next(iter(inputs.values()))
        found = self._called(inputs)
        if self.embedding is not None:
            found["embeddings"] = np.asarray(plain(self.embedding(inputs)))
        if "embeddings" not in found:
            raise CollectError(
                "the function must give 'embeddings' beside its scores, as in {'embeddings': e, "
                "'logits': z}; or give embedding=FUNCTION."
            )
        labels = np.asarray(plain(labels)).reshape(-1)
        coded = self._coded(labels) if labels.dtype.kind in "USO" else labels
        scored = bool({*GIVEN} & found.keys())
        return Seen(
            found["embeddings"], self._scores(found), coded, found.get("losses"), scored=scored
        )

    def _coded(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        if self.classes is None:
            raise CollectError(
                f"labels are names (such as {str(labels[0])[:40]!r}): give classes=[...], in the "
                "order of the scores."
            )
        codes = {name: code for code, name in enumerate(self.classes)}
        strange = next((str(one) for one in labels if str(one) not in codes), None)
        if strange is not None:
            raise CollectError(
                f"labels must be among the {len(codes)} classes: got {strange[:40]!r}."
            )
        return np.asarray([codes[str(one)] for one in labels], dtype=np.int64)
