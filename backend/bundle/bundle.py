"""What one evaluation produced, as the rest of the program sees it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle.losses import codes_of, softmax
from backend.bundle.media import Media, MediaError, prepared
from backend.bundle.names import (
    COLUMNS,
    RATED_BY,
    SHOWN_OF_TRAINING,
    SWITCHES,
    TOGETHER,
    USED,
    canonical_column,
)
from backend.core.blocks import rows_per_step
from backend.core.errors import BundleError, Fault, InputError
from backend.difficulty import label_margin


@dataclass(frozen=True, eq=False)
class Bundle:
    """One evaluation: n examples with embeddings, losses and whatever else was given.

    Made by ``read_bundle``, ``import_bundle`` and ``open_bundle``; everything in it was checked.

    Parameters
    ----------
    name : str
        What people call it; not part of the digest.
    digest : str
        What names it. Of a bundle that nobody in particular keeps the same as ``content``; where
        people sign in each has a bundle of their own of it, named by content and owner.
    content : str
        SHA-256 (hexadecimal) over bytes, dtypes, shapes and column names: what halves and seeds
        follow, and what is written into files that leave.
    path : Path or None
        The canonical folder, once imported.
    embeddings : float array of shape (n, d)
        In the precision they came in; memory-mapped once imported. Those of the chosen layer.
    losses : float64 array of shape (n,)
        Higher is worse.
    examples : DataFrame of n rows
        Column ``id`` (text, unique) first; perhaps ``text``, ``image``, ``split``; then attributes
        as int64, float64, bool or text, where a missing text is the empty string.
    labels, predictions : int64 or text array of shape (n,), or None
        As given. Predictions of a regression are float64.
    targets : float64 array of shape (n,), or None
    probabilities, logits : float array of shape (n, C), or None
    classes : tuple of str, or None
        Names of the C classes.
    populations : dict of {name: (m, n) array}
        Predicted labels of m models each.
    layers : dict of {name: (n, d_l) float array}
        Embeddings of the same examples from other layers; ``at_layer`` chooses one.
    layer : str
        The layer that ``embeddings`` are of; "" for the ones called so in the upload.
    main : float array of shape (n, d), or None
        Those, while another layer is chosen.
    msp : dict of {variant: (n, epochs) array}
        Probability of the given label at each epoch.
    train : dict of {field: array}
        The same fields for the training set.
    extras : dict of {name: array}
        ``gradients`` (t, n, ...), ``vog`` (n,), ``attribution`` (n_train, n) and the like.
    stress : DataFrame or None
        One row per model and test.
    written : dict of {name: (n,) text array}
        Cells as they came, of ``labels``, ``predictions`` and ``examples/<column>`` whose numbers
        read otherwise (1.10, True, whole numbers beside a missing one); ``cells`` gives them.
    notes : tuple of str
        Sentences on what was derived, assumed or left out.
    media : Media or None
        Where images come from; use ``image`` and ``thumbnail``.
    """

    name: str
    digest: str
    path: Path | None
    embeddings: NDArray[Any]
    losses: NDArray[np.float64]
    examples: pd.DataFrame
    labels: NDArray[Any] | None = None
    predictions: NDArray[Any] | None = None
    targets: NDArray[np.float64] | None = None
    probabilities: NDArray[Any] | None = None
    logits: NDArray[Any] | None = None
    classes: tuple[str, ...] | None = None
    populations: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    layer: str = ""
    main: NDArray[Any] | None = None
    msp: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    train: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    stress: pd.DataFrame | None = None
    written: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    media: Media | None = None
    thumbnails: Media | None = None
    content: str = ""

    def __post_init__(self) -> None:
        """A bundle that is nobody's in particular goes by its content."""
        object.__setattr__(self, "content", self.content or self.digest)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.embeddings)

    @property
    def d(self) -> int:
        """Dimensions of an embedding."""
        return int(self.embeddings.shape[1])

    def at_layer(self, name: str) -> Bundle:
        """This bundle with the embeddings of another layer; everything else is shared.

        Parameters
        ----------
        name : str
            One of ``layers``, or "" for the embeddings that the upload called so.

        Raises
        ------
        InputError
            If there is no such layer; names those there are.
        """
        if name == self.layer:
            return self
        main = self.embeddings if self.main is None else self.main
        if name and (not isinstance(name, str) or name not in self.layers):
            known = ", ".join(map(repr, self.layers)) or "none besides the embeddings"
            raise InputError(
                f"there is no layer {str(name)[:80]!r} in bundle '{self.name}'. "
                f"Its layers: {known}."
            )
        # A copy, not dataclasses.replace: ids and codes that were made once stay made.
        other = copy.copy(self)
        object.__setattr__(other, "embeddings", self.layers[name] if name else main)
        object.__setattr__(other, "layer", name)
        object.__setattr__(other, "main", main if name else None)
        return other

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Stable unique ids, shape (n,)."""
        return np.asarray(self.examples["id"].tolist(), dtype=np.str_)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.ids)

    def places(self, ids: Any) -> NDArray[np.int64]:
        """Row of each of these ids (k,); -1 for one that the bundle does not have."""
        wanted = pd.Index(np.asarray(ids, dtype=str))
        return np.asarray(self._index.get_indexer(wanted), dtype=np.int64)

    def rows_of(self, ids: Any) -> NDArray[np.int64]:
        """Rows of these ids, in their order; those that the bundle does not have are left out."""
        places = self.places(ids)
        return places[places >= 0]

    def cells(self, name: str, rows: Any) -> list[str]:
        """Cells of a column of ``examples`` in these rows, as they came; a missing one is empty."""
        if (text := self.written.get(f"examples/{name}")) is not None:
            return [str(cell) for cell in text[rows]]
        column = self.examples[name].iloc[rows]
        return ["" if cell != cell else str(cell) for cell in column.tolist()]

    @property
    def attributes(self) -> list[str]:
        """Columns of ``examples`` that describe an example, in file order."""
        return [name for name in self.examples.columns if name not in ("id", "text", "image")]

    @property
    def has_text(self) -> bool:
        return "text" in self.examples.columns

    @property
    def has_images(self) -> bool:
        return self.media is not None

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:
        """Names that codes refer to: ``classes``, else column numbers, else the labels that occur.

        Labels that occur are sorted, whole numbers by value. None without labels and predictions,
        and for the float predictions of a regression.
        """
        if self.classes is not None:
            return self.classes
        scores = self.probabilities if self.probabilities is not None else self.logits
        if scores is not None:
            return tuple(str(code) for code in range(scores.shape[1]))
        given = [
            values
            for values in (self.labels, self.predictions)
            if values is not None and values.dtype.kind in "iU"
        ]
        if not given:
            return None
        return tuple(str(value) for value in np.unique(np.concatenate(given)).tolist())

    @cached_property
    def label_codes(self) -> NDArray[np.int64] | None:
        """Position of each label in ``class_names``, shape (n,)."""
        return self._codes(self.labels)

    @cached_property
    def prediction_codes(self) -> NDArray[np.int64] | None:
        """Position of each prediction in ``class_names``, shape (n,)."""
        return self._codes(self.predictions)

    @cached_property
    def label_names(self) -> NDArray[np.object_] | None:
        """Name of each label, text of shape (n,); None where there are no codes. Not writeable."""
        return self._names(self.label_codes)

    @cached_property
    def prediction_names(self) -> NDArray[np.object_] | None:
        """Name of each prediction, text of shape (n,); None where there are no codes. Not writeable."""
        return self._names(self.prediction_codes)

    def _names(self, codes: NDArray[np.int64] | None) -> NDArray[np.object_] | None:
        if codes is None or self.class_names is None:
            return None
        names = np.asarray(self.class_names, dtype=object)[codes]
        names.flags.writeable = False  # made once and shared by all who ask
        return names

    def _codes(self, values: NDArray[Any] | None) -> NDArray[np.int64] | None:
        if values is None or values.dtype.kind not in "iU" or self.class_names is None:
            return None
        return codes_of(values, self.class_names)[0]

    @cached_property
    def correct(self) -> NDArray[np.bool_] | None:
        """Whether each prediction is the label; None when either is missing."""
        if self.label_codes is None or self.prediction_codes is None:
            return None
        return self.label_codes == self.prediction_codes

    def label_margins(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How far the label of each of these rows is ahead, shape (k,): see ``label_margin``.

        None without labels, without probabilities and logits, and with a single class.
        """
        scores = self.probabilities if self.probabilities is not None else self.logits
        if scores is None or self.label_codes is None or scores.shape[1] < 2:
            return None
        margins = np.empty(len(rows))
        step = rows_per_step(scores.shape[1])
        for start in range(0, len(rows), step):
            taken = rows[start : start + step]
            chances = softmax(scores[taken]) if self.probabilities is None else scores[taken]
            margins[start : start + step] = label_margin(chances, self.label_codes[taken])
        return margins

    def class_chances(self, name: str) -> NDArray[np.float64] | None:
        """Probability that the model gives to one class, shape (n,).

        None without probabilities and logits, and for a class that they have no column of.
        """
        scores = self.probabilities if self.probabilities is not None else self.logits
        names = self.class_names or ()
        if scores is None or name not in names or len(names) != scores.shape[1]:
            return None
        place, chances = names.index(name), np.empty(self.n)
        step = rows_per_step(scores.shape[1])
        for start in range(0, self.n, step):
            block = scores[start : start + step]
            own = softmax(block) if self.probabilities is None else block
            chances[start : start + step] = own[:, place]
        return chances

    @cached_property
    def accuracy(self) -> float | None:
        """Share of correct predictions, a fraction in [0, 1]."""
        return None if self.correct is None else float(self.correct.mean())

    @cached_property
    def base_loss(self) -> float:
        """Mean loss over all examples."""
        return float(self.losses.mean())

    def image(self, row: int) -> bytes | None:
        """Image file of an example, in a format browsers show; None when it has none.

        Raises
        ------
        BundleError
            If the file has gone or changed since it was checked.
        """
        return self._picture(row, 0)

    def thumbnail(self, row: int) -> bytes | None:
        """The image at no more than 112 pixels a side, encoded anew as PNG or JPEG."""
        if self.thumbnails is not None:
            return self.thumbnails.read(int(row))
        return self._picture(row, 1)

    def _picture(self, row: int, which: int) -> bytes | None:
        if self.media is None:
            return None
        try:
            data = self.media.read(int(row))
            if data is None or (self.path is not None and which == 0):
                return data
            return prepared(data)[which]
        except MediaError as error:
            raise BundleError(
                Fault(self.media.file, "image", int(row), error.problem, error.advice)
            ) from error

    def fields(self) -> dict[str, Any]:
        """Everything in it as keyword arguments of ``write_bundle``; images are read into a list."""
        names = ("losses", "labels", "predictions", "targets", "probabilities")
        nested = ("populations", "layers", "msp", "train")
        images = [self.image(row) for row in range(self.n)] if self.has_images else None
        given = {
            **{name: getattr(self, name) for name in (*names, "logits", "classes", "examples")},
            "embeddings": self.at_layer("").embeddings,
            **{name: dict(getattr(self, name)) or None for name in nested},
            **self.extras,
            "stress": self.stress,
            "images": images,
        }
        return {name: value for name, value in given.items() if value is not None}

    def missing(self) -> list[tuple[str, str]]:
        """Optional parts that were not given, each with what its absence switches off."""
        has = {
            "labels": self.labels is not None,
            "predictions": self.predictions is not None,
            "probabilities": self.probabilities is not None or self.logits is not None,
            "text": self.has_text,
            "image": self.has_images,
            "attributes": any(name not in COLUMNS for name in self.attributes),
            "populations": bool(self.populations),
            "stress": self.stress is not None,
            "vog": "vog" in self.extras or "gradients" in self.extras,
            "msp": bool(self.msp) or any(name.startswith("msp") for name in self.train),
        }
        return [(part, effect) for part, effect in SWITCHES if not has[part]]

    def rated_by(self) -> dict[str, str]:
        """The columns ``item`` and ``user`` of ratings, by what they mean; empty without both.

        Ratings are ``targets``.
        """
        columns = {name.lower(): name for name in self.attributes}
        found = {
            meaning: next(columns[one] for one in names if one in columns)
            for meaning, names in RATED_BY.items()
            if any(one in columns for one in names)
        }
        return found if self.targets is not None and len(found) == len(RATED_BY) else {}

    def rated_in_training(self) -> bool:
        """Whether the training part says which ratings it holds, of what and by whom."""
        columns = self.rated_by().values()
        held = [self.train.get(name) for name in ("targets", *columns)]
        return (
            bool(columns)
            and all(array is not None and array.ndim == 1 for array in held)
            and self.train["targets"].dtype.kind in "iuf"
        )

    def unused(self) -> list[str]:
        """Parts that are kept and can be read from Python, and that no page or command uses.

        Fields of the training set each by its name; its columns of one value a row are used where
        its confidence over training is, since they may say what is known of it, and where the
        examples have a column of that name; its ratings count in averages. With embeddings and
        labels, or stored gradients, the training examples are scored and shown.
        """
        followed = [name for name in self.train if name.replace("_", "-").split("-")[0] == "msp"]
        alone = self.used_only_with()
        scored = (
            {"embeddings", "labels"} <= self.train.keys()
            or "attribution" in self.extras
            or self.extras.keys() >= {*TOGETHER}
        )
        train = [
            f"train/{name}"
            for name, array in self.train.items()
            if name not in followed
            and not (name == "targets" and self.rated_in_training())
            and not (array.ndim == 1 and (followed or name in self.attributes))
            and not (scored and (name in SHOWN_OF_TRAINING or _describes(name, array)))
        ]
        extras = [name for name in self.extras if name not in USED or name in alone]
        return [*extras, *train]

    def used_only_with(self) -> dict[str, str]:
        """Fields that no page uses because something they need beside them is missing, and what."""
        told = {}
        present = [name for name in TOGETHER if name in self.extras]
        if lacking := [f"attribution/{name}" for name in TOGETHER if name not in self.extras]:
            told = dict.fromkeys(present, " and ".join(lacking))
        if "gradients" in self.extras and len(self.extras["gradients"]) < 2:
            told["gradients"] = "a second checkpoint"
        if "stress_scores" in self.extras and self.stress is None and not self.populations:
            told["stress_scores"] = "a stress table, or populations with labels"
        return told


def _describes(name: str, array: NDArray[Any]) -> bool:
    """Whether a field of the training part is a column of its examples, or their pictures."""
    if canonical_column(name) == "image":
        return array.ndim in (3, 4)
    return array.ndim == 1 and name not in ("losses", "targets")


@dataclass(frozen=True)
class BundleInfo:
    """One line of the list of imported bundles.

    ``created`` is ISO 8601 in UTC, ``size_bytes`` the disk it takes, ``base_loss`` the mean loss,
    ``accuracy`` a fraction or None, ``content`` the digest of what it holds, ``owner`` the key of
    whose it is, empty for nobody's.
    """

    digest: str
    name: str
    n: int
    d: int
    created: str
    size_bytes: int
    base_loss: float
    accuracy: float | None
    content: str = ""
    owner: str = ""
