"""From what a model put out and the labels to probabilities, predictions and losses.

What outputs and labels mean is decided when all of them are there, not by the first batch: they lie
on disk until then, and are gone through once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.spool import Spool

SUM_TOLERANCE = 1e-3
"""Rows that sum to 1 within this are probabilities."""
OUTPUTS, CODES = "meanwhile/outputs", "meanwhile/labels"


@dataclass(frozen=True)
class Meaning:
    """What outputs and labels are taken for.

    Attributes
    ----------
    kind : str
        ``"logits"``, ``"probabilities"``, ``"numbers"`` (a regression), ``"codes"`` (predicted
        classes without scores) or ``"losses"`` (nothing but losses).
    first : int
        The code of the first class.
    notes : tuple of str
        Sentences on what was assumed.
    """

    kind: str
    first: int = 0
    notes: tuple[str, ...] = ()


def check_batch(output: NDArray[Any], labels: NDArray[Any], kind: str, first: int | None) -> None:
    """Raise ``CollectError`` for outputs and labels of a batch that fit in no reading."""
    if output.ndim > 2 or len(output) != len(labels):
        raise CollectError(f"logits must be (b, C): got {output.shape} for {len(labels)} labels.")
    if kind in ("numbers", "codes") or not len(labels):
        return
    if labels.dtype.kind == "f":
        if output.ndim != 1:
            raise CollectError(
                f"float labels need one output per example: got {output.shape}. "
                "Class codes must be integers."
            )
        return
    n_classes = output.shape[1] if output.ndim == 2 else 2
    low, high = int(labels.min()), int(labels.max())
    most = n_classes if first is None else n_classes - 1 + first
    if low < (first or 0) or high > most or (low == 0 and high == n_classes):
        counted = f" from {first} on" if first else ""
        raise CollectError(
            f"labels must be class codes below {n_classes}{counted}: got {low} to {high}."
        )


def meaning_of(spool: Spool, part: str, kind: str, first: int | None) -> Meaning:
    """What all outputs and labels of a part are, with what had to be assumed.

    Parameters
    ----------
    spool : Spool
    part : str
        ``""`` or ``"train/"``.
    kind : str
        What the model says of its outputs: ``"scores"`` may be logits, probabilities or one number.
    first : int or None
        The code of the first class, where the caller said it.
    """
    if kind not in ("scores", "probabilities"):
        return Meaning(kind)
    outputs, labels = spool.read(part + OUTPUTS), spool.read(part + CODES)
    notes: list[str] = []
    float_labels = labels.dtype.kind == "f"
    if float_labels and not _all_of(labels, (0.0, 1.0)):
        return Meaning("numbers")
    within, summed = _looks(outputs)
    if outputs.ndim == 1:
        found = "probabilities" if within else "logits"
        word = "probability" if within else "logit"
        if float_labels:
            notes.append(
                f"labels: all are 0.0 or 1.0, so they are two classes, and the output is the {word} "
                "of class 1. For a regression, scale the labels otherwise."
            )
        elif within:
            notes.append(
                "outputs: all lie between 0 and 1, so they were taken for the probability of class "
                "1, not for its logit."
            )
    elif kind == "probabilities":
        if not summed:
            raise CollectError(
                "probabilities must not be negative and must sum to 1 in each row, and they do not. "
                "If they are scores before the softmax, give them as 'logits'."
            )
        found = "probabilities"
    else:
        found = "probabilities" if summed else "logits"
        if summed:
            notes.append(
                "outputs: each row is not negative and sums to 1, so they were taken for "
                "probabilities, not for logits."
            )
        elif within:
            notes.append(
                "outputs: they were taken for logits, although all lie between 0 and 1. If they are "
                "one independent score per class (a sigmoid), give 'loss' and make a bundle per label."
            )
    start = first or 0
    if first is None and not float_labels and len(labels):
        low, high = int(labels.min()), int(labels.max())
        n_classes = outputs.shape[1] if outputs.ndim == 2 else 2
        if low == 0 and high == n_classes:
            raise CollectError(
                f"labels must be class codes below {n_classes}: got {low} to {high}."
            )
        if high == n_classes:
            start = 1
            notes.append(
                f"labels: they are counted from 1 to {n_classes}, so the label 1 was taken for the "
                "first output, and 1 was subtracted from every label."
            )
    return Meaning(found, start, tuple(notes))


def _looks(outputs: NDArray[Any]) -> tuple[bool, bool]:
    """Whether all outputs lie in [0, 1], and whether every row then sums to 1."""
    within = summed = True
    step = rows_at_once(outputs)
    for start in range(0, len(outputs), step):
        block = np.asarray(outputs[start : start + step], dtype=np.float64)
        within &= bool(((block >= 0) & (block <= 1 + SUM_TOLERANCE)).all())
        if not within:
            return False, False
        summed &= block.ndim == 2 and bool((np.abs(block.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
    return within, summed


def rows_at_once(array: NDArray[Any]) -> int:
    """Rows of an array on disk to hold at a time: about 32 MiB as float64."""
    return max(1, 2**22 // max(1, int(np.prod(array.shape[1:]))))


def _all_of(labels: NDArray[Any], values: tuple[float, float]) -> bool:
    return sorted(np.unique(labels).tolist()) == list(values)


def finish(
    spool: Spool, part: str, meaning: Meaning, names: Sequence[str] | None, own_losses: bool
) -> None:
    """Write labels, predictions, probabilities and losses of a part, and forget what they are from.

    Parameters
    ----------
    spool : Spool
    part : str
        ``""`` or ``"train/"``.
    meaning : Meaning
    names : sequence of str, optional
        Write labels and predictions as these names, where codes could be mistaken for others.
    own_losses : bool
        Whether the losses were given with every batch.
    """
    if meaning.kind == "losses":
        spool.drop(part + OUTPUTS)
        spool.drop(part + CODES)
        return
    outputs, labels = spool.read(part + OUTPUTS), spool.read(part + CODES)
    step = rows_at_once(outputs)
    for start in range(0, len(labels), step):
        rows = slice(start, start + step)
        output, label = np.asarray(outputs[rows]), np.asarray(labels[rows])
        if meaning.kind == "numbers":
            number, target = output.astype(np.float64), label.astype(np.float64)
            fields = {"predictions": number, "targets": target, "losses": (number - target) ** 2}
        else:
            fields = _classified(output, label.astype(np.int64) - meaning.first, meaning.kind)
        for name in ("labels", "predictions") if meaning.kind != "numbers" else ():
            fields[name] = named(fields[name], names)
        if own_losses:
            fields.pop("losses")
        for name, block in fields.items():
            spool.add(part + name, block)
    spool.drop(part + OUTPUTS)
    spool.drop(part + CODES)


def _classified(output: NDArray[Any], codes: NDArray[Any], kind: str) -> dict[str, NDArray[Any]]:
    if kind == "codes":
        predicted = output.astype(np.int64)
        return {
            "labels": codes,
            "predictions": predicted,
            "losses": (predicted != codes).astype(np.float64),
        }
    chances, losses = chances_and_losses(output, codes, kind)
    return {
        "labels": codes,
        "predictions": chances.argmax(axis=1),
        "probabilities": chances.astype(np.float32),
        "losses": losses,
    }


def chances_and_losses(
    output: NDArray[Any], codes: NDArray[Any], kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (b, C) and cross-entropy in nats (b,) of logits or probabilities.

    One output per example is the logit, or the probability, of the second of two classes.
    """
    scores = output.astype(np.float64)
    rows = np.arange(len(codes))
    if kind == "probabilities":
        if scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        tiny = np.finfo(output.dtype if output.dtype.kind == "f" else np.float64).tiny
        return scores, -np.log(np.maximum(scores[rows, codes], tiny))
    if scores.ndim == 1:
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    high = scores.max(axis=1, keepdims=True)
    logarithms = scores - high - np.log(np.exp(scores - high).sum(axis=1, keepdims=True))
    return np.exp(logarithms), -logarithms[rows, codes]


def are_chances(output: NDArray[Any]) -> bool:
    """Whether outputs are probabilities already: (b, C) with rows that sum to 1, or (b,) in [0, 1]."""
    inside = bool(((output >= 0) & (output <= 1 + SUM_TOLERANCE)).all())
    if output.ndim == 1:
        return inside
    return inside and bool((np.abs(output.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def named(codes: NDArray[Any], names: Sequence[str] | None) -> NDArray[Any]:
    """Codes as they are, or as the names of their classes."""
    return codes if names is None else np.asarray(names, dtype=np.str_)[codes]


def names_to_write(classes: Sequence[str] | None) -> Sequence[str] | None:
    """The class names, where a code could be read as the name of another class; else None."""
    if classes is None or not any(name.strip().lstrip("+-").isdigit() for name in classes):
        return None
    return None if list(classes) == [str(code) for code in range(len(classes))] else classes


def answers(outputs: NDArray[Any]) -> NDArray[np.int64]:
    """Predicted codes (n,) of scores (n, C), of one score per example (n,), or of codes."""
    if outputs.dtype.kind in "iu":
        return np.asarray(outputs, dtype=np.int64)
    if outputs.ndim == 2:
        return np.asarray(np.argmax(outputs, axis=1), dtype=np.int64)
    within, _ = _looks(outputs)
    return np.asarray(outputs > (0.5 if within else 0.0), dtype=np.int64)


def measure(meaning: Meaning, own: bool) -> str:
    """A sentence on what the losses are."""
    if own or meaning.kind == "losses":
        return "losses: those that the given function made."
    if meaning.kind == "numbers":
        return "losses: squared error."
    if meaning.kind == "codes":
        return "losses: 0 where the prediction is the label, 1 where it is not."
    return f"losses: cross-entropy of the model's {meaning.kind}, in nats."


def rows_of(arrays: Sequence[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Arrays, tables or lists cut into batches of so many rows."""
    n = len(arrays[0]) if not hasattr(arrays[0], "shape") else arrays[0].shape[0]
    for start in range(0, n, size):
        rows = slice(start, start + size)
        yield tuple(one.iloc[rows] if hasattr(one, "iloc") else one[rows] for one in arrays)
