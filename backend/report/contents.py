"""What a report says, as plain data: gathered once, written as HTML or Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backend
from backend.bundle import Bundle
from backend.core.effects import Effect
from backend.core.errors import BackendError, InputError
from backend.core.groups import Group, sharp_group, weighted_group
from backend.core.plural import counted
from backend.describe import (
    AttributeColumn,
    WordIndex,
    compare_columns,
    compare_with,
    compared_columns,
    index_words,
    read_columns,
    tokens_of,
)
from backend.describe.naming.bundle import name_in_bundle
from backend.map.project import project
from backend.report.blind import BlindSummary, blind_summary
from backend.report.hypothesis import hypotheses
from backend.spotlight.membership import members
from backend.spotlight.regions.saved import region_facts
from backend.store import KnownRegion, Store

GALLERY = 12
TOKENS = 10
COLUMNS, VALUES = 4, 5
"""Attribute tables of a region, and rows of each."""
TEXT = 300
"""Signs of a text that are shown."""


@dataclass(frozen=True)
class Card:
    """One member in the gallery; empty text where a bundle says nothing."""

    id: str
    label: str
    prediction: str
    wrong: bool
    loss: float
    text: str
    image: bytes | None = field(repr=False)


@dataclass(frozen=True)
class ReportRegion:
    """One region with everything said of it; ``effect`` is what examples kept aside say of it."""

    number: int
    name: str
    group: Group = field(repr=False)
    outcome: str
    effect: Effect | None
    claim: Mapping[str, Any]
    cards: tuple[Card, ...] = field(repr=False)
    tokens: pd.DataFrame | None = field(repr=False)
    columns: tuple[tuple[str, pd.DataFrame], ...] = field(repr=False)


@dataclass(frozen=True)
class Chapter:
    """A part of the report that another page's result is told in: sentences, and tables below them."""

    title: str
    sentences: tuple[str, ...]
    tables: tuple[tuple[str, pd.DataFrame], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ReportContents:
    """Everything a report shows."""

    bundle: Bundle = field(repr=False)
    written: str
    versions: Mapping[str, str]
    options: Mapping[str, Any]
    regions: tuple[ReportRegion, ...]
    assessed: Mapping[str, Any]
    xy: NDArray[np.float32] | None = field(repr=False)
    map_note: str
    cards: pd.DataFrame = field(repr=False)
    blind: BlindSummary
    flagged: Mapping[str, int]
    known: tuple[KnownRegion, ...]
    methods: pd.DataFrame | None = field(repr=False)
    limits: tuple[str, ...]
    chapters: tuple[Chapter, ...] = field(default=(), repr=False)


def gather(
    bundle: Bundle,
    *,
    store: Store,
    regions: Any = None,
    assessment: Any = None,
    methods: pd.DataFrame | None = None,
    xy: Any = None,
    now: datetime | None = None,
    shown: int | None = None,
    chapters: Sequence[Chapter] = (),
) -> ReportContents:
    """Collect what a report says.

    Parameters
    ----------
    bundle : Bundle
    store : Store
        For names of regions, hypotheses, blind checks, tags and what is set aside.
    regions : cache Entry of a search, Regions, Spotlights, or iterable of Group, optional
        Without any the report says that none were searched. Of ``regions`` the report says what
        examples kept aside say; their names are those of the result. A name that somebody gave
        wins.
    assessment : Assessment, or its ``to_dict()``, optional
        How sure the regions are, one entry per region, in the same order; the meta of a task
        ``assess`` will do, and so will ``claims_of_regions``.
    methods : DataFrame, optional
        A table that compares methods; shown as it is.
    xy : array of shape (n, 2), optional
        The map; principal components without one.
    now : datetime, optional
        Time of writing, for reports that must be equal byte by byte.
    shown : int, optional
        How many entries of the list are in the report, and how many claims are given; all without
        it.
    chapters : sequence of Chapter
        What was asked beyond the regions: the cause, words, a repair; in this order after them.

    Raises
    ------
    InputError
        If regions or assessment do not belong to the bundle or to each other.
    """
    groups, meta, keys = _groups(bundle, regions, shown)
    assessed = assessment.to_dict() if hasattr(assessment, "to_dict") else dict(assessment or {})
    claims: Sequence[Mapping[str, Any]] = assessed.get("regions") or [{}] * len(groups)
    if len(claims) != len(groups):
        raise InputError(
            f"assessment must be of these regions: got {len(claims)} for {len(groups)} regions."
        )
    told = (meta.get("regions") or [{}] * len(groups))[: len(groups)]
    names = _names(bundle, groups, told, [store.region_names(bundle).get(key) for key in keys])
    if xy is None:
        made = project(bundle.embeddings, method="pca", losses=bundle.losses)
        xy, note = made.xy, made.note
    else:
        xy, note = np.asarray(xy, dtype=np.float32), "The map that was on screen."
        if xy.shape != (bundle.n, 2):
            raise InputError(f"xy must be ({bundle.n}, 2): got shape {xy.shape}.")
    described = _Described(bundle)
    when = (now or datetime.now(UTC)).astimezone(UTC)
    return ReportContents(
        bundle=bundle,
        written=when.strftime("%Y-%m-%d %H:%M UTC"),
        versions={
            "errorscope": backend.__version__,
            "python": platform.python_version(),
            **{
                str(k): str(v)
                for k, v in (meta.get("versions") or {"numpy": np.__version__}).items()
            },
            **({_search_of(meta): str(meta["version"])} if "version" in meta else {}),
        },
        options=_options(meta),
        regions=tuple(
            _region(described, at, group, name, facts_of_it, claim)
            for at, (group, name, facts_of_it, claim) in enumerate(
                zip(groups, names, told, claims, strict=True), start=1
            )
        ),
        assessed={name: value for name, value in assessed.items() if name != "regions"},
        xy=xy,
        map_note=note,
        cards=hypotheses(bundle, store),
        blind=blind_summary(bundle, store),
        flagged=store.tag_counts(bundle),
        known=tuple(store.known_regions(bundle)),
        methods=methods,
        limits=_limits(bundle, groups, bool(assessed), any("effect" in one for one in told)),
        chapters=tuple(chapters),
    )


def _options(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the search was asked for and not left open; of regions set aside before it, how many."""
    asked = (meta.get("options") or {}).items()
    options = {name: value for name, value in asked if value is not None and value != ""}
    if options.get("known"):
        options["known"] = f"{counted(len(options['known']), 'region')} set aside"
    return options


def _search_of(meta: Mapping[str, Any]) -> str:
    return "regions" if "n_regions" in (meta.get("options") or {}) else "spotlights"


def _groups(
    bundle: Bundle, regions: Any, shown: int | None
) -> tuple[list[Group], Mapping[str, Any], list[str]]:
    """Groups, the meta of the search and the key under which each may have been named."""
    if regions is None:
        return [], {}, []
    weights: Sequence[Any]
    rows: Sequence[Any]
    if hasattr(regions, "effects"):
        rows, weights, key = regions.members, regions.weights, ""
        meta: Mapping[str, Any] = {"regions": region_facts(regions, bundle.losses)}
    elif isinstance(regions, Iterable) and not hasattr(regions, "weights"):
        given = list(regions)
        if not all(isinstance(one, Group) for one in given):
            raise InputError("regions must be a search result or groups.")
        rows, weights, meta, key = (
            [one.rows for one in given],
            [one.weights for one in given],
            {},
            "",
        )
    elif hasattr(regions, "meta"):
        weights, meta, key = list(regions["weights"]), regions.meta, regions.key
        rows = [one[one >= 0] for one in regions["members"]]
    else:
        weights, meta, key = list(np.asarray(regions.weights)), {}, ""
        totals = np.asarray(regions.total_weights, dtype=float)
        rows = [members(one, total) for one, total in zip(weights, totals, strict=True)]
    for one in weights:
        if len(one) != bundle.n:
            raise InputError(
                f"regions must be of this bundle: got {len(one)} weights for {bundle.n} examples."
            )
    # Everything said of a region is said of its members; a spotlight is its weights.
    sharp = any("effect" in one for one in meta.get("regions", ()))
    groups = [
        sharp_group("region", row, bundle.losses)
        if sharp
        else weighted_group("region", row, weight, bundle.losses)
        for row, weight in zip(rows[:shown], weights[:shown], strict=True)
    ]
    return groups, meta, [f"{key}:{index}" for index in range(len(groups))]


def _names(
    bundle: Bundle,
    groups: Sequence[Group],
    told: Sequence[Mapping[str, Any]],
    given: Sequence[str | None],
) -> list[str]:
    """What somebody called each group, else what the result calls it, else what it holds."""
    full = [at for at, group in enumerate(groups) if len(group.rows)]
    names = [str(one.get("name", "")) for one in told]
    if not all(names[at] or given[at] for at in full):
        made = name_in_bundle(
            bundle,
            [groups[at].rows for at in full],
            kinds=[str(told[at].get("kind", "ball")) for at in full],
            scope_labels=[list(told[at].get("labels", ())) for at in full],
            given=[given[at] for at in full],
        )
        for at, name in zip(full, made, strict=True):
            names[at] = name
    return [
        mine or name or f"region {at}"
        for at, (mine, name) in enumerate(zip(given, names, strict=True), start=1)
    ]


class _Described:
    """What regions are described from, read once for all of them."""

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        self.columns: list[AttributeColumn] = read_columns(compared_columns(bundle))
        self.words: WordIndex | None = None
        if bundle.has_text:
            try:
                self.words = index_words(
                    bundle.examples["text"].tolist(), tokens_of, max_length=1, min_count=1
                )
            except InputError:  # no document holds a word
                self.words = None


def _region(
    described: _Described,
    number: int,
    group: Group,
    name: str,
    told: Mapping[str, Any],
    claim: Mapping[str, Any],
) -> ReportRegion:
    outcome = told.get("outcome") or {}
    ended = str(outcome.get("status", "converged"))
    return ReportRegion(
        number=number,
        name=name,
        group=group,
        outcome="" if ended == "converged" else str(outcome.get("message", ended)),
        effect=Effect.from_dict(told["effect"]) if told.get("effect") else None,
        claim=claim,
        cards=tuple(_card(described.bundle, int(row)) for row in group.rows[:GALLERY]),
        tokens=_tokens(described, group),
        columns=_columns(described, group),
    )


def _card(bundle: Bundle, row: int) -> Card:
    labels, predictions = bundle.label_names, bundle.prediction_names
    try:
        image = bundle.thumbnail(row)
    except BackendError:  # the file has gone since: the rest of the report still stands
        image = None
    text = str(bundle.examples["text"].iloc[row]) if bundle.has_text else ""
    return Card(
        id=str(bundle.ids[row]),
        label="" if labels is None else labels[row],
        prediction="" if predictions is None else predictions[row],
        wrong=bundle.correct is not None and not bundle.correct[row],
        loss=float(bundle.losses[row]),
        text=text if len(text) <= TEXT else text[: TEXT - 1] + "…",
        image=image,
    )


def _tokens(described: _Described, group: Group) -> pd.DataFrame | None:
    if described.words is None:
        return None
    comparison = compare_with(group.weights, members=group.rows, of="document")
    return described.words.compare(comparison, top=TOKENS).table


def _columns(described: _Described, group: Group) -> tuple[tuple[str, pd.DataFrame], ...]:
    comparison = compare_with(group.weights, members=group.rows)
    found = compare_columns(described.columns, comparison, described.bundle.losses)
    return tuple((one.name, one.table.head(VALUES)) for one in found[:COLUMNS])


def _limits(bundle: Bundle, groups: list[Group], assessed: bool, measured: bool) -> tuple[str, ...]:
    """What is not claimed, in sentences."""
    said = [
        "The numbers are about these "
        f"{bundle.n:,} examples. Other data, or the same data at another time, may differ.",
        "What members of a region share goes with high loss there; it is not shown to cause it.",
        "The map flattens the embedding to two dimensions. Regions were searched in the full space.",
    ]
    if measured:
        said.insert(
            0,
            "The mean loss of all members of a region is high by construction, as most of them were "
            "there to find it; what its kept-aside members show is the one to quote.",
        )
    elif groups and not assessed:
        said.insert(
            0,
            "The regions were searched for where losses are high and were not tested on other "
            "examples: their weighted losses are higher than what new examples would show.",
        )
    elif groups:
        said.insert(
            0,
            "The weighted loss of a region is measured on the examples that chose it and is too "
            "high; the held-out loss is the one to quote.",
        )
    if any(group.small for group in groups):
        said.append("Regions of fewer than 30 members are marked small: their means say little.")
    said.append(
        "A hypothesis was tested on examples not used to find it, but hypotheses share examples: "
        "read the adjusted p-value, which counts every test made in this bundle, deleted ones too."
    )
    if bundle.correct is None:
        said.append("Without labels and predictions nothing is said of error rates.")
    return tuple(said)
