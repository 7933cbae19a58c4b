"""Small bundles made for the tests: planted truths and awkward shapes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image


def planted(n: int = 400, d: int = 8, *, seed: int = 0, share: float = 0.1) -> dict[str, Any]:
    """Fields of a bundle in which one compact cluster has a far higher loss than the rest."""
    rng = np.random.default_rng(seed)
    size = int(share * n)
    embeddings = rng.normal(size=(n, d)).astype(np.float32)
    embeddings[:size] = 4 + 0.3 * rng.normal(size=(size, d))
    losses = rng.gamma(2.0, 0.1, n)
    losses[:size] += 2.0
    labels = rng.integers(0, 3, n)
    labels[:size] = 1
    predictions = labels.copy()
    wrong = np.r_[0:size:2, rng.choice(np.arange(size, n), n // 20, replace=False)]
    predictions[wrong] = (labels[wrong] + 1) % 3
    order = rng.permutation(n)
    return {
        "embeddings": embeddings[order],
        "losses": losses[order],
        "labels": labels[order],
        "predictions": predictions[order],
        "classes": np.array(["cat", "dog", "cow"]),
        "planted": (np.arange(n) < size)[order],
    }


def npz(**fields: Any) -> bytes:
    """These arrays as the bytes of an ``.npz``."""
    buffer = io.BytesIO()
    np.savez(buffer, **fields)
    return buffer.getvalue()


def picture(seed: int = 0, size: int = 16) -> bytes:
    """A small PNG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
