"""What is said of one group: the traits that tell it from its labels and, at need, from its likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backend.describe.naming.examples import Examples
from backend.describe.naming.outcome import HALF, GroupOutcome, outcome_of
from backend.describe.naming.reference import Mask, Reference, Rows, refer
from backend.describe.naming.traits import PLAINLY, Source, Trait, telling

MAX_PARTS = 3
LENGTH = 60
"""Names are no longer where that can be."""
PIECES = (24, 20, 16, 13)
"""Characters that a label, a column or a level may take; fewer where the name gets too long."""
MIN_SHARE, MIN_WORD = 0.5, 0.25
"""What is said is true of this share of a group; a word of this share of its texts."""
MIN_LEAD, MIN_LIFT = 0.2, 1.5
"""... of this much more of the group than of the rest of its labels, and so many times as much."""
MORE_OVERALL = 0.05
"""... of this much more of the group than of all examples; "mostly" of no more than half of all."""
MAX_CHANCE = 0.01
"""... and chance would show any such thing at most this often."""
MIN_GAIN = 1.15
"""One more thing must make what is said this much more telling."""
LOOSE_SHARE, LOOSE_LEAD, APART = 0.3, 0.1, 0.15
"""Less is asked of what tells a group apart from one of the same name: it leads by this share."""
NOTHING = "nothing else in common"
"""Said of a group that only its answers make: somebody who knows these knows all of it."""


@dataclass(frozen=True, eq=False)
class Sayings:
    """What is said of one group.

    Attributes
    ----------
    reference : Reference
    outcome : GroupOutcome
    facts : list of Trait
        Of columns and words, the most telling first.
    range : Trait or None
        Of predictions or targets.
    sought : bool
        Whether there are columns or texts in which something could have been found.
    """

    reference: Reference
    outcome: GroupOutcome
    facts: list[Trait]
    range: Trait | None
    sought: bool

    @property
    def bare(self) -> bool:
        """Whether there is nothing to say, or the label only."""
        return self.outcome.bare and not self.facts and self.range is None


def sayings_of(examples: Examples, members: Rows, bound: Sequence[str]) -> Sayings:
    """What is said of the group of these members; ``bound`` are the labels it was looked for in."""
    reference = refer(members, examples.strata, np.arange(examples.n), everybody=True)
    outcome = outcome_of(examples.answers, examples.errors, reference, bound)
    chance = MAX_CHANCE / examples.searched
    found = _telling(examples.sources, reference, MIN_SHARE, MIN_LEAD, chance)
    facts = _joined([], found, reference)[:MAX_PARTS]
    ranges = _telling(examples.ranges, reference, PLAINLY, MIN_LEAD, chance)[:1]
    more = _joined(facts, ranges, reference)[len(facts) :]
    if ranges and not more and ranges[0].telling > _all_telling(facts, reference):
        more, facts = ranges, _joined(ranges, found, reference)[1:MAX_PARTS]
    words = _words(examples, reference)
    if words and facts and words[0].telling <= facts[0].telling:
        words, facts = [facts[0], *words], facts[1:]
    facts = [*words, *facts]
    if outcome.mistaken and not facts and not more:
        facts = _of_mistakes(examples, reference)
    sought = bool(examples.sources) or examples.words is not None
    return Sayings(reference, outcome, facts, more[0] if more else None, sought)


def _telling(
    sources: Sequence[Source], reference: Reference, share: float, lead: float, chance: float
) -> list[Trait]:
    """Traits of at least this share and lead that are no accident."""
    return [
        trait
        for source in sources
        for trait in source.traits(reference, share, lead)
        if _stands_out(trait, chance)
    ]


def _of_mistakes(examples: Examples, reference: Reference) -> list[Trait]:
    """What sets the wrong members apart from right examples of their labels, though less plainly."""
    answers = examples.answers
    if answers is None or answers.predictions is None:
        return []
    right = answers.labels == answers.predictions
    wrong = reference.members[~right[reference.members]]
    if not np.isin(answers.labels[wrong], answers.labels[right]).any():
        return []
    against = refer(wrong, examples.strata, np.flatnonzero(right))
    chance = MAX_CHANCE / examples.searched
    found = _telling(examples.sources, against, LOOSE_SHARE, APART, chance)
    words = _words(examples, against)
    return words or sorted(found, key=lambda trait: (-trait.telling, trait.text(LENGTH)))[:1]


def facts_apart(examples: Examples, sayings: Sayings, others: Sequence[Rows]) -> Iterator[Trait]:
    """What a group has more often than ``others`` of its name, what it leads by most first."""
    reference = sayings.reference
    found = [
        trait
        for source in (*examples.sources, *examples.ranges)
        for trait in source.traits(reference, LOOSE_SHARE, LOOSE_LEAD)
    ]
    if examples.words is not None:
        own = examples.words.reference(reference.members, examples.strata)
        found += examples.words.traits(own, MIN_WORD, MIN_LEAD)
    said = [*sayings.facts, *([sayings.range] if sayings.range is not None else [])]
    ranked: list[tuple[float, float, str, Trait]] = []
    for trait in found:
        if not _stands_out(trait, MAX_CHANCE) or any(trait.source is one.source for one in said):
            continue
        leads = [trait.share - trait.among(rows) for rows in others]
        lead = min([lead for lead in leads if lead == lead], default=trait.share - trait.base)
        if lead >= APART:
            ranked.append((-round(lead, 9), -trait.telling, trait.text(LENGTH), trait))
    yield from (trait for *_, trait in sorted(ranked, key=lambda one: one[:3]))


def fitted(sayings: Sayings, *, more: Trait | None = None, like: str = "") -> str:
    """The name in which as much is said as there is room for.

    ``more`` is said in any case, and so is ``like``, what the group is like.
    """
    outcome = sayings.outcome
    facts = [*sayings.facts, *([sayings.range] if sayings.range is not None else [])]
    last = more is not None or bool(like)
    fixed = (outcome.label is not None) + bool(outcome.error) + last
    facts = facts[: max(0 if fixed > 1 else 1, MAX_PARTS - fixed)]
    name = ""
    for n_facts in range(len(facts), min(0 if last else 1, len(facts)) - 1, -1):
        said = facts[:n_facts] + ([more] if more is not None else [])
        # The range of predictions stands beside their error.
        said.sort(key=lambda trait: trait is sayings.range)
        for limit in PIECES:
            parts = [] if outcome.label is None else [outcome.label(limit)]
            parts += [trait.text(limit) for trait in said]
            parts += [outcome.error] if outcome.error else []
            name = ", ".join(parts)
            if like:
                bare = not said and outcome.bare
                bare = bare and not name.startswith("mostly ")
                name = f"{name}{' ' if bare else ', '}{like}" if name else like
            if not said and not last and not outcome.bare and sayings.sought:
                return f"{name}, {NOTHING}"
            if len(name) <= LENGTH:
                return name
    return name


def _words(examples: Examples, reference: Reference) -> list[Trait]:
    words = examples.words
    if words is None:
        return []
    chance = MAX_CHANCE / max(1, words.searched)
    own = words.reference(reference.members, examples.strata)
    found = words.traits(own, MIN_WORD, MIN_LEAD)
    return [trait for trait in found if _stands_out(trait, chance)][:1]


def _stands_out(trait: Trait, chance: float) -> bool:
    return (
        trait.share >= MIN_LIFT * trait.base
        and trait.share - trait.overall >= MORE_OVERALL
        and (trait.share >= PLAINLY or trait.overall <= HALF)
        and trait.p <= chance
    )


def _joined(chosen: list[Trait], found: list[Trait], reference: Reference) -> list[Trait]:
    """``chosen`` and those of ``found``, one of a source, that make what is said more telling."""
    free = sorted(found, key=lambda trait: (-trait.telling, trait.text(LENGTH)))
    chosen = list(chosen)
    held, elsewhere = _together(chosen, reference)
    best = _all_telling(chosen, reference)
    while free:
        scores = [
            _telling_of(held & one.held, elsewhere & one.elsewhere, reference) for one in free
        ]
        at = int(np.argmax(scores))
        if scores[at] <= MIN_GAIN * best:
            break
        best, added = scores[at], free[at]
        chosen.append(added)
        held, elsewhere = held & added.held, elsewhere & added.elsewhere
        free = [one for one in free if one.source is not added.source]
    return chosen


def _together(chosen: list[Trait], reference: Reference) -> tuple[Mask, Mask]:
    """For which members and for which of the rest all of it is true."""
    held = [np.ones(len(reference.members), bool), *(trait.held for trait in chosen)]
    elsewhere = [np.ones(len(reference.rest), bool), *(trait.elsewhere for trait in chosen)]
    return np.logical_and.reduce(held), np.logical_and.reduce(elsewhere)


def _all_telling(chosen: list[Trait], reference: Reference) -> float:
    return _telling_of(*_together(chosen, reference), reference) if chosen else 0.0


def _telling_of(held: Mask, elsewhere: Mask, reference: Reference) -> float:
    """How telling it is that all of it is true, for half of the group at least."""
    share = float(held.mean())
    if share < MIN_SHARE - 1e-9:
        return 0.0
    base = min(1.0, float(reference.weights[elsewhere].sum()))
    return round(float(telling(share, base)), 9)
