"""The test images as a camera might have spoiled them: the stress tests of the compression demo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

IID = "iid"
DEGREES = 15.0
SQUARE = 8  # side of the hidden square, in pixels
NOISE = 0.15


def blur(images: Tensor) -> Tensor:
    """Gaussian of one pixel's standard deviation, cut at three; the outside counts as black."""
    reach = torch.arange(-3, 4, dtype=images.dtype)
    row = torch.exp(-(reach**2) / 2)
    row = row / row.sum()
    across = functional.conv2d(images, row[None, None, None], padding=(0, 3))
    return functional.conv2d(across, row[None, None, :, None], padding=(3, 0))


def contrast(images: Tensor) -> Tensor:
    """Half the distance to each image's own mean."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + 0.5 * (images - mean)


def rotation(images: Tensor) -> Tensor:
    """Turned by 15 degrees about the middle, bilinear, black outside."""
    angle = np.deg2rad(DEGREES)
    turn = torch.tensor(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], dtype=images.dtype
    )
    grid = functional.affine_grid(
        turn.expand(len(images), 2, 3), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, align_corners=False)


def occlusion(images: Tensor) -> Tensor:
    """A black square of 8 pixels somewhere in the middle half, drawn once per image."""
    random = np.random.default_rng(1)
    side = images.shape[-1]
    low = (side - SQUARE) // 4
    corners = random.integers(low, side - SQUARE - low + 1, (len(images), 2))
    place = torch.arange(side)
    top, left = torch.from_numpy(corners).T
    rows = (place >= top[:, None]) & (place < top[:, None] + SQUARE)
    columns = (place >= left[:, None]) & (place < left[:, None] + SQUARE)
    hidden = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hidden, 0.0)


def noise(images: Tensor) -> Tensor:
    """Gaussian noise of standard deviation 0.15 on every pixel, drawn once, cut to [0, 1]."""
    random = np.random.default_rng(2)
    drawn = random.normal(0, NOISE, images.shape).astype(np.float32)
    return (images + torch.from_numpy(drawn)).clamp(0, 1)


def unchanged(images: Tensor) -> Tensor:
    """The images as they are."""
    return images


SHIFTS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        IID: unchanged,
        "blur": blur,
        "contrast": contrast,
        "rotation": rotation,
        "occlusion": occlusion,
        "noise": noise,
    }
)
"""Tests by name, ``iid`` first: functions of images (n, 1, 28, 28) in [0, 1]. Random ones have a
seed of their own, so every network sees the same spoiled images."""
