"""Rules that confirm themselves: they pick examples by how the model did on them.

A hypothesis says that the examples of a rule have a higher loss. Where the rule itself goes by the
loss, that is so whatever the examples are. What a rule goes by is what it names, and what the tags
that it names were set by:

====================================  ==========================================================
``loss``                              circular: it picks examples by what is compared
``correct``                           circular: a wrong answer has a high loss by definition
``prediction`` beside ``label``       circular: together they say whether the answer is right, even
(or ``target``)                       where the rule only compares each with a constant
``prediction`` alone                  allowed and marked: the answer is known before the truth, so
                                      "its answer Shirt is seldom right" can be false; but it is no
                                      property of an example, and says nothing of why
``confidence over training``          as ``loss``: it is the probability of the label
``disagreement``, ``taxicab`` or      as ``prediction``: they compare answers of models
``pie`` of a population
``tagged``, set from a filter         as the rules of that filter
``tagged``, set on the highest        as ``loss``
losses
``tagged``, set on the first of a     as ``loss``, where the order goes by loss or margin
group
``tagged``, set on the hardest by     as that score
another score
``tagged``, set on the long tails     as ``loss``: low confidence in the label is a high loss
``tagged``, set on a mixture slice    as ``prediction`` beside ``label``: by these and the embedding
                                      an example belongs to it
``tagged``, set where several models  as ``correct``
fail
``tagged``, set where models differ   as ``prediction``
``tagged``, anything else             nothing: a region is found by losses, but what found it is set
                                      aside; a lasso or a random sample looks at no loss
====================================  ==========================================================

A column of the user's that holds losses under another name is not recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.rules.mentions import Mentions, mentions
from backend.rules.syntax import Rule, RuleError
from backend.scores import behind_score

SET_BY = {
    "high loss": "loss",
    "shared failures": "correct",
    "component": "correct",
    "long tails": "loss",
    "pie": "prediction",
}
"""Kinds of a set, as the source of a tag has them, each with the column that says who is in it."""
METHODS_GO_BY = {
    "highest_loss": frozenset({"loss"}),
    "mixture": frozenset({"label", "prediction"}),
}
"""Methods whose rule for any example looks at how the model did; others are searches, like regions."""
BY_LOSS = ("Loss", "Margin")
"""How orders of members begin that go by how the model did; the first in them are picked by it."""
ATTRIBUTE = " (attribute)"

SourcesOf = Callable[[str], Iterable[Mapping[str, Any] | None]]
"""Name of a tag -> the sources of the events that set it."""


@dataclass(frozen=True)
class Reliance:
    """What a rule says of how the model did, in a sentence each; "" where it says nothing of it.

    Attributes
    ----------
    circular : str
        Why the rule confirms itself.
    note : str
        What to keep in mind, where it does not.
    """

    circular: str = ""
    note: str = ""


def reliance(rule: Rule | str, sources_of: SourcesOf = lambda tag: ()) -> Reliance:
    """Whether a rule confirms itself, by the table above.

    Parameters
    ----------
    rule : Rule or str
    sources_of : callable, optional
        Says what a tag was set on. Without it nothing is known of tags.

    Raises
    ------
    RuleError
        If a text cannot be read.

    Examples
    --------
    >>> reliance("width > 2 and correct = no").circular
    'The rule goes by whether the answer is right, and a wrong answer has a high loss.'
    >>> reliance("width > 2")
    Reliance(circular='', note='')
    """
    found = mentions(rule)
    by = {_behind(column): "The rule" for column in found.columns}
    for tag in sorted(found.tags):
        for column in _behind_tag(tag, sources_of, frozenset()):
            by.setdefault(column, f"The tag '{tag}'")
    if "loss" in by:
        return Reliance(f"{by['loss']} goes by the loss itself, which is what the test compares.")
    if "correct" in by:
        return Reliance(
            f"{by['correct']} goes by whether the answer is right, and a wrong answer has a high "
            "loss."
        )
    if "prediction" not in by:
        return Reliance()
    truth = next((one for one in ("label", "target") if one in by), None)
    if truth is None:
        return Reliance(
            note=f"{by['prediction']} goes by the prediction: it is about the model's answers, not "
            "about what the examples are."
        )
    who = by["prediction"] if by["prediction"] == by[truth] else "The rule, with its tags,"
    return Reliance(
        f"{who} goes by {truth} and prediction together, which say whether the answer is right."
    )


def columns_behind(
    source: Mapping[str, Any] | None,
    sources_of: SourcesOf = lambda tag: (),
    seen: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """The columns that a set went by, out of the source of its tag; a source may be anything.

    ``seen`` are tags that are being looked at already.
    """
    found = said_by(source)
    columns = set(map(_behind, found.columns))
    for tag in found.tags:
        columns |= _behind_tag(tag, sources_of, seen)
    return frozenset(columns)


def said_by(source: Any) -> Mentions:
    """Columns and tags that a set went by, out of its own source and of those it was taken from."""
    if not isinstance(source, Mapping):
        return Mentions()
    kind = source.get("kind")
    found = said_by(source.get("from"))
    if kind == "rule":
        found |= _read(source.get("rule"))
    if kind == "subgroup":
        found |= Mentions(frozenset(_texts(source.get("attributes"))))
    if kind == "tag":
        found |= Mentions(tags=frozenset(_texts(source.get("tags", [source.get("tag")]))))
    steps = source.get("steps") if kind == "selection" else None
    for part in (source.get("rules"), source.get("within"), source.get("filters"), steps):
        found |= _of_steps(part)
    return found | Mentions(gone_by(source))


def gone_by(source: Mapping[str, Any] | None) -> frozenset[str]:
    """The columns that say by themselves who is in a set, by what kind of set it is."""
    source = source or {}
    kind = source.get("kind")
    if kind == "hardest":
        behind = behind_score(str(source.get("score")))
        return frozenset() if behind is None else frozenset({behind})
    if kind == "picked" and str(source.get("order", "")).startswith(BY_LOSS):
        return frozenset({"loss"})
    if kind == "method":
        return METHODS_GO_BY.get(str(source.get("method")), frozenset())
    by = SET_BY.get(str(source.get("of") if kind == "review" else kind))
    return frozenset() if by is None else frozenset({by})


def _behind_tag(tag: str, sources_of: SourcesOf, seen: frozenset[str]) -> frozenset[str]:
    if tag in seen:
        return frozenset()
    seen |= {tag}
    return frozenset().union(*(columns_behind(one, sources_of, seen) for one in sources_of(tag)))


def _of_steps(steps: Any) -> Mentions:
    """What the filters or steps of a view name, as ``View.told`` writes them."""
    found = Mentions()
    for step in steps if isinstance(steps, list | tuple) else ():
        what = step.get("what") if isinstance(step, Mapping) else None
        if isinstance(what, Mapping) and "rule" in what:
            found |= _read(what["rule"])
    return found


def _read(rule: Any) -> Mentions:
    """What a stored rule names; nothing where it cannot be read any more."""
    try:
        return mentions(rule) if isinstance(rule, str) else Mentions()
    except RuleError:
        return Mentions()


def _texts(given: Any) -> list[str]:
    return [one for one in given if isinstance(one, str)] if isinstance(given, list | tuple) else []


def _behind(column: str) -> str:
    """``label (attribute)`` speaks of the label as ``label`` does; a score, of what it goes by."""
    return behind_score(column) or column.removesuffix(ATTRIBUTE)
