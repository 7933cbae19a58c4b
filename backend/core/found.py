"""The record of one region or spotlight, from the search to the screen, the CSV and a replay.

What is stored with a tag, in a manifest and in a hypothesis is its ``to_source()``, a dictionary
for JSON; ``from_source`` reads those of today and those of every earlier version. Arrays of a
region in the kept result of a search come from ``one_region``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_choice
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.preparation import check_preparation
from backend.core.shape import KERNELS, KINDS, Shape

SAMPLED = "sampled region"
"""Kind of source of a region that a sample showed while the whole was searched: not one to keep."""

SHORT = (
    *("kind", "key", "index", "number", "name", "region_kind", "kernel", "options", "layer"),
    *("shape", "cut", "labels", "method", "version"),
)
"""What a record says beside the long center and precision and the numbers; see ``short``."""

OF_METHODS = ("kept_aside", "groups")
"""What the source of another method's group says beside: who had no part in finding it."""

_PLURAL = {
    "weights": "weights",
    "scores": "scores",
    "center": "centers",
    "precision": "precisions",
    "root": "roots",
    "vector": "vectors",
    "cut": "cuts",
}


@dataclass(frozen=True, eq=False)
class FoundRegion:
    """One region or spotlight that a search found.

    Parameters
    ----------
    key : str
        ``"<job>:<index>"``: the search that found it and its place there.
    index : int or None
        That place, from 0.
    number : int or None
        The number it has on screen, from 1. None in records from before regions carried theirs.
    name : str
        As it was called when the record was made; ``label`` says how it is called now.
    kind : {"ball", "direction", "label"}
    labels : tuple of str
        Labels it is bound to, as text; () for none.
    scope : str
        Among which examples it was looked for, in words.
    layer : str
        The layer of the bundle it was found in; "" for the bundle's own embeddings.
    method : str
        The task that found it, "regions" or "spotlights"; "" in old records.
    version : int or None
        Of that method.
    options : mapping or None
        What the search was asked for.
    shape : str
        Name under which its exact shape is kept; "" where center, precision and kernel say it all,
        or its labels do.
    center, precision : float64 arrays, or None
        Of a ball; a round stand-in where there is a ``shape``.
    kernel : str
        Of a ball.
    cut : float or None
        Of a direction, for people: its exact shape counts.
    total_weight : float or None
        In examples.
    weighted_loss : float or None
        On all raw losses, in loss units.
    outcome : mapping or None
        How the search for it ended.
    effect : Effect or None
        What examples that were kept aside say of it.
    p, p_cell : float or None
        That a search of shuffled losses finds one as good, and that its cell of the confusion
        matrix holds one as good.
    cell : bool or None
        Whether it is no more than a cell of the confusion matrix.
    real : bool or None
        Whether it is distinguishable from chance.
    more : mapping
        What else the source of a tag said, such as the filters of the page under ``within``.
    """

    key: str = ""
    index: int | None = None
    number: int | None = None
    name: str = ""
    kind: str = "ball"
    labels: tuple[str, ...] = ()
    scope: str = ""
    layer: str = ""
    method: str = ""
    version: int | None = None
    options: Mapping[str, Any] | None = None
    shape: str = ""
    center: NDArray[np.float64] | None = field(default=None, repr=False)
    precision: NDArray[np.float64] | None = field(default=None, repr=False)
    kernel: str = "gaussian"
    cut: float | None = None
    total_weight: float | None = None
    weighted_loss: float | None = None
    outcome: Mapping[str, Any] | None = None
    effect: Effect | None = None
    p: float | None = None
    p_cell: float | None = None
    cell: bool | None = None
    real: bool | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_source(self) -> dict[str, Any]:
        """Plain lists, numbers and texts, for JSON; what is not known is left out."""
        ball = self.kind == "ball"
        said = {
            "index": self.index,
            "key": self.key or None,
            "number": self.number,
            "name": self.name,
            "region_kind": None if ball else self.kind,
            "center": None if self.center is None else self.center.tolist(),
            "precision": None if self.precision is None else self.precision.tolist(),
            "kernel": self.kernel if ball else None,
            "options": None if self.options is None else dict(self.options),
            "layer": self.layer,
            "shape": self.shape or None,
            "cut": self.cut,
            "labels": list(self.labels) if self.labels or self.shape else None,
            "scope": self.scope or None,
            "method": self.method or None,
            "version": self.version,
            "weighted_loss": self.weighted_loss,
            "total_weight": self.total_weight,
            "outcome": None if self.outcome is None else dict(self.outcome),
            "effect": None if self.effect is None else self.effect.to_dict(),
            "p": self.p,
            "p_cell": self.p_cell,
            "cell": self.cell,
            "real": self.real,
        }
        told = {name: value for name, value in said.items() if value is not None}
        return {"kind": "region"} | told | dict(self.more)

    @classmethod
    def from_source(cls, source: Mapping[str, Any], *, told: str = "a region") -> FoundRegion:
        """The record in a source, which may come from anybody and from any version.

        Parameters
        ----------
        source : mapping
            As given to ``Store.tag``. A descriptive part of the wrong type counts as not there.
        told : str
            What to call the source in an error.

        Raises
        ------
        InputError
            If the source says where the region lies, and a part of that is not what it must be.
        """
        given = dict(source)
        try:
            placing = _placing(given, told)
        except InputError:
            if is_placed(given):
                raise
            placing = {}
        known = {"kind", *SHORT, *(one.name for one in fields(cls))}
        return cls(
            key=_text(given.get("key")),
            index=_whole(given.get("index")),
            number=_whole(given.get("number")),
            name=_text(given.get("name")),
            scope=_text(given.get("scope")),
            method=_text(given.get("method")),
            version=_whole(given.get("version")),
            options=_mapping(given.get("options")),
            cut=_number(given.get("cut")),
            total_weight=_number(given.get("total_weight")),
            weighted_loss=_number(given.get("weighted_loss")),
            outcome=_mapping(given.get("outcome")),
            effect=_effect(given.get("effect")),
            p=_number(given.get("p")),
            p_cell=_number(given.get("p_cell")),
            cell=_truth(given.get("cell")),
            real=_truth(given.get("real")),
            more={name: value for name, value in given.items() if name not in known},
            **placing,
        )

    @classmethod
    def from_result(
        cls,
        part: Mapping[str, NDArray[Any]],
        facts: Mapping[str, Any],
        *,
        job: str,
        index: int,
        method: str,
        options: Mapping[str, Any],
        name: str = "",
        shape: str = "",
    ) -> FoundRegion:
        """The record of a region in the result of a search.

        Parameters
        ----------
        part : mapping
            Arrays as ``one_region`` gives them.
        facts : mapping
            What the search says of the region, with the ``version`` of the method.
        job : str
            Key of the search.
        index : int
            Place of the region there, from 0; its number, from 1, where the search gives none.
        method : str
            The task that searched.
        options : mapping
            What it was asked for; ``kernel`` and ``layer`` among them where they matter.
        name : str
            What it is called; the search's own name by default.
        shape : str
            Name under which ``exact_shape`` is kept.
        """
        kind = facts.get("kind", "ball")
        ball = kind == "ball"
        return cls(
            key=f"{job}:{index}",
            index=index,
            number=int(facts.get("number", index + 1)),
            name=name or str(facts.get("name", "")),
            kind=kind,
            labels=tuple(map(str, facts.get("labels", ()))),
            scope=str(facts.get("scope", "")),
            layer=str(options.get("layer", "")),
            method=method,
            version=facts.get("version"),
            options=options,
            shape=shape,
            center=np.asarray(part["center"], np.float64) if ball else None,
            precision=np.asarray(part["precision"], np.float64) if ball else None,
            kernel=str(options.get("kernel", "gaussian")),
            cut=float(part["cut"]) if kind == "direction" else None,
            total_weight=_number(facts.get("total_weight")),
            weighted_loss=_number(facts.get("weighted_loss")),
            outcome=facts.get("outcome"),
            effect=_effect(facts.get("effect")),
            p=_number(facts.get("p")),
            p_cell=_number(facts.get("p_cell")),
            cell=_truth(facts.get("cell")),
            real=_truth(facts.get("real")),
        )

    @property
    def groups(self) -> str | None:
        """The column whose rows of one value the search kept together; None where it had none."""
        named = (self.options or {}).get("groups")
        return named if isinstance(named, str) else None

    def label(self, names: Mapping[str, str]) -> str:
        """What it is called: ``"<number> <name>"``, as somebody named it, else as in the record.

        ``names`` are those given by people, by key. A record from before regions carried their
        numbers is called by its name alone, else by its place counted from 1.
        """
        name = names.get(self.key, self.name) if self.key else self.name
        if self.number is not None:
            return f"{self.number} {name}".strip()
        return name or ("" if self.index is None else str(self.index + 1))

    def place(
        self, d: int, *, told: str = "a region", shapes: Mapping[str, Shape] | None = None
    ) -> Shape | None:
        """Where it lies; None when the record does not say it.

        Parameters
        ----------
        d : int
            Dimensions of the embeddings of its layer.
        told : str
            What to call it in an error.
        shapes : mapping of name to Shape, optional
            Exact shapes. A record that names one which is not here lies nowhere: a round stand-in
            would give other weights than were on screen.

        Raises
        ------
        InputError
            If shape, center or precision is not what a region of ``d`` dimensions has.
        """
        if self.kind == "label":
            return replace(Shape.label(*self.labels), layer=self.layer) if self.labels else None
        if self.kind == "direction" or self.shape:
            return self._exact(d, told, shapes or {})
        center, precision = self.center, self.precision
        if center is None or precision is None:
            return None
        preparation = _preparation(self.options, d, told)
        d = preparation[1] or d
        if center.shape != (d,):
            raise InputError(
                f"center of {told} must have the {d} numbers of an embedding: "
                f"got shape {center.shape}."
            )
        if precision.shape not in ((), (d,), (d, d)):
            raise InputError(
                f"precision of {told} must be one number, {d} numbers or {d} x {d} numbers: "
                f"got shape {precision.shape}."
            )
        if precision.ndim < 2 and not (precision >= 0).all():
            raise InputError(f"precision of {told} must not be negative: got {precision.min():g}.")
        return Shape.ball(
            center, precision, kernel=self.kernel, preparation=preparation, layer=self.layer
        )

    def _exact(self, d: int, told: str, shapes: Mapping[str, Shape]) -> Shape | None:
        """The kept shape it names, as this region has it."""
        exact = shapes.get(self.shape)
        # A ball of before regions carried numbers was evaluated only once its record was complete.
        incomplete = self.center is None or self.precision is None
        if exact is None or (self.kind == "ball" and self.number is None and incomplete):
            return None
        if exact.kind != self.kind:
            raise InputError(f"the shape of {told} must be a {self.kind}: got a {exact.kind}.")
        if exact.d != d:
            raise InputError(
                f"the shape of {told} must have the {d} dimensions of the embeddings: "
                f"got {exact.d}."
            )
        return replace(exact, labels=self.labels, layer=self.layer)


def is_placed(source: Mapping[str, Any]) -> bool:
    """Whether a source says where its region lies, itself or by the name of a kept shape.

    A ball of before regions carried numbers must say center and precision beside that name.
    """
    kind = source.get("region_kind")
    if kind == "label":
        return bool(source.get("labels"))
    numbered = kind == "direction" or source.get("number") is not None
    if numbered and source.get("shape") is not None:
        return True
    return source.get("center") is not None and source.get("precision") is not None


def short(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source without center, precision and numbers, for records that are made at every stroke.

    An export finds the rest of a region by its key, where its kept shape does not say all.
    """
    return {name: source[name] for name in (*SHORT, *OF_METHODS) if name in source}


def one_region(arrays: Mapping[str, NDArray[Any]], index: int) -> dict[str, NDArray[Any]]:
    """The arrays of one region, out of those of a search for regions or spotlights.

    ``weights`` (n,), ``scores`` (n,), ``center``, ``precision``, ``root``, ``vector``, ``cut`` as
    far as the search has them; ``members``, its rows without padding; ``shift`` and ``reach``.
    """
    part = {one: arrays[many][index] for one, many in _PLURAL.items() if many in arrays}
    if "members" in arrays:
        members = arrays["members"][index]
        part["members"] = members[members >= 0]
    return part | {name: arrays[name] for name in ("shift", "reach") if name in arrays}


def exact_shape(part: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Shape | None:
    """The shape of a region that only a kept one gives again; None where its record says it all.

    Parameters
    ----------
    part : mapping
        Arrays as ``one_region`` gives them.
    facts : mapping
        What the search says of the region; ``kind`` is "ball" where it says nothing.
    """
    kind = facts.get("kind", "ball")
    if kind == "direction":
        return Shape.direction(part["vector"], float(part["cut"]))
    if kind != "ball" or "root" not in part:
        return None
    drawn = np.isfinite(part["reach"])
    return Shape.ball(
        part["center"],
        root=np.asarray(part["root"], np.float32),
        shift=part["shift"] if drawn else None,
        reach=part["reach"],
    )


def layer_of(source: Mapping[str, Any] | None, told: str) -> str:
    """The layer that a source names; "" where it names none.

    Raises
    ------
    InputError
        If it is no text.
    """
    layer = (source or {}).get("layer") or ""
    if not isinstance(layer, str):
        raise InputError(f"layer of {told} must be text: got {type(layer).__name__}.")
    return layer


def _placing(given: dict[str, Any], told: str) -> dict[str, Any]:
    """What says where a region lies, checked; a source may be anything."""
    kind = given.get("region_kind", "ball")
    if not isinstance(kind, str):
        raise InputError(f"region_kind of {told} must be text: got {type(kind).__name__}.")
    check_choice(f"region_kind of {told}", kind, KINDS)
    found: dict[str, Any] = {
        "kind": kind,
        "layer": layer_of(given, told),
        "labels": _labels(given.get("labels"), told),
    }
    for part in ("center", "precision"):
        if given.get(part) is not None:
            found[part] = _numbers(f"{part} of {told}", given[part])
    if given.get("shape") is not None:  # the kernel of a kept shape is its own
        return found | {"shape": str(given["shape"])}
    kernel = given.get("kernel") or "gaussian"
    if not isinstance(kernel, str):
        raise InputError(f"kernel of {told} must be text: got {type(kernel).__name__}.")
    return found | {"kernel": check_choice(f"kernel of {told}", kernel, KERNELS)}


def _preparation(options: Any, d: int, told: str) -> tuple[str, int | None, int]:
    """How embeddings were prepared, from the options of a search, which may be anything."""
    given = options if isinstance(options, Mapping) else {}
    prepare, components = given.get("prepare", "none"), given.get("components")
    if prepare == "none":
        return "none", None, 0
    seed = given.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed of {told} must be a whole number from 0: got {str(seed)[:40]!r}.")
    try:
        check_preparation(prepare, components, d)
    except InputError as error:
        raise InputError(f"the preparation of {told}: {error}") from error
    return str(prepare), components, seed


def _labels(given: Any, told: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise InputError(f"labels of {told} must be a list of texts: got {str(given)[:60]}.")
    return tuple(given)


def _numbers(what: str, value: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{what} must be numbers: {error}.") from error
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InputError(f"{what} must be finite numbers: got {str(value)[:60]}.")
    return array.astype(np.float64)


def _effect(value: Any) -> Effect | None:
    if not isinstance(value, Mapping):
        return None
    try:
        return Effect.from_dict(value)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if np.isfinite(number) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None
