"""Filters and a selection as plain values: made by gestures, kept in links and saved views."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from backend.core.errors import InputError
from backend.map.geometry import MAX_CORNERS

Operation = Literal["new", "add", "remove"]
OPERATIONS = ("new", "add", "remove")
SHAPES = ("box", "lasso")
MAX_FILTERS = 40
MAX_STEPS = 60
MAX_IDS = 100_000
MAX_TEXT = 4_000
LARGEST = sys.float_info.max
"""Beyond it JSON still has whole numbers."""


class ViewError(InputError):
    """A view cannot be read, or does not fit the bundle it is opened on."""


@dataclass(frozen=True)
class Query:
    """The examples that a rule means (``backend.rules``)."""

    rule: str

    def words(self) -> str:
        return self.rule


@dataclass(frozen=True)
class Drawn:
    """The examples inside a shape on one map.

    ``points`` are corners in map coordinates: two opposite ones of a box, the outline of a lasso.
    ``layout`` is the key of the result that placed the examples: on another layout, the same shape
    would hold other examples.
    """

    projection: str
    layout: str
    kind: str
    points: tuple[tuple[float, float], ...]

    def words(self) -> str:
        return f"{self.kind} on {self.projection}"


@dataclass(frozen=True)
class Ids:
    """These examples, and what they are called together."""

    ids: tuple[str, ...]
    name: str = ""

    def words(self) -> str:
        return self.name or f"{len(self.ids)} examples"


Some = Query | Drawn | Ids


@dataclass(frozen=True)
class Filter:
    """Examples that are kept; switched off, it changes nothing."""

    what: Some
    on: bool = True


@dataclass(frozen=True)
class SelectionStep:
    """One gesture of a selection: starts it anew, adds to it, or takes away from it."""

    operation: Operation
    what: Some


@dataclass(frozen=True)
class View:
    """What is shown: all filters that are on hold at once; the steps build the selection in order."""

    filters: tuple[Filter, ...] = ()
    steps: tuple[SelectionStep, ...] = ()

    @property
    def plain(self) -> bool:
        """Nothing is filtered or selected."""
        return not self.filters and not self.steps

    def filtered(self, what: Some) -> View:
        """One more filter; one that is already there is switched on."""
        known = [one.what for one in self.filters]
        if what in known:
            return self.switched(known.index(what), on=True)
        if len(self.filters) >= MAX_FILTERS:
            raise ViewError(f"at most {MAX_FILTERS} filters fit: remove one first.")
        return replace(self, filters=(*self.filters, Filter(what)))

    def switched(self, at: int, *, on: bool) -> View:
        """The filter at this place on or off."""
        filters = list(self.filters)
        filters[at] = replace(filters[at], on=on)
        return replace(self, filters=tuple(filters))

    def without(self, at: int) -> View:
        """The filter at this place removed."""
        return replace(self, filters=self.filters[:at] + self.filters[at + 1 :])

    def selected(self, what: Some, operation: Operation = "new") -> View:
        """One more step; ``new`` forgets the steps before it."""
        if operation == "new":
            return replace(self, steps=(SelectionStep("new", what),))
        if len(self.steps) >= MAX_STEPS:
            raise ViewError(f"a selection holds at most {MAX_STEPS} steps: clear it (Esc) first.")
        return replace(self, steps=(*self.steps, SelectionStep(operation, what)))

    def cleared(self) -> View:
        """Nothing selected; filters stay."""
        return replace(self, steps=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "filters": [{"what": _plain(one.what), "on": one.on} for one in self.filters],
            "steps": [{"do": one.operation, "what": _plain(one.what)} for one in self.steps],
        }

    def told(self) -> dict[str, Any]:
        """For the record of a tag: as ``to_dict``, without the filters that are off, and with ids
        counted instead of listed (the tagged ids are in the record already).
        """
        told = replace(self, filters=tuple(one for one in self.filters if one.on)).to_dict()
        for part in (*told["filters"], *told["steps"]):
            if "ids" in part["what"]:
                part["what"] = {"ids": len(part["what"]["ids"]), "name": part["what"]["name"]}
        return told

    @classmethod
    def from_dict(cls, given: Any) -> View:
        """Read what ``to_dict`` wrote.

        Raises
        ------
        ViewError
            If anything is missing, of another kind, not finite or too large: links come from
            anywhere.
        """
        filters = _list(_field(given, "filters"), "filters", MAX_FILTERS)
        steps = _list(_field(given, "steps"), "steps", MAX_STEPS)
        return cls(
            tuple(Filter(_some(_field(one, "what")), _truth(_field(one, "on"))) for one in filters),
            tuple(
                SelectionStep(
                    cast("Operation", _one_of(_field(one, "do"), OPERATIONS)),
                    _some(_field(one, "what")),
                )
                for one in steps
            ),
        )


def _plain(what: Some) -> dict[str, Any]:
    match what:
        case Query(rule):
            return {"rule": rule}
        case Ids(ids, name):
            return {"ids": list(ids), "name": name}
        case Drawn(projection, layout, kind, points):
            return {
                "map": projection,
                "layout": layout,
                "shape": kind,
                "points": [list(point) for point in points],
            }


def _some(given: Any) -> Some:
    if not isinstance(given, Mapping):
        raise ViewError("a view names its examples by a rule, a shape or ids: got neither.")
    if "rule" in given:
        return Query(_text(given["rule"], "rule"))
    if "ids" in given:
        ids = _list(given["ids"], "ids", MAX_IDS)
        return Ids(
            tuple(_text(one, "ids") for one in ids),
            _text(given.get("name", ""), "name", empty=True),
        )
    kind = _one_of(_field(given, "shape"), SHAPES)
    points = tuple(_point(one) for one in _list(_field(given, "points"), "points", MAX_CORNERS))
    if len(points) < 2 or (kind == "box") != (len(points) == 2):
        raise ViewError(f"a box has 2 corners, a lasso 3 or more: got a {kind} of {len(points)}.")
    return Drawn(
        _text(_field(given, "map"), "map"), _text(_field(given, "layout"), "layout"), kind, points
    )


def _field(given: Any, name: str) -> Any:
    if not isinstance(given, Mapping) or name not in given:
        raise ViewError(f"this is not a view of Errorscope: '{name}' is missing.")
    return given[name]


def _list(given: Any, name: str, most: int) -> Sequence[Any]:
    if not isinstance(given, list) or len(given) > most:
        raise ViewError(f"'{name}' of a view must be a list of at most {most}.")
    return given


def _text(given: Any, name: str, *, empty: bool = False) -> str:
    if not isinstance(given, str) or len(given) > MAX_TEXT or not (given or empty):
        raise ViewError(f"'{name}' of a view must be a text of at most {MAX_TEXT} characters.")
    if any("\ud800" <= sign <= "\udfff" for sign in given):  # half a character, as JSON can spell
        raise ViewError(f"'{name}' of a view holds code points that are not characters.")
    return given


def _truth(given: Any) -> bool:
    if not isinstance(given, bool):
        raise ViewError("'on' of a filter must be true or false.")
    return given


def _one_of(given: Any, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise ViewError(f"a view needs one of {', '.join(allowed)}: got {str(given)[:40]!r}.")
    return str(given)


def _point(given: Any) -> tuple[float, float]:
    if (
        not isinstance(given, list)
        or len(given) != 2
        or not all(isinstance(one, int | float) and abs(one) <= LARGEST for one in given)
    ):
        raise ViewError("a corner of a shape must be two finite numbers.")
    return float(given[0]), float(given[1])
