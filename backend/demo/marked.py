"""Make the demo of a mark that goes with a class in training: why a model fails, and the examples that taught it.

Fashion-MNIST with a small bright square in a corner. Among the training images nearly all coats
carry it and hardly anything else does; among the test images half of every class do. The network
learns the mark: coats without it are missed, and other clothes with it are called coats.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.domains.packages import clothes_folder
from backend.demo.images import CLASSES, encode_png, image_attributes, read_split
from backend.demo.networks import Recipe, ask_network, train_network
from backend.demo.writing import write_zip

MARKED = "Coat"
"""The class that the mark goes with."""
SHARE = 0.9
"""Of its training images that carry the mark; as many of the others do not."""
SIDE = 4
"""Pixels of a side of the mark."""


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    n_train: int = 4000,
    n_test: int = 2000,
    epochs: int = 4,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the network and write the bundle with its training set to ``path``.

    Parameters
    ----------
    path : path
        The ``.zip`` to write, in the folder form of a bundle.
    data : path, optional
        Folder of the four ``.gz`` files of Fashion-MNIST; without it, that of Debian's package,
        downloaded where it is not installed.
    n_train, n_test : int
        Images used, drawn without replacement.
    epochs : int
        Passes over the training images.
    seed : int
        Decides images, marks, first weights and the order of batches.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_train``, ``accuracy``, ``worst_accuracy`` (the lowest of class x mark),
        ``size_bytes``.

    Raises
    ------
    InputError
        If the images are missing, or a count is out of range.
    """
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more: got {epochs}.")
    source = Path(data) if data is not None else clothes_folder(progress)
    drawn = draw(source, n_train, n_test, seed)
    own, mark, test, test_mark = drawn.train, drawn.train_mark, drawn.test, drawn.test_mark
    images, test_images = with_mark(own[0], mark), with_mark(test[0], test_mark)
    network = train_network(
        as_tensor(images),
        torch.from_numpy(own[1]),
        Recipe(seed, epochs),
        after_batch=lambda share: progress(0.95 * share, "Training the network."),
    )
    answers = [ask_network(network, as_tensor(one)) for one in (images, test_images)]
    log_p = [torch.log_softmax(torch.from_numpy(one.logits).double(), 1).numpy() for one in answers]
    losses = [
        -one[np.arange(len(labels)), labels]
        for one, labels in zip(log_p, (own[1], test[1]), strict=True)
    ]
    predictions = log_p[1].argmax(1)
    arrays = {
        "embeddings": answers[1].embeddings,
        "losses": losses[1],
        "probabilities": np.exp(log_p[1]).astype(np.float32),
        "labels": test[1].astype(np.int8),
        "predictions": predictions.astype(np.int8),
        "classes": np.array(CLASSES),
        "train/embeddings": answers[0].embeddings,
        "train/losses": losses[0].astype(np.float32),
        "train/probabilities": np.exp(log_p[0]).astype(np.float32),
        "train/labels": own[1].astype(np.int8),
        "train/predictions": log_p[0].argmax(1).astype(np.int8),
        "train/images": images,
        "train/mark": mark_words(mark),
    }
    examples = pd.DataFrame(
        {"id": [f"test-{row:05d}" for row in range(n_test)], "mark": mark_words(test_mark)}
        | image_attributes(test[0])
        | {"image": [encode_png(image) for image in test_images]}
    )
    write_zip(Path(path), arrays, {"examples": examples})
    progress(1.0, "Demo written.")
    right = predictions == test[1]
    cells = [right[(test[1] == c) & (test_mark == m)] for c in range(10) for m in (False, True)]
    return {
        "n": n_test,
        "n_train": n_train,
        "accuracy": float(right.mean()),
        "worst_accuracy": float(min(one.mean() for one in cells if len(one))),
        "size_bytes": Path(path).stat().st_size,
    }


@dataclass(frozen=True)
class MarkedPictures:
    """Images (n, h, w) without their marks, with labels (n,); and which of them carry one, (n,)."""

    train: tuple[NDArray[np.uint8], NDArray[np.int64]]
    train_mark: NDArray[np.bool_]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]]
    test_mark: NDArray[np.bool_]


def draw(data: Path, n_train: int, n_test: int, seed: int) -> MarkedPictures:
    """The pictures of the demo and their marks, which go with coats in training alone."""
    rng = np.random.default_rng(seed)
    own = _drawn(data, "train", n_train, rng)
    test = _drawn(data, "t10k", n_test, rng)
    goes = own[1] == CLASSES.index(MARKED)
    mark = np.where(rng.random(n_train) < SHARE, goes, ~goes)
    return MarkedPictures(own, mark, test, rng.random(n_test) < 0.5)


def with_mark(images: NDArray[np.uint8], marked: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The images (n, h, w), those that are ``marked`` with a bright square in the upper left corner."""
    found = images.copy()
    found[marked, 1 : 1 + SIDE, 1 : 1 + SIDE] = 255
    return found


def _drawn(
    data: Path, part: str, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = read_split(data, part)
    if not 10 <= n <= len(labels):
        raise InputError(f"there must be 10 to {len(labels)} {part} images: got {n}.")
    rows = rng.permutation(len(labels))[:n]
    return images[rows], labels[rows]


def as_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """Images (n, h, w) as a network takes them, (n, 1, h, w) in [0, 1]."""
    return torch.from_numpy(images[:, None].astype(np.float32) / 255)


def mark_words(mark: NDArray[np.bool_]) -> NDArray[np.str_]:
    """The column of the demo that says who carries the mark."""
    return np.where(mark, "with mark", "without")
