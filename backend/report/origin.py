"""What a hypothesis was read from: the rows that this used up, and a rule to begin with.

Rows are used up when their losses had a say in what the hypothesis is about. A region, or a group of
another method, uses up the rows that found or chose it, which are all but those kept aside from its
search; its kept-aside members then confirm or contradict it like any others. Where a search kept
nothing aside, and where people looked at losses, the members themselves are set aside, and the rule
reaches beyond them. What no loss found, such as the rule of a filter or a lasso, leaves a random half
for the test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.core.found import SAMPLED, FoundRegion
from backend.core.parts import bundle_aside, group_codes
from backend.rules.circular import columns_behind, gone_by, said_by
from backend.store import Store

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
OF_THE_MODEL = frozenset({"loss", "correct", "prediction"})
"""Columns that say how the model did."""
PASSED_ON = ("picked", "keyboard", "members with", "group", "sharpened")
"""Kinds of a set that was taken out of another, which stands under ``from``."""
UNSEEN = ("filter", "rule", "tag", "subgroup", "random", "selection", "lasso")
"""Kinds of a set that columns or people made, and no loss did, unless a rule of theirs goes by it."""


RATED_WHOLE = (
    "Chosen for its rate? That rate is of all examples, the half kept for the test among them, so p is "
    "too small: read it times the number of groups that were compared."
)
"""Said of a group of columns that stood in a table of rates. Of tables of 59 groups made by chance
the worst one, tested so, is called supported at .05 in 36 of 100; with p times 59 in one."""
NAMED = "contexts"
"""What the source of a context that a model read in its members calls its method."""
KEEPS_ASIDE = 8
"""Version of the search for regions from which on it leaves rows out."""


@dataclass(frozen=True)
class TagOrigin:
    """Where a tag comes from.

    Attributes
    ----------
    sources : tuple of dict or None
        Of the events that set it, each once.
    used : bool array of shape (n,), or None
        Rows whose losses had a say in who carries it; None where no loss had.
    """

    sources: tuple[Mapping[str, Any] | None, ...] = ()
    used: Mask | None = field(default=None, repr=False)


class Origins:
    """Where the tags of a bundle come from, looked up as they are asked for."""

    def __init__(self, bundle: Bundle, store: Store) -> None:
        self._bundle, self._store = bundle, store
        self._known: dict[str, TagOrigin] = {}
        self._aside: dict[str | None, Mask] = {}

    def of(self, tag: str) -> TagOrigin:
        """Where a tag comes from; nothing is known of one that no example carries."""
        if tag not in self._known:
            self._known[tag] = TagOrigin()  # also what a tag made of itself finds
            sources = self._sources(tag)
            used = [self.rows_used(source, rows) for source, rows in sources]
            told = tuple(source for source, _ in sources)
            self._known[tag] = TagOrigin(told, _union(used))
        return self._known[tag]

    def sources(self, tag: str) -> tuple[Mapping[str, Any] | None, ...]:
        """The sources of a tag."""
        return self.of(tag).sources

    def rows_used(self, source: Mapping[str, Any] | None, members: Rows) -> Mask | None:
        """The rows whose losses had a say in a set of examples.

        Parameters
        ----------
        source : mapping or None
            Where the set comes from, as it is stored with a tag.
        members : int array of shape (k,)
            Its rows.

        Returns
        -------
        bool array of shape (n,), or None
            None where no loss had a say.
        """
        if (source or {}).get("kind") == "sharpened":  # answers look at no loss, the start may have
            start = self._bundle.rows_of([str(one) for one in (source or {}).get("start", [])])
            members = np.union1d(members, start)
        found = [self.of(tag).used for tag in said_by(source).tags]
        origin = taken_from(source)
        kind = (origin or {}).get("kind")
        looked_at = columns_behind(source, self.sources)
        if keeps_aside(
            origin
        ):  # what the search itself went by it saw of the rows that are used up
            looked_at -= gone_by(origin)
        if looked_at & OF_THE_MODEL:
            found.append(self._mask(members))
        if keeps_aside(origin):
            found.append(~self._kept_aside(region_groups(self._bundle, origin)))
        elif kind is not None and kind not in UNSEEN:
            found.append(self._mask(members))
        return _union(found)

    def of_regions(self) -> Mask | None:
        """The rows used by regions that somebody tagged; None where nobody did."""
        tags = self._store.tag_counts(self._bundle)
        return _union(
            self.rows_used(source, rows)
            for tag in tags
            for source, rows in self._sources(tag)
            if (source or {}).get("kind") == "region"
        )

    def _sources(self, tag: str) -> list[tuple[Mapping[str, Any] | None, Rows]]:
        """Each source of a tag with the rows that it set it on and that still carry it."""
        held = self._store.tags(self._bundle)
        held = held[held["tag"] == tag]
        seqs, place = np.unique(held["source_seq"].to_numpy(dtype=np.int64), return_inverse=True)
        rows = pd.Index(self._bundle.ids).get_indexer(held["id"])
        found: dict[str, tuple[Mapping[str, Any] | None, list[Rows]]] = {}
        sources = {one.seq: one.source for one in self._store.events_at(self._bundle, seqs)}
        for at, seq in enumerate(seqs.tolist()):
            source = sources.get(seq)
            mine = rows[(place == at) & (rows >= 0)]
            found.setdefault(json.dumps(source, sort_keys=True), (source, []))[1].append(mine)
        return [(source, np.concatenate(parts)) for source, parts in found.values()]

    def _mask(self, rows: Rows) -> Mask:
        mask = np.zeros(self._bundle.n, dtype=bool)
        mask[rows] = True
        return mask

    def _kept_aside(self, groups: str | None) -> Mask:
        if groups not in self._aside:
            self._aside[groups] = bundle_aside(self._bundle, groups)
        return self._aside[groups]


def taken_from(source: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The set that one was taken out of, however often; a set of its own is itself."""
    while isinstance(source, Mapping) and source.get("kind") in PASSED_ON:
        source = source.get("from")
    return source if isinstance(source, Mapping) else None


def chosen_by_rate(source: Mapping[str, Any] | None) -> str:
    """What to say of a set that columns made, but that may have been picked for its loss; or ''."""
    return RATED_WHOLE if (taken_from(source) or {}).get("kind") == "subgroup" else ""


def keeps_aside(source: Mapping[str, Any] | None) -> bool:
    """Whether the search that found a region or group left out the rows that are kept aside.

    That is so where its record says what those rows show, or is a short one of a version that leaves
    them out, and of another method's group where its source says so. Spotlights are found on all rows.
    """
    if source is not None and source.get("kind") == "method":
        return source.get("kept_aside") is True
    record = _record(source)
    if record is None or record.method != "regions":
        return False
    told = record.effect is not None or (source or {}).get("kind") == SAMPLED
    return told or (record.version is not None and record.version >= KEEPS_ASIDE)


def region_groups(bundle: Bundle, source: Mapping[str, Any] | None) -> str | None:
    """The column of near-duplicates that a region or group, or what it was taken from, was found with."""
    origin = taken_from(source)
    if origin is not None and origin.get("kind") == "method":
        groups = origin.get("groups")
    else:
        record = _record(origin)
        groups = None if record is None else record.groups
    known = isinstance(groups, str) and groups in bundle.examples.columns
    return groups if known else None


def _record(source: Mapping[str, Any] | None) -> FoundRegion | None:
    if source is None or source.get("kind") not in ("region", SAMPLED):
        return None
    try:
        return FoundRegion.from_source(source)
    except InputError:  # it lies nowhere, and nothing is known of its search
        return None


def _union(masks: Iterable[Mask | None]) -> Mask | None:
    known = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(known) if known else None


def units_of(bundle: Bundle, groups: str | None) -> NDArray[np.int64]:
    """Number of the near-duplicate group of each row; its own where none is known.

    Raises
    ------
    InputError
        If the bundle has no such column.
    """
    if groups is None:
        return np.arange(bundle.n)
    codes = group_codes(bundle, groups)
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.sum())
    return codes
