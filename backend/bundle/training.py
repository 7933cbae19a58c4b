"""The training part of a bundle: what is known of each training example, and its picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from backend.bundle.bundle import Bundle
from backend.bundle.limits import MAX_PIXELS, THUMBNAIL_PIXELS
from backend.bundle.losses import codes_of, softmax
from backend.bundle.names import canonical_column
from backend.core.content import TRAINING
from backend.core.errors import InputError

ARRAYS = ("embeddings", "losses", "labels", "predictions", "probabilities", "logits", "targets", "classes")  # fmt: skip
"""Fields of the training part that are no column of its examples."""


@dataclass(frozen=True, eq=False)
class Training:
    """Training examples as the ``train`` part of a bundle gives them.

    Attributes
    ----------
    digest : str
        What the log keeps their tags under: the bundle's digest, and that it is about its training set.
    n : int
        How many there are.
    fields : dict of {name: array}
        As ``Bundle.train``.
    class_names : tuple of str, or None
        Of the bundle.
    content, name : str
        Of the bundle: the digest of what it holds, and what it is called.
    """

    digest: str
    n: int
    fields: Mapping[str, NDArray[Any]]
    class_names: tuple[str, ...] | None
    content: str
    name: str

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns that describe an example, (n,): all but fields of the model, ids, texts, pictures."""
        return {
            name: values
            for name, values in self.fields.items()
            if values.ndim == 1 and name not in ARRAYS and canonical_column(name) is None
        }

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Ids as given, else ``train-`` and the row."""
        given = self._column("id")
        if given is not None and len(np.unique(given)) == self.n:
            return np.asarray(given.astype(np.str_))
        return np.asarray([f"train-{row}" for row in range(self.n)], np.str_)

    def places(self, ids: Any) -> NDArray[np.int64]:
        """Row of each of these ids (k,); -1 for one that no training example has."""
        wanted = pd.Index(np.asarray(ids, dtype=str))
        return np.asarray(self._index.get_indexer(wanted), dtype=np.int64)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids)

    @cached_property
    def losses(self) -> NDArray[np.float64] | None:
        """Losses (n,) of the model on what it was trained on, as given; None without."""
        values = self.fields.get("losses")
        return None if values is None or values.ndim != 1 else np.asarray(values, np.float64)

    def least_fitted(self, most: int) -> NDArray[np.int64]:
        """Rows of the highest losses, at most so many, the highest first, ties by row; (0,) without losses."""
        if self.losses is None:
            return np.zeros(0, np.int64)
        return np.argsort(-self.losses, kind="stable")[:most].astype(np.int64)

    @cached_property
    def texts(self) -> NDArray[np.str_] | None:
        """Texts (n,), where there are any."""
        return self._column("text")

    @cached_property
    def label_codes(self) -> NDArray[np.int64] | None:
        """Position of each label in ``class_names``; None where labels are missing.

        Raises
        ------
        InputError
            If a training label is no class of the bundle.
        """
        return self._codes("labels")

    @cached_property
    def prediction_codes(self) -> NDArray[np.int64] | None:
        """Position of each prediction in ``class_names``; None where they are missing."""
        return self._codes("predictions")

    @property
    def has_pictures(self) -> bool:
        return self._pixels is not None

    def probabilities(self) -> NDArray[Any] | None:
        """Probabilities (n, C), of logits where those were given; None without either."""
        if "probabilities" in self.fields:
            return self.fields["probabilities"]
        return softmax(self.fields["logits"]) if "logits" in self.fields else None

    def thumbnail(self, row: int) -> bytes | None:
        """The picture of an example at no more than 112 pixels a side, as PNG; None without one."""
        if self._pixels is None:
            return None
        pixels = self._pixels[row]
        if pixels.ndim == 3 and pixels.shape[2] == 4 and not pixels[:, :, 3].any():
            return None  # nothing to see: there was no file
        if pixels.dtype.kind == "f":
            pixels = np.clip(pixels, 0, 1) * 255
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        image = Image.fromarray(pixels.astype(np.uint8))
        image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        held = io.BytesIO()
        image.save(held, "PNG")
        return held.getvalue()

    @cached_property
    def _pixels(self) -> NDArray[Any] | None:
        """Pictures (n, h, w) or (n, h, w, 1, 3 or 4): 0 to 255, or fractions; None if they are none."""
        values = self._column("image", ndim=(3, 4))
        if values is None or values.dtype.kind not in "uif":
            return None
        if values.ndim == 4 and values.shape[3] not in (1, 3, 4):
            return None
        return values if values.shape[1] * values.shape[2] <= MAX_PIXELS else None

    def _column(self, meaning: str, ndim: tuple[int, ...] = (1,)) -> NDArray[Any] | None:
        found = [
            values
            for name, values in self.fields.items()
            if canonical_column(name) == meaning and values.ndim in ndim
        ]
        return found[0] if found else None

    def _codes(self, field: str) -> NDArray[np.int64] | None:
        values = self.fields.get(field)
        if values is None or self.class_names is None or values.dtype.kind not in "iuU":
            return None
        codes, stranger = codes_of(values, self.class_names)
        if stranger is not None:
            raise InputError(
                f"train/{field} must be classes of the bundle: row {stranger} is "
                f"{values[stranger].item()!r}. Give classes, which name all of them."
            )
        return codes


def training_of(bundle: Bundle) -> Training | None:
    """The training examples of a bundle; None where it says nothing of any.

    Their number is that of the training part, else of the attribution or its features.
    """
    lengths = [len(values) for name, values in bundle.train.items() if name != "classes"]
    for name, axis in (("attribution", 0), ("train_features", 1), ("train_residuals", 1)):
        if name in bundle.extras:
            lengths.append(bundle.extras[name].shape[axis])
    if not lengths:
        return None
    return Training(
        f"{bundle.digest}{TRAINING}",
        lengths[0],
        bundle.train,
        bundle.class_names,
        bundle.content,
        bundle.name,
    )
