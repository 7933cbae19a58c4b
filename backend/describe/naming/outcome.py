"""What became of the members of a group: their label, the wrong answers, how far off numbers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.describe.naming.reference import Mask, Reference, Rows
from backend.describe.naming.saying import cut, listed, size_of
from backend.describe.naming.traits import PLAINLY

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Part = Callable[[int], str]
"""Says a part of a name with pieces of that many characters at most."""

OWN, OF_THREE = 0.75, 0.85
"""A label, or two together, of this share of a group is its own; or three of the second share."""
HALF = 0.5
"""From here on a group is said to be wrong, below to be "often" so."""
PART = 0.2
"""Of labels or answers said together, each has this share."""
MISTAKEN = 0.3
"""Share of wrong answers from which a group is named after them."""
MORE = 0.15
"""They are more frequent than in the rest of its labels by this much at least."""
CHANCE = 0.01
FEW_ANSWERS, MAIN_ANSWER = 0.8, 0.6
"""Share of the wrong answers that one or two said together make up, and one said alone at least."""
FURTHER = 1.25
"""How much further off than the rest a group is, for it to be said."""

_YES_NO = ("true", "false", "yes", "no", "y", "n", "t", "f")


@dataclass(frozen=True, eq=False)
class GroupOutcome:
    """What is said of a group beside its columns.

    Attributes
    ----------
    label : callable, or None
        The part that says label and wrong answers.
    error : str
        "too low by 12"; empty where it is not said.
    bare : bool
        Whether nothing, or nothing but the label, is said.
    mistaken : bool
        Whether wrong answers are said.
    """

    label: Part | None
    error: str
    bare: bool
    mistaken: bool = False


@dataclass(frozen=True, eq=False)
class Classified:
    """Labels and predicted classes, both as codes of ``texts``; -1 where there is none."""

    labels: Codes
    predictions: Codes | None
    texts: list[str]
    n_classes: int


@dataclass(frozen=True)
class Mistakes:
    """Wrong answers of a group: whether only "often" wrong, and what it is taken for, if few."""

    often: bool
    taken: tuple[int, ...]


def outcome_of(
    answers: Classified | None, errors: Floats | None, reference: Reference, bound: Sequence[str]
) -> GroupOutcome:
    """Label, wrong answers and error of a group: "Shirt taken for Coat", "neg, wrong", "too low by 12".

    ``errors`` (n,) are target minus prediction; ``bound`` are the labels that a region was looked for in, as texts.
    """
    error = _error(errors, reference)
    if answers is None:
        return GroupOutcome(None, error, not error)
    own, mostly = _own_labels(answers, reference.members, bound)
    mistakes = _mistakes(answers, reference)
    if mistakes is not None and not own and not mistakes.taken:
        mistakes = None  # "wrong" alone is no name
    if not own and mistakes is None:
        return GroupOutcome(None, error, not error)
    texts = answers.texts
    return GroupOutcome(
        lambda limit: _said(texts, own, mostly, mistakes, limit),
        error,
        mistakes is None and not error,
        mistakes is not None,
    )


def label_said(text: str, limit: int) -> str:
    """A class by its name, with "label" before what would not be taken for one: "label 8"."""
    bare = cut(text, limit)
    named = any(sign.isalpha() for sign in text) and text.lower() not in _YES_NO
    return bare if named else f"label {bare}"


def _said(
    texts: list[str], own: tuple[int, ...], mostly: bool, mistakes: Mistakes | None, limit: int
) -> str:
    labels = [label_said(texts[code], limit) for code in own]
    label = "mostly " * mostly + listed(labels)
    if mistakes is None:
        return label
    often = "often " * mistakes.often
    if not mistakes.taken:
        return f"{label}, {often}wrong"
    if len(own) == 2 and set(own) == set(mistakes.taken):
        return f"{listed(labels, 'and')} {often}taken for each other"
    taken = listed([cut(texts[code], limit) for code in mistakes.taken])
    return f"{label} {often}taken for {taken}".strip()


def _own_labels(
    answers: Classified, members: Rows, bound: Sequence[str]
) -> tuple[tuple[int, ...], bool]:
    """The one to three labels of a group, and whether "mostly" belongs before them."""
    texts = answers.texts
    if len(bound) == 1 and bound[0] in texts:
        return (texts.index(bound[0]),), False
    size, labels = len(texts), answers.labels
    shares = np.bincount(labels[members] + 1, minlength=size + 1)[1:] / len(members)
    overall = np.bincount(labels + 1, minlength=size + 1)[1:] / len(labels)
    order = sorted(range(size), key=lambda code: (-round(float(shares[code]), 9), texts[code]))
    order = [code for code in order if texts[code]]
    if not order or shares[first := order[0]] - overall[first] < MORE:
        return (), False
    if shares[first] >= OWN:
        return (first,), False
    for several, least in ((2, OWN), (3, OF_THREE)):
        said = order[:several]
        if size > several and shares[said].min() >= PART and shares[said].sum() >= least:
            return tuple(said), False
    said_mostly = shares[first] >= HALF >= overall[first]
    return ((first,), True) if said_mostly else ((), False)


def _mistakes(answers: Classified, reference: Reference) -> Mistakes | None:
    """None where a group is not named after them: too few, or no more than in its labels."""
    if answers.predictions is None or not len(reference.rest):
        return None
    labels, given = answers.labels, answers.predictions
    members, rest = reference.members, reference.rest
    known = (given >= 0) & (labels >= 0)
    mistaken = known & (given != labels)
    wrong, elsewhere = mistaken[members], mistaken[rest]
    if wrong.mean() < MISTAKEN or not _more(wrong, elsewhere, reference):
        return None
    often = bool(wrong.mean() < HALF)
    if answers.n_classes <= 2:
        return Mistakes(often, ())
    counts = np.bincount(given[members][wrong], minlength=len(answers.texts))
    others = np.bincount(given[rest][elsewhere], reference.weights[elsewhere], len(answers.texts))
    texts = answers.texts
    order = sorted(range(len(texts)), key=lambda code: (-int(counts[code]), texts[code]))[:2]
    parts = counts / wrong.sum()
    more = counts / len(members) > others
    said = [code for code in order if more[code] and texts[code] and parts[code] >= PART]
    if said and parts[said[0]] >= FEW_ANSWERS:
        return Mistakes(often, (said[0],))
    if len(said) == 2 and parts[said].sum() >= FEW_ANSWERS:
        return Mistakes(often, tuple(said))
    if said and parts[said[0]] >= MAIN_ANSWER:
        return Mistakes(often, (said[0],))
    return Mistakes(often, ())


def _error(errors: Floats | None, reference: Reference) -> str:
    """The median of target minus prediction, where a group is further off than the rest.

    "too low" where most of its predictions are below their targets; "off by" where both occur.
    """
    if errors is None or not len(reference.rest):
        return ""
    own, others = errors[reference.members], errors[reference.rest]
    if not np.isfinite(own).any() or not np.isfinite(others).any():
        return ""
    usual, middle = float(np.nanmedian(np.abs(others))), float(np.nanmedian(own))
    if abs(middle) >= FURTHER * usual:
        side = np.sign(own) == np.sign(middle)
        elsewhere = np.sign(others) == np.sign(middle)
        if side.mean() >= PLAINLY and _more(side, elsewhere, reference):
            return f"too {'low' if middle > 0 else 'high'} by {size_of(middle)}"
    off = float(np.nanmedian(np.abs(own)))
    if off >= FURTHER * usual and _more(np.abs(own) > usual, np.abs(others) > usual, reference):
        return f"off by {size_of(off)}"
    return ""


def _more(held: Mask, elsewhere: Mask, reference: Reference) -> bool:
    base = float(reference.weights[elsewhere].sum())
    return bool(held.mean() - base >= MORE and reference.p(held, elsewhere) <= CHANCE)
