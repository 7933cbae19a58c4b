"""Which rows of a bundle a view shows and selects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import BackendError
from backend.core.groups import by_loss
from backend.map.geometry import rows_in_box, rows_in_polygon
from backend.rules import Budget, evaluate
from backend.views.state import Drawn, Ids, Operation, Query, Some, View, ViewError

Mask = NDArray[np.bool_]
Layouts = Callable[[str], tuple[str, NDArray[Any]] | None]
"""Name of a projection -> (key of its result, (n, 2) positions), or None while it is not there."""


@dataclass(frozen=True)
class Looked:
    """What a view means on its bundle.

    Attributes
    ----------
    view : View
    shown : bool array of shape (n,)
        What the filters let through. Not writeable.
    selected : int array of shape (k,)
        Selected rows, highest loss first. Not writeable.
    problems : tuple of str
        One sentence for each filter or step that could not be used.
    """

    view: View
    shown: Mask = field(repr=False)
    selected: NDArray[np.int64] = field(repr=False)
    problems: tuple[str, ...] = ()

    @property
    def filtering(self) -> bool:
        """Whether any filter is on."""
        return any(one.on for one in self.view.filters)

    @property
    def n_shown(self) -> int:
        """How many examples the filters let through."""
        return int(np.count_nonzero(self.shown))


@dataclass(frozen=True)
class Scene:
    """A bundle with what filters may refer to: tags as ``Store.tags`` gives them, and maps.

    All rules that it answers share one ``budget``.
    """

    bundle: Bundle
    tags: pd.DataFrame | None = None
    layouts: Layouts = field(default=lambda name: None)
    budget: Budget = field(default_factory=Budget)

    def shown(self, view: View) -> Mask:
        """(n,) bool: examples that every filter which is on lets through."""
        mask = np.ones(self.bundle.n, dtype=bool)
        for one in view.filters:
            if one.on:
                mask &= self.mask(one.what)
        return mask

    def selected(self, view: View) -> Mask:
        """(n,) bool: the selection, steps taken in order, within what the filters show.

        A filter that is switched off later brings back what it hid: the selection itself does not
        change.
        """
        mask = np.zeros(self.bundle.n, dtype=bool)
        for step in view.steps:
            mask = _changed(mask, self.mask(step.what), step.operation)
        return mask & self.shown(view)

    def mask(self, what: Some) -> Mask:
        """(n,) bool: the examples named by a rule, a shape or ids.

        Raises
        ------
        RuleError
            If a rule does not fit the bundle.
        ViewError
            If a shape was drawn on a map that is not there, or laid out differently now.
        """
        match what:
            case Query(rule):
                return evaluate(rule, self.bundle, self.tags, self.budget)
            case Ids(ids):
                return np.isin(self.bundle.ids, np.asarray(ids, dtype=str))
            case Drawn():
                return self._inside(what)

    def _inside(self, drawn: Drawn) -> Mask:
        layout = self.layouts(drawn.projection)
        if layout is None:
            raise ViewError(
                f"a shape was drawn on the {drawn.projection} map, which is not laid out yet."
            )
        key, points = layout
        if key != drawn.layout:
            raise ViewError(
                f"a shape was drawn on another layout of the {drawn.projection} map: on this one "
                "it would hold other examples. Draw it again."
            )
        corners = np.asarray(drawn.points, dtype=np.float64)
        if drawn.kind == "box":
            rows = rows_in_box(points, corners[:, 0], corners[:, 1])
        else:
            rows = rows_in_polygon(points, corners)
        mask = np.zeros(self.bundle.n, dtype=bool)
        mask[rows] = True
        return mask


def resolve(view: View, scene: Scene) -> Looked:
    """The rows that a view shows and selects; what cannot be used is left out and told.

    A filter that is off is not tried.
    """
    problems: list[str] = []

    def tried(what: Some) -> Mask | None:
        try:
            return scene.mask(what)
        except BackendError as error:
            told = str(error).split("\n", 1)[0]
            problems.append(f"Left out: {what.words()[:80]} ({told})")
            return None

    shown = np.ones(scene.bundle.n, dtype=bool)
    for one in view.filters:
        mask = tried(one.what) if one.on else None
        if mask is not None:
            shown &= mask
    selected = np.zeros(scene.bundle.n, dtype=bool)
    for step in view.steps:
        mask = tried(step.what)
        if mask is not None:
            selected = _changed(selected, mask, step.operation)
    rows = by_loss(selected & shown, scene.bundle.losses)
    shown.flags.writeable = rows.flags.writeable = False
    return Looked(view, shown, rows, tuple(problems))


def _changed(selected: Mask, found: Mask, operation: Operation) -> Mask:
    """The selection after one more step."""
    if operation == "new":
        return found
    return selected | found if operation == "add" else selected & ~found
