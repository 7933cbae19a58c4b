"""Make the demo of wrong labels: clothes of which a fifth are called something else.

Fashion-MNIST, its training images, with a known share of labels replaced by another class. The
bundle is about the very images that were trained on: how sure training was of the label each was
given, epoch by epoch, with and without augmentation of the least confident (D'souza et al. 2021),
and how much the gradient of that label kept changing (VoG, Agarwal et al. 2022).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress, share_of
from backend.demo.compact import BATCH, RATE, Embedder, ask, image_network
from backend.demo.domains.packages import clothes_folder
from backend.demo.images import CLASSES, encode_png, image_attributes, read_split
from backend.demo.networks import EVALUATION_BATCH, NetworkOutput, one_thread
from backend.demo.populations import judged
from backend.demo.writing import write_zip

FLIPPED, GIVEN = "flipped", "as it was"
TARGETED = 0.2
"""Share of the images, the least confident, that the variant ``targeted`` augments."""
WARM = 4
"""Epochs in which the variant ``targeted`` augments every image, before it knows which."""
EVERY = 2
"""Epochs from one checkpoint, whose gradients are kept, to the next."""
PADDING = 4


@dataclass(frozen=True)
class FollowedTraining:
    """The network in the end, and what was written down of each image while it was trained."""

    network: Embedder
    msp: NDArray[np.float32]
    gradients: NDArray[np.float16]


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    n_train: int = 6000,
    share: float = 0.2,
    epochs: int = 12,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train twice on labels of which a share is wrong, and write the bundle of those images.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        Folder of the four ``.gz`` files of Fashion-MNIST; without it, that of Debian's package,
        downloaded where it is not installed.
    n_train : int
        Images used, drawn without replacement.
    share : float
        Of them, those whose label is replaced by one of the nine others; in (0, 1).
    epochs : int
        Passes over the images, 4 or more; every second one is a checkpoint.
    seed : int
        Decides images, flips, first weights, the order of batches and augmentations.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_flipped``; ``accuracy`` against the labels it was given, and ``true_accuracy``
        against those of the data set; ``test_accuracy`` on the 10,000 test images; ``size_bytes``.

    Raises
    ------
    InputError
        If the images are missing, or an option is out of range.
    """
    source = Path(data) if data is not None else clothes_folder(progress)
    images, labels = read_split(source, "train")
    if not 10 <= n_train <= len(labels):
        raise InputError(f"n_train must be 10 to {len(labels)}: got {n_train}.")
    if epochs < 2 * EVERY:
        raise InputError(f"epochs must be {2 * EVERY} or more: got {epochs}.")
    if not 0 < share < 1:
        raise InputError(f"share must lie between 0 and 1: got {share}.")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(labels))[:n_train])
    images, true = images[rows], labels[rows]
    flipped = np.zeros(n_train, bool)
    flipped[rng.permutation(n_train)[: round(share * n_train)]] = True
    given = np.where(flipped, (true + rng.integers(1, len(CLASSES), n_train)) % len(CLASSES), true)

    inputs, answers = _tensor(images), torch.from_numpy(given)
    halves = (share_of(progress, 0.0, 0.45), share_of(progress, 0.45, 0.9))
    plain = follow(inputs, answers, epochs, seed, halves[0], targeted=False)
    target = follow(inputs, answers, epochs, seed, halves[1], targeted=True)
    said = ask(plain.network, inputs)
    predictions = said.logits.argmax(1).astype(np.int8)
    test, test_labels = read_split(source, "t10k")
    tested: NetworkOutput = ask(plain.network, _tensor(test))
    arrays = {
        "embeddings": said.embeddings,
        **judged(said.logits, given, predictions, CLASSES, np.float32),
        "msp/none": plain.msp,
        "msp/targeted": target.msp,
        "gradients": plain.gradients,
    }
    examples = pd.DataFrame(
        {
            "id": [f"train-{row:05d}" for row in rows],
            "given label": np.where(flipped, FLIPPED, GIVEN),
            "true class": np.array(CLASSES)[true],
        }
        | image_attributes(images)
        | {"image": [encode_png(image) for image in images]}
    )
    write_zip(Path(path), arrays, {"examples": examples})
    progress(1.0, "Demo written.")
    return {
        "n": n_train,
        "n_flipped": int(flipped.sum()),
        "accuracy": float((predictions == given).mean()),
        "true_accuracy": float((predictions == true).mean()),
        "test_accuracy": float((tested.logits.argmax(1) == test_labels).mean()),
        "size_bytes": Path(path).stat().st_size,
    }


def follow(
    inputs: Tensor,
    labels: Tensor,
    epochs: int,
    seed: int,
    progress: Progress,
    *,
    targeted: bool,
) -> FollowedTraining:
    """Train, and write down each image's confidence in its label and its gradient, by epoch.

    The confidence is taken in the training pass, on the image as it was trained on, before the
    update (D'souza et al. 2021). With ``targeted`` every image is augmented through the first
    epochs, then the least confident of the epoch before; augmentation is a shift and a mirror.

    Parameters
    ----------
    inputs : Tensor of shape (n, 1, h, w)
    labels : Tensor of shape (n,)
    """
    n = len(inputs)
    msp = np.zeros((n, epochs), np.float32)
    gradients = []
    with one_thread(seed):
        network = image_network()
        batches = epochs * -(-n // BATCH)
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, batches)
        augmented = torch.full((n,), targeted)
        for epoch in range(epochs):
            network.train()
            for rows in torch.randperm(n).split(BATCH):
                batch = inputs[rows]
                if targeted:
                    batch = torch.where(augmented[rows, None, None, None], shifted(batch), batch)
                logits = network(batch)
                own = torch.softmax(logits.detach(), 1).gather(1, labels[rows, None])[:, 0]
                msp[rows.numpy(), epoch] = own.clamp(0, 1).numpy()
                optimizer.zero_grad()
                functional.cross_entropy(logits, labels[rows]).backward()
                optimizer.step()
                schedule.step()
            if targeted and epoch >= WARM:
                least = np.argsort(msp[:, epoch], kind="stable")[: int(TARGETED * n)]
                augmented = torch.zeros(n, dtype=torch.bool)
                augmented[torch.from_numpy(least)] = True
            if (epoch + 1) % EVERY == 0:
                gradients.append(label_gradients(network.eval(), inputs, labels))
            progress((epoch + 1) / epochs, "Following the confidence over training.")
    return FollowedTraining(network.eval(), msp, np.stack(gradients))


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to four pixels to each side, every second one mirrored."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (PADDING,) * 4)
    down, right = torch.randint(0, 2 * PADDING + 1, (2, n, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    mirrored = torch.rand(n, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]


def label_gradients(network: Embedder, images: Tensor, labels: Tensor) -> NDArray[np.float16]:
    """Gradient of the given label's logit by the pixels, as the mean of each four: (n, h/2, w/2)."""
    found = []
    for batch, own in zip(
        images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True
    ):
        batch = batch.clone().requires_grad_()
        chosen = network(batch).gather(1, own[:, None]).sum()
        gradient = torch.autograd.grad(chosen, batch)[0]
        found.append(functional.avg_pool2d(gradient, 2)[:, 0].half().numpy())
    return np.concatenate(found)


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images[:, None].astype(np.float32) / 255)
