"""The small network: what it keeps of examples, what it makes, that a seed says everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.generate.vae import picture_size, train_vae


def shapes(n: int = 240, seed: int = 0) -> tuple[Any, Any, Any]:
    """Bright squares left or right, with an embedding that says where and how bright."""
    rng = np.random.default_rng(seed)
    right, light = rng.integers(0, 2, n), rng.uniform(0.3, 1.0, n)
    pixels = np.zeros((n, 32, 32, 3), np.uint8)
    for row in range(n):
        start = 16 * right[row]
        pixels[row, 8:24, start : start + 16] = round(255 * light[row])
    embeddings = np.stack([light, 3 * right - 1.0, light - right, np.full(n, 7.0)], 1)
    return pixels, embeddings.astype(np.float32), right


def test_pictures_and_their_embeddings_are_decoded_together() -> None:
    pixels, x, y = shapes()
    made = train_vae(pixels, x, y, steps=250, seed=3)
    assert made.size == 32 and made.n == 216 and made.picture_fit > 0.8 and made.embedding_fit > 0.8
    latent = made.encode(pixels, x, y)
    shown, told = made.decode(latent, y)
    assert shown is not None and shown.shape == pixels.shape and shown.dtype == np.uint8
    # The picture is bright on the side of its label, as bright as its embedding says.
    side = np.where(
        y == 1, shown[:, 8:24, 16:].mean((1, 2, 3)), shown[:, 8:24, :16].mean((1, 2, 3))
    )
    other = np.where(y == 1, shown[:, :, :16].mean((1, 2, 3)), shown[:, :, 16:].mean((1, 2, 3)))
    assert (side > other + 30).all() and np.corrcoef(side, told[:, 0])[0, 1] > 0.9
    assert np.abs(told[:, 3] - 7).max() < 0.5  # what never varies stays what it is


@pytest.mark.parametrize("with_pictures", [True, False])
def test_a_seed_says_everything(with_pictures: bool) -> None:
    pixels, x, y = shapes(60)
    given = pixels if with_pictures else None
    found = []
    for seed in (1, 1, 2):
        made = train_vae(given, x, y, steps=12, seed=seed)
        found.append(made.decode(made.encode(given, x, y), y))
    assert (found[0][1] == found[1][1]).all() and (found[0][1] != found[2][1]).any()
    if with_pictures:
        assert (found[0][0] == found[1][0]).all()
    else:
        assert found[0][0] is None


def test_without_pictures_it_stands_on_embeddings() -> None:
    _, x, y = shapes()
    made = train_vae(None, x, y, steps=200)
    assert made.size == 0 and np.isnan(made.picture_fit) and made.embedding_fit > 0.8
    assert made.encode(None, x, y).shape == (240, 4)  # never more numbers than an embedding has


def test_it_stops_where_somebody_stops_it() -> None:
    _, x, y = shapes(60)

    def stop(share: float, message: str) -> None:
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_vae(None, x, y, steps=50, progress=stop)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"embeddings": np.zeros((5, 2)), "labels": np.zeros(5, int), "pixels": None},
            "20 of them",
        ),
        ({"pixels": np.zeros((60, 28, 28, 3), np.uint8)}, "32 or 64"),
        ({"pixels": np.zeros((59, 32, 32, 3), np.uint8)}, "must be uint8 of shape \\(60"),
        ({"labels": np.full(60, -1)}, "classes from 0"),
        ({"steps": 0}, "must be 1 or more"),
        ({"n_classes": 1}, "below n_classes = 1"),
    ],
)
def test_what_it_cannot_learn_from(changed: dict[str, Any], said: str) -> None:
    pixels, x, y = shapes(60)
    given = {"pixels": pixels, "embeddings": x, "labels": y, "steps": 2} | changed
    with pytest.raises(InputError, match=said):
        train_vae(**given)


def test_how_large_it_works() -> None:
    assert [picture_size(one) for one in ([28, 28], [40], [64, 64, 20], [900])] == [32, 32, 64, 64]
