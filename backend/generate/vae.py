"""A small variational autoencoder of pictures and their embeddings, trained here in a minute or two.

Pictures and embeddings have one latent space: what is decoded from it is a picture with the embedding
that the examined model would have for it, as far as the network can tell. Where there are no pictures
the embeddings alone are encoded and decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from backend.core.arrays import check_matrix
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress

LATENT = 24
"""Numbers that an example is encoded in; no more than an embedding has."""
STEPS = 600
BATCH = 96
FEWEST = 20
"""Examples below which there is nothing to learn."""
CHECKED = 0.1
"""Share of the examples that do not train and say how well the network does."""
MOST_CHECKED = 500
_CHANNELS = (24, 48, 48, 48)
_PIXEL_NOISE = 0.1
"""Variance of a pixel around what is decoded, of values in [0, 1]."""

Floats = NDArray[Any]


@dataclass(frozen=True)
class TrainedVae:
    """A trained network and how well it does on examples that it was not trained on.

    Attributes
    ----------
    size : int
        Side of the pictures it makes, in pixels; 0 without pictures.
    d : int
        Dimensions of the embeddings.
    n : int
        Examples that trained it.
    picture_fit, embedding_fit : float
        Share of the variance of held-out pictures and embeddings that encoding and decoding keeps, at
        most 1; NaN where there are none.
    """

    network: _Network = field(repr=False)
    center: Floats = field(repr=False)
    spread: Floats = field(repr=False)
    size: int
    d: int
    n: int
    picture_fit: float
    embedding_fit: float

    @torch.inference_mode()
    def encode(self, pixels: Any, embeddings: Any, labels: Any) -> NDArray[np.float32]:
        """Where examples lie: means of shape (n, latent).

        Parameters
        ----------
        pixels : uint8 array-like of shape (n, size, size, 3)
            Not looked at where the network knows no pictures.
        embeddings : array-like of shape (n, d)
            Looked at only then.
        labels : int array-like of shape (n,)
        """
        codes = torch.as_tensor(np.asarray(labels, np.int64))
        with _one_thread():
            parts = []
            for start in range(0, len(codes), 256):
                rows = slice(start, start + 256)
                seen = (
                    _pixels(np.asarray(pixels)[rows])
                    if self.size
                    else torch.from_numpy(self._scaled(np.asarray(embeddings)[rows]))
                )
                parts.append(self.network.encode(seen, codes[rows])[0])
        return np.asarray(torch.cat(parts).numpy(), np.float32)

    @torch.inference_mode()
    def decode(
        self, latent: Any, labels: Any
    ) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32]]:
        """What lies there: pictures (n, size, size, 3), None without any, and embeddings (n, d)."""
        z = torch.as_tensor(np.asarray(latent, np.float32))
        codes = torch.as_tensor(np.asarray(labels, np.int64))
        seen, told = [], []
        with _one_thread():
            for start in range(0, len(codes), 256):
                rows = slice(start, start + 256)
                logits, scaled = self.network.decode(z[rows], codes[rows])
                told.append(scaled.numpy())
                if logits is not None:
                    shown = (255 * torch.sigmoid(logits)).round().to(torch.uint8)
                    seen.append(shown.permute(0, 2, 3, 1).numpy())
        embeddings = np.concatenate(told) * self.spread + self.center
        return np.concatenate(seen) if seen else None, np.asarray(embeddings, np.float32)

    def _scaled(self, embeddings: Any) -> NDArray[np.float32]:
        return np.asarray((embeddings - self.center) / self.spread, np.float32)


def train_vae(
    pixels: Any,
    embeddings: Any,
    labels: Any,
    *,
    n_classes: int | None = None,
    latent: int = LATENT,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> TrainedVae:
    """Train a class-conditional variational autoencoder.

    Parameters
    ----------
    pixels : uint8 array-like of shape (n, s, s, 3), or None
        Pictures, s of 32 or 64.
    embeddings : array-like of shape (n, d)
        Of the layer that a head stands on.
    labels : int array-like of shape (n,)
        Classes, from 0.
    n_classes : int, optional
        The largest label and one by default.
    latent : int
        Numbers that an example is encoded in, from 1; at most d without pictures.
    steps : int
        Of Adam, on ``BATCH`` examples each, from 1.
    seed : int
        Of weights, order and noise. On one thread, so the same seed gives the same network wherever
        PyTorch is the same.
    progress : Progress
        May raise to stop.

    Returns
    -------
    TrainedVae

    Raises
    ------
    InputError
        If there are fewer than 20 examples, lengths differ or pictures have another shape.

    Notes
    -----
    The encoder sees the picture and the label, the decoder gives a picture and an embedding. Minimised is
    the Gaussian loss of both, the embedding as a whole weighing as much as the picture, plus the
    divergence from a normal distribution.

    References
    ----------
    Kingma, Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114; Sohn, Lee, Yan, Learning
    Structured Output Representation using Deep Conditional Generative Models, 2015.
    """
    x = check_matrix("embeddings", embeddings)
    y = np.asarray(labels, np.int64)
    if len(x) < FEWEST:
        raise InputError(
            f"to learn what examples look like needs {FEWEST} of them or more: got {len(x)}."
        )
    shown = None if pixels is None else np.asarray(pixels)
    if shown is not None and (
        shown.shape[:1] != x.shape[:1]
        or shown.shape[1:] not in ((32, 32, 3), (64, 64, 3))
        or shown.dtype != np.uint8
    ):
        raise InputError(
            f"pixels must be uint8 of shape ({len(x)}, 32 or 64, the same, 3): got {shown.dtype} of "
            f"shape {shown.shape}."
        )
    if y.shape != (len(x),) or int(y.min()) < 0:
        raise InputError(f"labels must be classes from 0, one per embedding: got shape {y.shape}.")
    if latent < 1 or steps < 1:
        raise InputError(f"latent and steps must be 1 or more: got {latent} and {steps}.")
    classes = int(y.max()) + 1 if n_classes is None else n_classes
    if classes <= int(y.max()):
        raise InputError(f"labels must be below n_classes = {classes}: got {y.max()}.")
    if shown is None:
        latent = min(latent, x.shape[1])
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    held = order[: min(MOST_CHECKED, int(CHECKED * len(x)))]
    trains = order[len(held) :]
    center = x[trains].mean(axis=0, dtype=np.float64)
    spread = x[trains].std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6 * max(spread.max(), 1e-30), spread, 1.0)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = 0 if shown is None else shown.shape[1]
        network = _Network(size, x.shape[1], classes, latent)
        scaled = np.asarray((x - center) / spread, np.float32)
        _fit(network, shown, scaled, y, trains, rng, steps, progress)
        made = TrainedVae(
            network, center, spread, size, x.shape[1], len(trains), float("nan"), float("nan")
        )
        fits = _fits(made, shown, x, y, held, trains)
    return TrainedVae(network, center, spread, size, x.shape[1], len(trains), *fits)


class _Network(nn.Module):
    """Encoder of pictures (of embeddings where there are none), decoder of both."""

    def __init__(self, size: int, d: int, classes: int, latent: int) -> None:
        super().__init__()
        self.classes, self.latent = classes, latent
        self.depth = {0: 0, 32: 3, 64: 4}[size]
        width = 256
        layers: list[nn.Module] = []
        before = 3
        for channels in _CHANNELS[: self.depth]:
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.ReLU()]
            before = channels
        self.see = nn.Sequential(*layers, nn.Flatten())
        flat = 16 * before if size else d
        self.inner = nn.Sequential(
            nn.Linear(flat + classes, width), nn.ReLU(), nn.Linear(width, 2 * latent)
        )
        self.tell = nn.Sequential(
            nn.Linear(latent + classes, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, d),
        )  # fmt: skip
        self.outer: nn.Sequential | None = None
        if size:
            shapes = [*_CHANNELS[: self.depth][::-1], 3]
            drawn: list[nn.Module] = [
                nn.Linear(latent + classes, width), nn.ReLU(),
                nn.Linear(width, 16 * before), nn.ReLU(), nn.Unflatten(1, (before, 4, 4)),
            ]  # fmt: skip
            for at, (one, after) in enumerate(pairwise(shapes)):
                drawn.append(nn.ConvTranspose2d(one, after, 4, 2, 1))
                if at < len(shapes) - 2:
                    drawn.append(nn.ReLU())
            self.outer = nn.Sequential(*drawn)

    def encode(self, seen: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = self.see(seen)
        mean, width = self.inner(torch.cat([flat, self._named(labels)], 1)).chunk(2, 1)
        return mean, width.clamp(-8, 8)

    def decode(
        self, z: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        told = torch.cat([z, self._named(labels)], 1)
        return None if self.outer is None else self.outer(told), self.tell(told)

    def _named(self, labels: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(labels, self.classes).float()


def _fit(
    network: _Network,
    shown: NDArray[np.uint8] | None,
    scaled: NDArray[np.float32],
    y: NDArray[np.int64],
    trains: NDArray[np.int64],
    rng: np.random.Generator,
    steps: int,
    progress: Progress,
) -> None:
    """Adam on batches drawn anew; the two losses weigh alike at the start."""
    adam = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=max(steps, 2))
    weight = 1.0
    if shown is not None:
        sample = shown[trains[:500]].astype(np.float32) / 255
        weight = float(sample.var(axis=0).sum()) / _PIXEL_NOISE / scaled.shape[1]
    for step in range(steps):
        rows = rng.choice(trains, min(BATCH, len(trains)), replace=len(trains) < BATCH)
        codes, told = torch.from_numpy(y[rows]), torch.from_numpy(scaled[rows])
        seen = told if shown is None else _pixels(shown[rows])
        mean, width = network.encode(seen, codes)
        noise = torch.randn(mean.shape)
        logits, guessed = network.decode(mean + noise * torch.exp(width / 2), codes)
        loss = weight * functional.mse_loss(guessed, told, reduction="sum") / 2
        if logits is None:
            loss = loss / _PIXEL_NOISE
        else:
            off = functional.mse_loss(torch.sigmoid(logits), seen, reduction="sum")
            loss = loss + off / (2 * _PIXEL_NOISE)
        loss = loss + (width.exp() + mean.square() - 1 - width).sum() / 2
        adam.zero_grad()
        (loss / len(rows)).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 50.0)
        adam.step()
        schedule.step()
        if step % 5 == 0:
            progress(step / steps, f"learning what examples look like, step {step:,} of {steps:,}")
    network.eval()


def _fits(
    made: TrainedVae,
    shown: NDArray[np.uint8] | None,
    x: Floats,
    y: NDArray[np.int64],
    held: NDArray[np.int64],
    trains: NDArray[np.int64],
) -> tuple[float, float]:
    """Share of the variance of held-out examples that the network keeps."""
    if not len(held):
        return float("nan"), float("nan")
    seen = None if shown is None else shown[held]
    pictures, told = made.decode(made.encode(seen, x[held], y[held]), y[held])
    whole = np.square((x[held] - made.center) / made.spread).sum()
    left = np.square((x[held] - told) / made.spread).sum()
    fit = 1 - float(left / whole) if whole else float("nan")
    if pictures is None or shown is None:
        return float("nan"), fit
    mean = shown[trains].mean(axis=0, dtype=np.float64)
    own = shown[held].astype(np.float64)
    off, spread = np.square(own - pictures).sum(), np.square(own - mean).sum()
    return (1 - float(off / spread) if spread else float("nan")), fit


def _pixels(shown: Any) -> torch.Tensor:
    """Pictures as the network reads them: (n, 3, s, s) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(shown)).permute(0, 3, 1, 2).float() / 255


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within, PyTorch adds up in one order: the same numbers on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def picture_size(sides: Sequence[int]) -> int:
    """Side that the network works at for pictures of these sides: 32 pixels for small ones, else 64."""
    return 32 if len(sides) and float(np.median(sides)) <= 40 else 64
