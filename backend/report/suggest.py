"""A rule to begin a hypothesis with, out of the group that it starts from.

What somebody filtered by or tagged is a rule already, and stays as it is. A region is said by what
lies around its strongest members, within the labels that it is bound to; any other group by the
labels and columns that its members share, of one that a search found by those of its members that
had a part in finding it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.bundle import Bundle
from backend.core.found import FoundRegion
from backend.describe import describe_facts, read_columns
from backend.report.confirmation import MIN_SIDE
from backend.report.origin import (
    NAMED,
    Mask,
    Origins,
    Rows,
    keeps_aside,
    region_groups,
    taken_from,
    units_of,
)
from backend.rules import attribute_name, evaluate, left_to_worker, parse
from backend.rules.pieces import nearest_to
from backend.rules.syntax import MAX_TOP, And, Or, Rule, Tagged, Value, to_text
from backend.rules.write import joined, level_rule, near_rule, value_rule

ANCHORS = 5
"""Members of a region that its rule starts from; fewer where their ids are long."""
SURROUNDINGS = 4
"""How many times the members a rule reaches where the members themselves are set aside."""
UNUSED = 2 * MIN_SIDE
"""Unused examples that it reaches at least, however small the group is."""


@dataclass(frozen=True)
class Suggestion:
    """What a hypothesis starts with.

    Attributes
    ----------
    rule : str
        "" where nothing says it.
    used : bool array of shape (n,), or None
        Rows that it was found on, to be set aside; None for a random half.
    groups : str or None
        The column of near-duplicates that was respected in finding it.
    around : str
        Where there is no rule yet: one whose pieces a worker has to work out before.
    """

    rule: str
    used: Mask | None = field(repr=False)
    groups: str | None
    around: str = ""


@dataclass(frozen=True)
class _Around:
    """A rule still to be measured: what lies around some members.

    Attributes
    ----------
    anchors : int array
        Members that distances are measured from; none where no rule can name them.
    size : int
        Members of the group.
    times : int
        How many times as many examples it reaches.
    within : str or None
        The rule that all of them fulfil.
    """

    anchors: Rows
    size: int
    times: int
    within: Rule | None

    def rule(self, bundle: Bundle, top: int) -> str:
        """The rule of the ``top`` nearest."""
        if not len(self.anchors):
            return ""
        return (
            near_rule([str(one) for one in bundle.ids[self.anchors]], top, within=self.within) or ""
        )


def suggest_hypothesis(
    bundle: Bundle,
    source: Mapping[str, Any],
    members: Rows,
    origins: Origins,
    *,
    patient: bool = True,
) -> Suggestion:
    """The rule that a group is, or else one that says what it is like, with the rows it used up.

    Parameters
    ----------
    source : mapping
        Where the group comes from, as it is stored with a tag.
    members : int array of shape (k,)
        Its rows, most typical first.
    origins : Origins
    patient : bool
        Whether distances are measured here however long that takes. Without it a rule that needs
        many is left open, see ``Suggestion.around``; asked again once those are known, it is there.

    Notes
    -----
    A filter's rules, a rule and tags are taken as they are. What was drawn or picked has no rule of
    its own; its members suggested what is said of them, and are set aside even where they were drawn
    without a look at any loss. Members of a context that a model read share nothing else that a rule
    could say: they are listed, where a line holds their ids.
    """
    used = set_aside(bundle, source, members, origins)
    groups = region_groups(bundle, source)
    own: str | _Around | None = _own_rule(source)
    units = np.arange(bundle.n)
    if own is None and not len(members):
        return Suggestion("", used, groups)
    if own is None and source.get("kind") == "region":
        own, units = _region_rule(bundle, source, members), units_of(bundle, groups)
    if own is None and source.get("method") == NAMED:
        own = value_rule("id", tuple(str(one) for one in bundle.ids[np.sort(members)]))
    if own is None:
        own = _shared_rule(bundle, members, used, found=keeps_aside(taken_from(source)))
    if isinstance(own, str):
        return Suggestion(own, used, groups)
    furthest = own.rule(bundle, MAX_TOP)
    if not patient and left_to_worker([furthest], bundle):
        return Suggestion("", used, groups, around=furthest)
    unused = np.ones(bundle.n, dtype=bool) if used is None else ~used
    return Suggestion(own.rule(bundle, _reach(bundle, own, unused, units)), used, groups)


def set_aside(
    bundle: Bundle, source: Mapping[str, Any], members: Rows, origins: Origins
) -> Mask | None:
    """The rows that a hypothesis read from a group cannot be tested on; None for a random half."""
    used = origins.rows_used(source, members)
    if used is None and source.get("kind") == "selection":
        used = np.zeros(bundle.n, dtype=bool)
        used[members] = True
    return used


def _own_rule(source: Mapping[str, Any]) -> str | None:
    """The rule that a group is; None where it was not made by rules alone."""
    kind = source.get("kind")
    if kind == "rule":
        return str(source["rule"])
    if kind == "tag":
        tags = tuple(Tagged(Value(str(one))) for one in source.get("tags", [source.get("tag")]))
        return to_text(tags[0] if len(tags) == 1 else Or(tags))
    if kind != "filter":
        return None
    parts = [one["what"].get("rule") for one in source.get("rules", ())]
    if not parts or not all(isinstance(one, str) for one in parts):
        return None
    if len(parts) == 1:
        return str(parts[0])
    trees: list[Rule] = []
    for tree in map(parse, parts):
        trees += tree.rules if isinstance(tree, And) else (tree,)
    return to_text(And(tuple(trees)))


def _region_rule(bundle: Bundle, source: Mapping[str, Any], members: Rows) -> str | _Around:
    """The surroundings of a region's strongest members, within the labels it is bound to.

    What its members share would say too much: a region inside one label is not the label.
    """
    record = FoundRegion.from_source(source)
    labels = record.labels[0] if len(record.labels) == 1 else record.labels
    within = value_rule("label", labels) if record.labels else None
    if record.kind == "label":
        return within or ""
    return _around(bundle, members, 1 if keeps_aside(source) else SURROUNDINGS, within)


def _around(bundle: Bundle, members: Rows, times: int, within: str | None) -> _Around:
    """What lies around as many of the first members as a rule can name."""
    scope = None if within is None else parse(within)
    for count in range(min(ANCHORS, len(members)), 0, -1):
        around = _Around(members[:count], len(members), times, scope)
        if around.rule(bundle, MAX_TOP):
            return around
    return _Around(members[:0], len(members), times, scope)


def _reach(bundle: Bundle, around: _Around, unused: Mask, units: Rows) -> int:
    """So many times as many examples as members.

    More where too few of them were unused, but at most half of all examples.
    """
    if not len(around.anchors):
        return 0
    everyone = np.arange(bundle.n)
    scope = around.within
    among = everyone if scope is None else np.flatnonzero(evaluate(scope, bundle))
    ranked = nearest_to(bundle, around.anchors, among)
    fresh = ranked[unused[ranked]]
    firsts = fresh[np.sort(np.unique(units[fresh], return_index=True)[1])]
    enough = 0
    if len(firsts):
        last = firsts[min(UNUSED, len(firsts)) - 1]
        enough = int(np.flatnonzero(ranked == last)[0]) + 1
    most = max(around.size, min(bundle.n // 2, MAX_TOP))
    return min(max(around.times * around.size, enough), most, MAX_TOP)


def _shared_rule(bundle: Bundle, members: Rows, used: Mask | None, *, found: bool) -> str | _Around:
    """What the members of a group share, as a rule; else what lies around the first of them.

    Labels and columns are named, predictions are not: what the model answered is no property of
    the example. In a group that was ``found`` without the unused rows, those that found it speak.
    """
    finders = members
    if found and used is not None and used[members].any():
        finders = members[used[members]]  # the others may be members by what became of them
    labels = bundle.label_names
    columns = bundle.examples[[name for name in bundle.attributes if name != "label"]]
    parts: list[str | None] = []
    if labels is not None or not columns.empty:
        facts = describe_facts(
            np.isin(np.arange(bundle.n), finders), labels=labels, examples=columns
        )
        for name, value in zip(facts["column"], facts["value"], strict=True):
            if name == "label" and labels is not None:
                parts.append(value_rule("label", value))
                continue
            (column,) = read_columns(columns[[name]])
            code = int(np.flatnonzero(column.levels == value)[0])
            parts.append(level_rule(attribute_name(bundle, name), column, code))
    if rule := joined(parts):
        return rule
    ordered = np.concatenate([finders, np.setdiff1d(members, finders)])
    return _around(bundle, ordered, 1 if found else SURROUNDINGS, None)
