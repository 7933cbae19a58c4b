"""Goes through the batches of a model and keeps what comes of each, then closes the bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.collect.checks import check_repeats, length_of
from backend.collect.errors import CollectError
from backend.collect.media import (
    INPUTS,
    Pictures,
    columns_of,
    pictures_of_inputs,
    plain,
    texts_of,
)
from backend.collect.outputs import (
    CODES,
    OUTPUTS,
    Meaning,
    answers,
    check_batch,
    finish,
    meaning_of,
    measure,
    named,
    names_to_write,
    rows_of,
)
from backend.collect.seen import ModelSource, Seen, inputs_and_labels
from backend.collect.spool import Spool

TRAIN = "train/"
PART = "meanwhile/populations"


@dataclass(frozen=True)
class BesideModel:
    """What is kept of examples beside what the model makes of them: options of ``collect``."""

    examples: Any = None
    images: Any = None
    texts: Any = None

    def tables(self) -> list[str]:
        """Names of those that hold one row per example."""
        named = {"examples": self.examples, "images": self.images, "texts": self.texts}
        return [name for name, value in named.items() if is_table(value)]


@dataclass(frozen=True)
class Collected:
    """What was written.

    Attributes
    ----------
    path : Path
        The bundle.
    n, d : int
        Examples, and dimensions of an embedding.
    mean_loss : float
    accuracy : float or None
        A fraction; None where there are no classes.
    notes : tuple of str
        What was derived, assumed or noticed; they are in the bundle, too.
    """

    path: Path
    n: int
    d: int
    mean_loss: float
    accuracy: float | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        right = "" if self.accuracy is None else f", accuracy {self.accuracy:.3f}"
        lines = [
            f"{self.path}: {self.n} examples, {self.d} dimensions, mean loss {self.mean_loss:.4g}{right}",
            *(f"  {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def is_table(value: Any) -> bool:
    """Whether an option holds one row per example, and is not made of every batch."""
    of_batches = callable(value) or hasattr(value, "batch_decode") or isinstance(value, str)
    return value is not None and not of_batches


class Gathering:
    """Goes through the batches and keeps what comes of each.

    Parameters
    ----------
    spool : Spool
    source : ModelSource
    members : dict of {population: sources}
    classes : sequence of str, optional
        Names of the classes that the caller gave.
    first : int, optional
        The code of the first class that the caller gave.
    columns : sequence of str
        Keys of dictionary batches that are columns.
    allow : sequence of str
    kept : dict of {part: BesideModel}
        What is kept of the held-out examples, ``""``, and of the training examples, ``"train/"``.
    """

    def __init__(
        self,
        spool: Spool,
        source: ModelSource,
        members: Mapping[str, Sequence[ModelSource]],
        classes: Sequence[str] | None,
        first: int | None,
        columns: Sequence[str],
        allow: Sequence[str],
        kept: Mapping[str, BesideModel],
    ) -> None:
        self.spool, self.source, self.members, self.kept = spool, source, members, kept
        own = None if classes is None else tuple(map(str, classes))
        if own is not None and source.classes is not None and len(own) != len(source.classes):
            raise CollectError(
                f"classes must be one per class of the model: got {len(own)} and it has "
                f"{len(source.classes)}."
            )
        self.classes = own or source.classes
        self.names = names_to_write(self.classes)
        self.first, self.columns, self.allow = first, tuple(columns), tuple(allow)
        self.pictures = {part: Pictures(spool, f"{part}images") for part in ("", TRAIN)}
        self.own_losses: dict[str, bool] = {}
        self.scored: dict[str, bool] = {}
        self.unsound: list[int] = []

    def part(
        self, part: str, loader: Any, batch_size: int, told: Callable[[float, str], None]
    ) -> None:
        """Go through the held-out set, or with ``"train/"`` through the training set."""
        batches, total = batches_of(loader, batch_size)
        word = "Training batch" if part else "Batch"
        for count, batch in enumerate(batches, 1):
            if not part and count == 1:
                self._check_first(batch)
            self._keep(part, self.source.see(batch, bool(part)))
            self._examples_of(batch, part)
            if not part:
                self._populations_of(batch)
            done = count / total if total else 1 - 1 / (count + 1)
            told(min(1.0, done), f"{word} {count}" + (f" of {total}" if total else ""))
        if not self.spool.rows(f"{part}embeddings"):
            what = "train" if part else "loader"
            raise CollectError(
                f"{what} must give one batch or more: got none. A generator that was used before is "
                "empty."
            )

    def _check_first(self, batch: Any) -> None:
        """The first batch, asked twice, must give the same; its outputs must fit the classes."""
        asked = getattr(self.source, "source", self.source)  # without gradients
        seen, again = asked.see(batch), asked.see(batch)
        told = check_repeats(seen.output, again.output, "outputs", self.allow) or check_repeats(
            seen.embeddings, again.embeddings, "embeddings", self.allow
        )
        if told is not None:
            self.spool.notes.append(told)
        n_classes = 2 if seen.output.ndim == 1 else seen.output.shape[1]
        scored = self.source.kind in ("scores", "probabilities") and seen.scored
        if scored and self.classes is not None and len(self.classes) != n_classes:
            if seen.labels.dtype.kind == "f" and seen.output.ndim == 1:
                return
            raise CollectError(
                f"classes must be one per output: got {len(self.classes)} names and {n_classes} "
                "outputs."
            )
        numbers = seen.labels.dtype.kind == "f" and not np.isin(seen.labels, (0.0, 1.0)).all()
        if self.members and (self.source.kind == "numbers" or numbers):
            raise CollectError("populations hold predicted classes, and a regression has none.")

    def _keep(self, part: str, seen: Seen) -> None:
        spool, n = self.spool, len(seen.labels)
        embeddings = np.asarray(seen.embeddings)
        if embeddings.ndim != 2 or len(embeddings) != n:
            raise CollectError(
                f"embeddings must be one vector per example: got shape {embeddings.shape} for {n} "
                "labels."
            )
        if seen.scored:
            check_batch(seen.output, seen.labels, self.source.kind, self.first)
        self.scored[part] = seen.scored
        before = spool.rows(f"{part}embeddings")
        if not part:
            bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
            self.unsound += (before + bad).tolist()
        spool.add(f"{part}embeddings", embeddings)
        spool.add(part + OUTPUTS, seen.output)
        spool.add(part + CODES, seen.labels)
        if seen.losses is not None:
            self.own_losses[part] = True
            spool.add(f"{part}losses", np.asarray(seen.losses, dtype=np.float64))
        which = "train" if part else "target"
        for name, arrays in seen.parts.items():
            if name == "residuals" and not part:
                continue
            field = name if name == "gradients" else f"attribution/{which}_{name}"
            for number, array in enumerate(arrays):
                spool.add(field, array, number)
        if part:
            return
        for name, layer in seen.layers.items():
            spool.add(f"layers/{name}", layer)
        if seen.vog is not None:
            spool.add("vog", seen.vog)
        for name, cells in seen.columns.items():
            spool.add_column(name, cells)

    def _examples_of(self, batch: Any, part: str) -> None:
        spool, kept = self.spool, self.kept[part]
        for name in self.columns:
            if not isinstance(batch, Mapping) or name not in batch:
                if part:
                    continue
                raise CollectError(f"columns must be keys of every batch: {name!r} is not.")
            spool.add_column(name, plain(batch[name]), part)
        if callable(kept.examples):
            for name, cells in columns_of(kept.examples(batch)).items():
                spool.add_column(name, cells, part)
        if kept.texts is not None and not is_table(kept.texts):
            spool.add_column("text", texts_of(kept.texts, batch), part)
        if kept.images is not None and not is_table(kept.images):
            if callable(kept.images):
                self.pictures[part].add(kept.images(batch))
            elif kept.images != INPUTS:
                raise CollectError(f"images must be pictures or '{INPUTS}': got {kept.images!r}.")
            else:
                inputs = inputs_and_labels(batch)[0]
                if isinstance(inputs, Mapping):
                    inputs = next(iter(inputs.values()))
                self.pictures[part].add(pictures_of_inputs(inputs))

    def _populations_of(self, batch: Any) -> None:
        for name, several in self.members.items():
            for number, one in enumerate(several):
                output = one.output(batch)
                if output.ndim == 1 and output.dtype.kind == "f":
                    self.spool.add(f"{PART}/{name}/{number}", output)
                else:
                    codes = named(answers(output), self.names)
                    self.spool.add(f"populations/{name}", codes, number)

    def _tables_of(self, part: str, n: int) -> None:
        """Write what has one row per example, and check that all is as long."""
        spool, kept, pictures = self.spool, self.kept[part], self.pictures[part]
        if is_table(kept.examples):
            for name, cells in columns_of(kept.examples).items():
                spool.add_column(name, cells, part)
        if is_table(kept.texts):
            spool.add_column("text", list(kept.texts), part)
        if is_table(kept.images):
            for rows in rows_of([kept.images], 256):
                pictures.add(rows[0])
        spool.check_lengths(n, part)
        if pictures.rows not in (0, n):
            option, loader = ("train_images", "train") if part else ("images", "the loader")
            raise CollectError(
                f"{option} must be one per example: got {pictures.rows} and {n} examples came "
                f"from {loader}."
            )

    def close(self, path: Path) -> Collected:
        """Read what outputs mean, write what follows from them, and check that all is as long."""
        spool = self.spool
        n, d = spool.arrays["embeddings"][0].shape
        meanings: dict[str, Meaning] = {}
        for part in ("", TRAIN):
            if f"{part}embeddings" not in spool.arrays:
                continue
            own = self.own_losses.get(part, False)
            kind = self.source.kind if self.scored[part] else "losses"
            meanings[part] = meaning_of(spool, part, kind, self.first)
            finish(spool, part, meanings[part], self.names, own)
        if len({meaning.kind for meaning in meanings.values()}) > 1:
            raise CollectError("train must be of the kind of the other loader: labels differ.")
        for name, several in self.members.items():
            for number in range(len(several)):
                raw = f"{PART}/{name}/{number}"
                if raw in spool.arrays:
                    codes = named(answers(spool.read(raw)), self.names)
                    spool.add(f"populations/{name}", codes, number)
                    spool.drop(raw)
        for part in meanings:
            self._tables_of(part, n if not part else spool.rows(f"{TRAIN}embeddings"))
        classified = meanings[""].kind not in ("numbers", "losses")
        if self.classes is not None and classified:
            spool.add("classes", np.asarray(self.classes, dtype=np.str_))
        if self.unsound:
            spool.notes.append(
                f"embeddings: {len(self.unsound)} examples hold NaN or infinity, the first is row "
                f"{self.unsound[0]}: no bundle with them is taken in."
            )
        spool.notes[:0] = [
            measure(meanings[""], self.own_losses.get("", False)),
            *meanings[""].notes,
            *self.source.notes,
        ]
        losses = spool.read("losses")
        accuracy = None
        if classified and "labels" in spool.arrays:
            accuracy = float((spool.read("labels") == spool.read("predictions")).mean())
        return Collected(path, n, d, float(losses.mean()), accuracy, tuple(spool.notes))


def batches_of(loader: Any, batch_size: int) -> tuple[Iterator[Any], int | None]:
    """Batches of a loader, or of two arrays, and how many, where that is known."""
    if is_pair(loader):
        n = loader[0].shape[0] if is_array(loader[0]) else len(loader[0])
        if n != len(loader[1]):
            raise CollectError(f"inputs and labels must be equally many: {n} and {len(loader[1])}.")
        return rows_of(loader, batch_size), -(-n // batch_size)
    if not isinstance(loader, Iterable):
        raise CollectError(f"loader must give batches: got a {type(loader).__name__}.")
    return iter(loader), length_of(loader)


def is_pair(loader: Any) -> bool:
    """Whether it is inputs and labels as arrays or lists, and not two batches."""
    if not isinstance(loader, (tuple, list)) or len(loader) != 2:
        return False
    inputs, labels = loader
    if is_array(inputs):
        return True
    flat = np.ndim(labels) == 1 if is_array(labels) else isinstance(labels, list) and bool(labels)
    return isinstance(inputs, list) and flat and all(np.ndim(one) == 0 for one in labels[:1])


def is_array(value: Any) -> bool:
    """Whether it is an array, a tensor, a table or a sparse matrix: not a batch of its own."""
    return hasattr(value, "shape") and not isinstance(value, (tuple, list, Mapping))
