"""The groups of two runs that are compared: who is in each, and whose errors had no say in that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.before_after import AFTER, BEFORE
from backend.cache import Cache
from backend.core.errors import BackendError
from backend.core.found import FoundRegion, one_region
from backend.core.parts import group_codes
from backend.core.progress import Progress
from backend.report import Origins, set_aside
from backend.report.origin import region_groups
from backend.rules import evaluate
from backend.rules.cards import card_now
from backend.rules.write import value_rule
from backend.tasks.changes import EVERYTHING
from backend.tasks.kept import kept_result
from backend.tasks.populations import category_column, grouping_columns
from backend.tasks.regions import count_shown, known_rows
from backend.tasks.table import complete_options

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.store import Store

LABEL, COLUMN, TAG, HYPOTHESIS = "label", "column", "tag", "hypothesis"
REGION_BEFORE, REGION_AFTER = "region before", "region after"
FEWEST_MEMBERS = 30
"""A value of a column with fewer examples is no group of the table."""
MOST_VALUES = 20
"""Columns of more values are left out."""
MOST_OF_COLUMNS = 120
"""Values of columns that are compared at most, the most frequent first."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ComparedGroup:
    """One line of the table: rows are of the run that ``of`` names.

    Attributes
    ----------
    kind, name : str
    of : {"before", "after"}
        In whose rows members are told.
    members, measured : int array
        All members, and those whose losses had no say in who is a member.
    chosen : bool
        Whether losses of that run had a say in who is one.
    source : dict
        What the record of a tag would say.
    groups : int array of shape (n,), or None
        Rows of one code belong together.
    """

    kind: str
    name: str
    of: str
    members: Rows = field(repr=False)
    measured: Rows = field(repr=False)
    chosen: bool
    source: dict[str, Any] = field(repr=False)
    groups: NDArray[np.int64] | None = field(default=None, repr=False)


def plain_groups(bundle: Bundle) -> Iterator[ComparedGroup]:
    """Everything, each label, and the values of the columns: nobody's errors chose them."""
    yield _plain(EVERYTHING, "all examples", np.arange(bundle.n), {"kind": "filter", "rules": []})
    if bundle.label_codes is not None and bundle.class_names is not None:
        for code in np.unique(bundle.label_codes):
            name = bundle.class_names[code]
            rule = value_rule("label", name)
            rows = np.flatnonzero(bundle.label_codes == code)
            yield _plain(LABEL, name, rows, {"kind": "rule", "rule": rule})
    found = []
    for column in grouping_columns(bundle).usable:
        values = category_column(bundle, column).astype(str)
        names, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
        if not 2 <= len(names) <= MOST_VALUES:
            continue
        for place in np.flatnonzero((counts >= FEWEST_MEMBERS) & (names != "")):
            rows = np.flatnonzero(codes == place)
            name = f"{column}={names[place]}"
            source = {"kind": "subgroup", "group": name, "attributes": [column]}
            found.append(_plain(COLUMN, name, rows, source))
    yield from sorted(found, key=lambda one: -len(one.members))[:MOST_OF_COLUMNS]


def found_regions(
    bundle: Bundle, of: str, store: Store, cache: Cache, progress: Progress
) -> list[ComparedGroup]:
    """The regions that the Spotlights page lists of a run, measured on those kept aside from its search."""
    known = known_rows(bundle, store.known_regions(bundle))
    options = complete_options("regions", {"known": known})
    result = kept_result("regions", bundle, options, progress=progress, cache=cache)
    facts = result.meta["regions"]
    given, origins = store.region_names(bundle), Origins(bundle, store)
    kind = REGION_BEFORE if of == BEFORE else REGION_AFTER
    found = []
    for index in range(count_shown(facts)):
        part = one_region(result.arrays, index)
        told = {**facts[index], "version": result.meta["version"]}
        record = FoundRegion.from_result(
            part, told, job=result.key, index=index, method="regions", options=options
        )
        name = record.label(given)
        found.append(_told(bundle, kind, name, of, part["members"], record.to_source(), origins))
    return found


def tagged_groups(bundle: Bundle, of: str, store: Store) -> list[ComparedGroup]:
    """What people tagged in the log of a run."""
    origins, tags = Origins(bundle, store), store.tags(bundle)
    found = []
    for name, held in tags.groupby("tag", sort=True):
        rows = np.sort(bundle.rows_of(held["id"].to_numpy(dtype=str)))
        if len(rows):
            source = {"kind": "tag", "tag": str(name)}
            found.append(_told(bundle, TAG, str(name), of, rows, source, origins))
    return found


def asked_groups(bundle: Bundle, of: str, store: Store) -> list[ComparedGroup]:
    """What the hypotheses of a run are about; those whose rule cannot be read are passed over."""
    origins, tags = Origins(bundle, store), store.tags(bundle)
    found = []
    for event in store.hypotheses(bundle):
        card = card_now(event.payload["card"], origins.sources)
        rule = card.get("rule")
        if not rule:
            continue
        try:
            rows = np.flatnonzero(evaluate(rule, bundle, tags))
        except BackendError:
            continue
        if not len(rows):
            continue
        source = {"kind": "rule", "rule": rule}
        one = _told(bundle, HYPOTHESIS, card["sentence"], of, rows, source, origins)
        read_from = origins.rows_used(card.get("source"), rows)
        if read_from is not None:
            measured = one.measured[~read_from[one.measured]]
            one = replace(one, measured=measured, chosen=True)
        found.append(one)
    return found


def _plain(kind: str, name: str, rows: Rows, source: dict[str, Any]) -> ComparedGroup:
    return ComparedGroup(kind, name, AFTER, rows, rows, False, source)


def _told(
    bundle: Bundle,
    kind: str,
    name: str,
    of: str,
    rows: Any,
    source: dict[str, Any],
    origins: Origins,
) -> ComparedGroup:
    members = np.asarray(rows, np.int64)
    used = set_aside(bundle, source, members, origins)
    measured = members if used is None else members[~used[members]]
    column = region_groups(bundle, source)
    groups = None if column is None else group_codes(bundle, column)
    return ComparedGroup(kind, name, of, members, measured, used is not None, source, groups)
