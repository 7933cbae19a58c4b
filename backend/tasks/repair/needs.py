"""What a repair stands on: labels and predictions that are classes, groups, a training part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.core.sampling import random_rows
from backend.tasks.checks import check_count
from backend.tasks.task import Options

if TYPE_CHECKING:
    from backend.bundle import Bundle

MOST_ROWS = 60_000
"""Examples of a bundle that take part; of more, all members of the group and others by lot."""

MOST_TRAIN = 100_000
"""Training examples that refit; of more, a sample."""

MOST_GROUPS = 1_000
"""Values of a column of which the worst is told."""

FEWEST_MEASURED = 10
"""Members that no loss has chosen, from which on only such are measured."""


def repair_needs(bundle: Bundle) -> str:
    """Why nothing can be repaired here; "" where it can."""
    if bundle.label_codes is None or bundle.prediction_codes is None:
        return (
            "A repair refits the last layer and counts what comes out right: it needs labels and "
            "predictions that are classes, beside the embeddings."
        )
    if len(np.unique(class_codes(bundle.label_codes))) < 2:
        return "A repair needs two classes or more among the labels: there is one."
    return ""


def has_training_part(bundle: Bundle) -> bool:
    """Whether the training set is there to refit on: its embeddings and labels, of this layer."""
    return (
        not bundle.layer
        and {"embeddings", "labels"} <= set(bundle.train)
        and bundle.class_names is not None
    )


def training_part(bundle: Bundle) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings and label codes of the training set; a sample of a large one.

    Raises
    ------
    InputError
        If it is not there, or a label is none of the bundle's classes.
    """
    from backend.bundle.losses import codes_of

    if not has_training_part(bundle) or bundle.class_names is None:
        raise InputError(
            "to refit on the training set a bundle needs train/embeddings and train/labels: this one "
            "does not have both, for this layer."
        )
    given = bundle.train["labels"]
    codes, unknown = codes_of(given, bundle.class_names)
    if unknown is not None:
        raise InputError(
            f"train/labels must be classes of the bundle: {str(given[unknown])[:60]!r} is none."
        )
    embeddings = bundle.train["embeddings"]
    rows = np.sort(random_rows(len(embeddings), MOST_TRAIN))
    return np.asarray(embeddings[rows], np.float32), np.asarray(codes[rows], np.int64)


def worst_codes(bundle: Bundle, name: str) -> NDArray[np.int64]:
    """A column as groups, from 0; those of numbers are ranges."""
    from backend.tasks.populations import category_column

    codes, values = pd.factorize(category_column(bundle, name).astype(str))
    if len(values) > MOST_GROUPS:
        raise InputError(f"worst_of must name a column of groups: {name!r} has {len(values):,}.")
    return codes.astype(np.int64)


def worst_label(bundle: Bundle) -> NDArray[np.int64]:
    """The label that fails most among the rows that are not kept aside: all its rows.

    Kept-aside rows then measure it, so that it was not chosen by what measures it.
    """
    labels, wrong = class_codes(bundle.label_codes), ~np.asarray(bundle.correct)
    looked = ~bundle_aside(bundle)
    counts = np.bincount(labels[looked])
    rates = np.bincount(labels[looked], weights=wrong[looked]) / np.maximum(counts, 1)
    rates[counts < min(FEWEST_MEASURED, counts.max())] = -1
    return np.flatnonzero(labels == int(rates.argmax()))


def class_codes(codes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Codes of classes that a task stands on.

    Raises
    ------
    InputError
        If there are none.
    """
    if codes is None:
        raise InputError("labels and predictions must be classes.")
    return codes


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of a frame for JSON, None where a number is undefined."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in one.items()} for one in plain.to_dict("records")]


def check_rows(options: Options, name: str) -> None:
    """Stop unless an option is a list of rows."""
    if not isinstance(options[name], list | tuple):
        raise InputError(f"{name} must be a list: got {type(options[name]).__name__}.")
    for row in options[name]:
        check_count(f"a row of {name}", row, 0, 2**40)


def check_kinds(options: Options, truths: tuple[str, ...], columns: tuple[str, ...]) -> None:
    for name in truths:
        if not isinstance(options[name], bool):
            raise InputError(f"{name} must be true or false: got {options[name]!r}.")
    for name in columns:
        if options[name] is not None and not isinstance(options[name], str):
            raise InputError(f"{name} must name a column or be None: got {options[name]!r}.")
