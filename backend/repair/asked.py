"""What a repair is asked for, checked: the rows that refit, those that measure, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_matrix
from backend.core.errors import InputError
from backend.core.parts import deal
from backend.repair.head import check_classes

FEWEST_CELL = 5
"""Rows of the smallest cell below which there is no balanced set."""

_CHUNK = 200_000

Floats = NDArray[Any]


@dataclass(frozen=True)
class RepairCall:
    """What is repaired, checked."""

    x: Floats
    y: NDArray[np.int64]
    inside: NDArray[np.bool_]
    predictions: NDArray[np.int64] | None
    train: tuple[Floats, NDArray[np.int64]] | None
    measurable: NDArray[np.bool_]
    together: NDArray[Any] | None
    worst_of: NDArray[np.int64]
    n_classes: int

    @classmethod
    def of(
        cls,
        embeddings: Any,
        labels: Any,
        members: Any,
        predictions: Any,
        train: tuple[Any, Any] | None,
        measurable: Any,
        together: Any,
        worst_of: Any,
    ) -> RepairCall:
        x = check_matrix("embeddings", embeddings)
        n = len(x)
        y = check_classes("labels", labels, n)
        rows = np.asarray(as_numpy(members))
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(np.unique(rows)) < len(rows):
            raise InputError(f"members must be rows, each once: got shape {rows.shape}.")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < n:
            raise InputError(f"members must be rows from 0 to {n - 1}: got {rows.max()}.")
        inside = np.zeros(n, bool)
        inside[rows] = True
        own = None if predictions is None else check_classes("predictions", predictions, n)
        n_classes = 1 + int(max(y.max(), -1 if own is None else own.max()))
        if train is not None:
            given = check_matrix("train embeddings", train[0])
            if given.shape[1] != x.shape[1]:
                raise InputError(
                    "train embeddings must have the dimensions of the embeddings: got "
                    f"{given.shape[1]} and {x.shape[1]}."
                )
            codes = check_classes("train labels", train[1], len(given))
            train = (given, codes)
            n_classes = max(n_classes, 1 + int(codes.max()))
        if n_classes < 2:
            raise InputError("a head needs two classes or more to tell apart: got 1.")
        may = np.ones(n, bool) if measurable is None else np.asarray(as_numpy(measurable))
        if may.shape != (n,) or may.dtype != bool:
            raise InputError(f"measurable must be true or false per embedding: got {may.shape}.")
        if together is not None and len(together) != n:
            raise InputError(f"together must be one per embedding: got {len(together)} for {n}.")
        worst = y if worst_of is None else check_classes("worst_of", worst_of, n)
        held = None if together is None else np.asarray(together)
        return cls(x, y, inside, own, train, may, held, worst, n_classes)

    @property
    def n(self) -> int:
        return len(self.x)

    def split(self, key: str) -> NDArray[np.bool_]:
        """Which rows measure: half of those that may, evenly in each label and the group."""
        may = np.flatnonzero(self.measurable)
        cells = (2 * self.y + self.inside)[may]
        groups = None if self.together is None else self.together[may]
        half = deal(len(may), key=f"repair {key}", shares=(1, 1), labels=cells, groups=groups) == 0
        measures = np.zeros(self.n, bool)
        measures[may[half]] = True
        if not (measures & self.inside).any() or not (~measures & self.inside).any():
            where = "" if self.measurable.all() else " kept aside"
            raise InputError(
                "the group needs members on both sides, to refit and to measure: it has "
                f"{int((self.inside & self.measurable).sum())}{where} of {int(self.inside.sum())}."
            )
        return measures

    def sizes(
        self, measures: NDArray[np.bool_], *, beside: bool = True
    ) -> tuple[int, int, int, int]:
        """Rows that refit, members among them, members measured, and rows of the balanced set.

        With a training part no member refits but those ``beside`` it, which are none where something
        else counts in the group's place.
        """
        counted = ~measures & self.inside & (beside or self.train is None)
        n_refit = (
            int((~measures).sum())
            if self.train is None
            else len(self.train[1]) + int(counted.sum())
        )
        cells = self.cells(np.flatnonzero(~measures))
        balanced = 0 if cells is None else len(cells) * min(map(len, cells))
        return n_refit, int(counted.sum()), int((measures & self.inside).sum()), balanced

    def cells(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]] | None:
        """These rows by label and membership; None where a cell is too small to balance."""
        code = 2 * self.y[rows] + self.inside[rows]
        cells = [rows[code == one] for one in np.unique(code)]
        return cells if min(map(len, cells)) >= FEWEST_CELL else None


@dataclass(frozen=True)
class Standardised:
    """Features standardised by the rows that refit, as deep feature reweighting has them."""

    center: Floats
    spread: Floats

    @classmethod
    def of(cls, x: Floats, n: int) -> Standardised:
        center = x[:n].mean(axis=0, dtype=np.float64)
        total = np.zeros(x.shape[1])
        for start in range(0, n, _CHUNK):
            total += np.square(x[start : min(n, start + _CHUNK)] - center).sum(axis=0)
        spread = np.sqrt(total / n)
        return cls(center, np.where(spread > 1e-6 * spread.max(initial=1e-30), spread, np.inf))

    def apply(self, x: Floats) -> Floats:
        return np.asarray((x - self.center) / self.spread, np.float32)


def refitting_rows(
    asked: RepairCall, refits: NDArray[np.int64], more: Mapping[str, NDArray[np.int64]]
) -> tuple[tuple[Floats, NDArray[np.int64]], int, dict[str, NDArray[np.int64]]]:
    """Features and labels of what refits, how many of them are the original ones, places of ``more``."""
    if asked.train is None:
        places = {name: np.searchsorted(refits, rows) for name, rows in more.items()}
        return (asked.x[refits], asked.y[refits]), len(refits), places
    extra = np.unique(np.concatenate(list(more.values())))
    n_base = len(asked.train[1])
    x = np.concatenate([asked.train[0], asked.x[extra]])
    y = np.concatenate([asked.train[1], asked.y[extra]])
    return (x, y), n_base, {n: n_base + np.searchsorted(extra, r) for n, r in more.items()}


def check_debug(debug: tuple[Any, Any], asked: RepairCall) -> tuple[Floats, NDArray[np.int64]]:
    x = check_matrix("debug embeddings", debug[0])
    if x.shape[1] != asked.x.shape[1]:
        raise InputError(
            "debug embeddings must have the dimensions of the embeddings: got "
            f"{x.shape[1]} and {asked.x.shape[1]}. Take both from the same layer."
        )
    y = check_classes("debug labels", debug[1], len(x))
    if int(y.max()) >= asked.n_classes:
        raise InputError(f"debug labels must be below {asked.n_classes}: got {y.max()}.")
    return x, y
