"""Names for all groups of a list at once: no two the same, each saying what its members have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from backend.core.arrays import as_numpy
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.describe.naming.choice import facts_apart, fitted, sayings_of
from backend.describe.naming.examples import Examples, class_name
from backend.describe.naming.outcome import label_said
from backend.describe.naming.reference import Rows
from backend.describe.naming.saying import clean, cut, listed, quoted

PIECE = 24
"""Characters of a label or an id."""
QUOTE = 32
"""Characters of a text that a group is like."""


def name_groups(
    members: Sequence[Any],
    *,
    labels: Any = None,
    predictions: Any = None,
    targets: Any = None,
    losses: Any = None,
    columns: pd.DataFrame | None = None,
    texts: Any = None,
    ids: Any = None,
    classes: Sequence[Any] | None = None,
    kinds: Sequence[str] | None = None,
    scope_labels: Sequence[Sequence[Any]] | None = None,
    given: Sequence[str | None] | None = None,
) -> list[str]:
    """A name for every group of a list, such as "Shirt taken for Coat, season winter".

    A name has three parts at most. Of classes it says label and wrong answers, of numbers how far
    off the predictions are; then levels and ranges of columns, words of the texts, and the range of
    predictions or targets, whatever is most telling. A thing is said if at least half of the
    members have it (of words a quarter), if 20 points more of them and half as many again have it
    than of the other examples *of their own labels*, if it is more frequent than in all examples,
    and if chance would not show it: Fisher's exact test, times everything that could have been
    said, is at most 0.01. "mostly" stands before what less than three quarters have, and is not said
    of what most of all have; "often" before what less than half have. A range holds half of its
    labels at most. One more thing is said only if it makes the name notably more
    telling. Where label and wrong answers are all there is to say, what the wrong members have more
    often than right examples of their labels is said though only three in ten have it, else that
    they have nothing else in common.

    Names are given in the order of the list: a group that would get the name of an earlier one says
    what it has more often than that one, else what its most typical example is. So further groups
    at the end change no name before them. A group of which there is nothing to say is named by its
    most typical example, too.

    Parameters
    ----------
    members : sequence of r int arrays
        Rows of each group, the most typical first; none empty.
    labels, predictions : array-like of shape (n,), optional
        Class names. Predictions may be numbers where there are targets and no labels.
    targets : array-like of shape (n,), optional
        Numbers that were to be predicted. An error is target minus prediction: where it is
        positive the prediction is "too low".
    losses : array-like of shape (n,), optional
        A column that repeats them is not used for names.
    columns : DataFrame of n rows, optional
        What else is known. Columns called ``id``, ``text`` and ``image`` are left out, and so are
        ids, row numbers, file names, columns that are near to unique, and such as repeat labels,
        predictions, targets or losses. Levels like "other" and "unknown" are never said.
    texts : sequence of n str, optional
    ids : sequence of n str, optional
        For groups that nothing else can be said of: "like example 1042".
    classes : sequence, optional
        All class names, where some do not occur. With two of them a wrong answer is only "wrong".
    kinds : sequence of r str, optional
        A group of kind ``label`` is a whole label: "all of Bag".
    scope_labels : sequence of r sequences, optional
        The labels each group was looked for in; empty for all.
    given : sequence of r str or None, optional
        Names that somebody gave: they stay as they are, and no other group gets them.

    Returns
    -------
    list of r str
        On one line each, without markup of their own; what comes from the data is not escaped. No
        two are the same, those given aside. The order of rows does not matter.

    Raises
    ------
    InputError
        If lengths differ, a group is empty, or a member is no row.
    """
    rows, n = _checked_rows(members, labels, predictions, targets, losses, columns, texts, ids)
    for what, values in (("kinds", kinds), ("scope_labels", scope_labels), ("given", given)):
        if values is not None and len(values) != len(rows):
            raise InputError(f"{what} must be one per group: got {len(values)} for {len(rows)}.")
    scopes = scope_labels or [()] * len(rows)
    bound = [[text for one in scope if (text := clean(class_name(one)))] for scope in scopes]
    examples = Examples.read(
        rows, n, labels, predictions, targets, losses, columns, texts, ids, classes
    )
    namer = _Namer(examples, rows, bound)
    names = [str(name) if name else "" for name in given or [""] * len(rows)]
    taken = set(names)
    for at in range(len(rows)):
        if names[at]:
            continue
        whole = kinds is not None and kinds[at] == "label"
        candidates = namer.whole_label(at) if whole else namer.names(at)
        names[at] = next(name for name in candidates if name not in taken)
        taken.add(names[at])
    return names


def name_regions(
    bundle: Any,
    members: Sequence[Any],
    *,
    kinds: Sequence[str] | None = None,
    scope_labels: Sequence[Sequence[Any]] | None = None,
    given: Sequence[str | None] | None = None,
) -> list[str]:
    """``name_groups`` for groups of a bundle's examples, with everything the bundle knows of them."""
    examples = bundle.examples
    predictions = bundle.prediction_names
    if bundle.targets is not None and bundle.label_names is None:
        predictions = bundle.predictions
    return name_groups(
        members,
        labels=bundle.label_names,
        predictions=predictions,
        targets=bundle.targets,
        losses=bundle.losses,
        columns=examples[bundle.attributes],
        texts=examples["text"] if bundle.has_text else None,
        ids=bundle.ids,
        classes=bundle.class_names,
        kinds=kinds,
        scope_labels=scope_labels,
        given=given,
    )


def _checked_rows(members: Sequence[Any], *per_row: Any) -> tuple[list[Rows], int]:
    """Members as int arrays, and the number of examples."""
    lengths = [len(values) for values in per_row if values is not None]
    rows = [np.asarray(as_numpy(one)) for one in members]
    if any(one.ndim != 1 or not len(one) or one.dtype.kind not in "iu" for one in rows):
        raise InputError(
            "a group must be rows, one or more: got "
            f"{[f'{one.dtype} {one.shape}' for one in rows]}."
        )
    if len(set(lengths)) > 1:
        raise InputError(f"labels, columns and the like must be of one length: got {lengths}.")
    n = lengths[0] if lengths else max((int(one.max()) + 1 for one in rows), default=0)
    for at, one in enumerate(rows):
        if one.min() < 0 or one.max() >= n:
            raise InputError(
                f"members must be rows below {n}: group {at} has {one.min()} to {one.max()}."
            )
    return [_once(one.astype(np.int64)) for one in rows], n


def _once(rows: Rows) -> Rows:
    """Each row once, where it comes first."""
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


class _Namer:
    """Names one group after the other."""

    def __init__(self, examples: Examples, rows: list[Rows], bound: list[list[str]]):
        self.examples, self.rows, self.bound = examples, rows, bound
        self.first_choice: dict[str, list[int]] = {}

    def whole_label(self, at: int) -> Iterator[str]:
        """ "all of Bag" """
        labels = self.bound[at]
        answers = self.examples.answers
        if not labels and answers is not None:
            own = answers.labels[self.rows[at]]
            counts = np.bincount(own[own >= 0], minlength=len(answers.texts))
            labels = [answers.texts[int(counts.argmax())]] if counts.any() else []
        if not any(labels):
            yield from self.names(at)
        yield from _numbered(f"all of {listed([label_said(one, PIECE) for one in labels])}")

    def names(self, at: int) -> Iterator[str]:
        """The name of a group, then others for it in turn where that is taken."""
        members = self.rows[at]
        sayings = sayings_of(self.examples, members, self.bound[at])
        plain = fitted(sayings)
        if not sayings.bare:
            alike = self.first_choice.setdefault(plain, [])
            others = [self.rows[other] for other in alike]
            alike.append(at)
            yield plain
            for trait in facts_apart(self.examples, sayings, others):
                yield fitted(sayings, more=trait)
        for like in self._typical(members):
            yield fitted(sayings, like=like)
        yield from _numbered(plain or counted(len(members), "example"))

    def _typical(self, members: Rows) -> Iterator[str]:
        """What a group is like: its members, in their order."""
        texts, ids = self.examples.texts, self.examples.ids
        for row in members.tolist():
            text = clean(texts[row]) if texts is not None and isinstance(texts[row], str) else ""
            if text:
                yield f"like {quoted(text, QUOTE)}"
            if ids is not None and (mark := clean(ids[row])):
                yield f"like example {cut(mark, PIECE)}"


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name} ({number})"
