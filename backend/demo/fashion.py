"""Make the demo bundle: train on Fashion-MNIST, ask the test images, write one zip.

Nothing in the bundle is invented: every number comes from networks trained here. One network gives
embeddings, probabilities and losses; it and its siblings (other seeds) are the population
``baseline``, and as many networks trained, pruned and trained on are ``pruned-90``.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.images import CLASSES, DATA, encode_png, image_attributes, read_split
from backend.demo.networks import Network, NetworkOutput, Recipe, ask_network, input_gradients
from backend.demo.networks import train_network as train
from backend.demo.writing import write_zip

SPARSITY = 0.9


@dataclass(frozen=True)
class FashionTraining:
    """One network of the demo: how it is made and which data it sees."""

    data: Path
    n_train: int
    subset_seed: int
    recipe: Recipe
    first: bool = False


@dataclass(frozen=True)
class Trained:
    """What is kept of one network: its answers on the test images.

    ``extras`` are further arrays of the bundle, from the first network only: the images it was
    trained on, with its answers, and the VoG of the test images over its epochs.
    """

    answers: NetworkOutput
    extras: dict[str, NDArray[Any]]


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] = DATA,
    n_train: int = 30_000,
    n_models: int = 7,
    epochs: int = 6,
    seed: int = 0,
    workers: int = 2,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the demo's networks and write the bundle to ``path``, replacing it at the end.

    The same arguments give the same bytes on the same machine with the same packages; another
    processor rounds differently, and training amplifies it (see ``assets/demo/README.md``).

    Parameters
    ----------
    path : path
        The ``.zip`` to write, in the folder form of a bundle.
    data : path
        Folder of the four ``.gz`` files; Debian's ``dataset-fashion-mnist`` puts them at the
        default.
    n_train : int
        Training images used, drawn without replacement; all networks see the same ones.
    n_models : int
        Networks per population, 1 or more.
    epochs : int
        Passes over the training images; pruned networks train for half as many again.
    seed : int
        Decides the training images, the first weights and the order of batches.
    workers : int
        Processes that train at once, one thread each. 1 trains in this process.
    progress : Progress
        Called during training; raising ``JobCancelled`` there stops the work and leaves an
        existing file as it was.

    Returns
    -------
    dict
        ``n``, ``accuracy``, ``mean_loss``, ``baseline_accuracy`` and ``pruned_accuracy`` (means
        over the population), ``size_bytes``.

    Raises
    ------
    InputError
        If the images are missing, or a count is below 1.
    """
    counts = {"n_train": n_train, "n_models": n_models, "epochs": epochs, "workers": workers}
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} must be 1 or more: got {value}.")
    data = Path(data)
    images, labels = read_split(data, "t10k")
    available = len(read_split(data, "train")[1])
    if n_train > available:
        raise InputError(
            f"n_train must be at most the {available} images in {data}: got {n_train}."
        )

    recipes = [Recipe(seed * 1000 + model, epochs) for model in range(n_models)]
    recipes += [
        Recipe(seed * 1000 + 500 + model, epochs, SPARSITY, max(1, epochs // 2))
        for model in range(n_models)
    ]
    members = [
        FashionTraining(data, n_train, seed, recipe, first=index == 0)
        for index, recipe in enumerate(recipes)
    ]
    with train_all(members, workers, progress) as results:
        trained = list(results)

    predictions = np.stack([one.answers.logits.argmax(1) for one in trained]).astype(np.int8)
    baseline, pruned = predictions[:n_models], predictions[n_models:]
    log_p = _log_probabilities(trained[0].answers)
    losses = -log_p[np.arange(len(labels)), labels]
    arrays = {
        "embeddings": trained[0].answers.embeddings,
        "losses": losses,
        "probabilities": np.exp(log_p).astype(np.float32),
        "labels": labels.astype(np.int8),
        "predictions": baseline[0],
        "classes": np.array(CLASSES),
        "populations/baseline": baseline,
        "populations/pruned-90": pruned,
    }
    examples = pd.DataFrame(
        {"id": [f"test-{row:05d}" for row in range(len(labels))]}
        | image_attributes(images)
        | {"image": [encode_png(image) for image in images]}
    )
    write_zip(Path(path), arrays | trained[0].extras, {"examples": examples})
    progress(1.0, "Demo written.")
    return {
        "n": len(labels),
        "accuracy": float((baseline[0] == labels).mean()),
        "mean_loss": float(losses.mean()),
        "baseline_accuracy": float((baseline == labels).mean()),
        "pruned_accuracy": float((pruned == labels).mean()),
        "size_bytes": Path(path).stat().st_size,
    }


@contextmanager
def train_all(
    members: list[FashionTraining], workers: int, progress: Progress
) -> Iterator[Iterator[Trained]]:
    """The networks of ``members`` in order, as they become ready; leaving early ends the work."""
    total = sum(member.recipe.passes for member in members)

    def report(done: float, index: int) -> None:
        progress(0.98 * done / total, f"Training network {index + 1} of {len(members)}.")

    def here() -> Iterator[Trained]:
        done = 0
        for index, member in enumerate(members):
            passes = member.recipe.passes
            start = done
            yield train_member(
                member, lambda share, a=start, b=passes, i=index: report(a + share * b, i)
            )
            done += passes

    def elsewhere(pool: Any) -> Iterator[Trained]:
        done = 0
        waiting = pool.imap(train_member, members)
        for index, member in enumerate(members):
            while True:
                report(done, index)
                try:
                    result = waiting.next(timeout=0.4)
                except multiprocessing.TimeoutError:
                    continue
                break
            done += member.recipe.passes
            yield result

    if workers == 1:
        yield here()
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:  # terminated on leaving
        yield elsewhere(pool)


def train_member(member: FashionTraining, after_batch: Any = lambda share: None) -> Trained:
    """Train one network and ask it the test images. Runs in this process or in a worker."""
    images, labels = read_split(member.data, "train")
    rows = np.random.default_rng(member.subset_seed).permutation(len(labels))[: member.n_train]
    test, test_labels = (_tensor(part) for part in read_split(member.data, "t10k"))
    gradients: list[NDArray[np.float32]] = []

    def keep(network: Network) -> None:
        if member.first:
            gradients.append(input_gradients(network, test, test_labels))

    own, own_labels = _tensor(images[rows]), _tensor(labels[rows])
    network = train(own, own_labels, member.recipe, after_batch=after_batch, after_epoch=keep)
    extras: dict[str, NDArray[Any]] = {}
    if member.first:
        log_p = _log_probabilities(train_answers := ask_network(network, own))
        truth = labels[rows]
        extras = {
            "train/embeddings": train_answers.embeddings.astype(np.float16),
            "train/labels": truth.astype(np.int8),
            "train/predictions": log_p.argmax(1).astype(np.int8),
            "train/losses": -log_p[np.arange(len(truth)), truth].astype(np.float32),
        }
    if len(gradients) > 1:
        # VoG (arXiv:2008.11600, as released): per pixel the standard deviation over checkpoints,
        # then the mean over pixels.
        extras["vog"] = np.std(gradients, axis=0, dtype=np.float64).mean((1, 2))
    return Trained(ask_network(network, test), extras)


def _log_probabilities(answers: NetworkOutput) -> NDArray[np.float64]:
    return torch.log_softmax(torch.from_numpy(answers.logits).double(), 1).numpy()


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    """Images as float32 (n, 1, h, w) in [0, 1]; labels as they are."""
    if values.ndim == 1:
        return torch.from_numpy(values)
    return torch.from_numpy(values[:, None].astype(np.float32) / 255)
