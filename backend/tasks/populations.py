"""A bundle as the audits of populations take it, and the task that asks them."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.core.wording import MINUS, told_apart
from backend.tasks.checks import needs_bundle
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.cache import Entry
    from backend.populations import Answer, Evaluation

TRUE_CLASS = "true class"
"""Stands for the label where columns are named, unless the bundle has a column called so."""
PAIR_ID = "pair_id"
"""The column that says which examples are versions of one: counterfactual pairs."""
MOST_NUMBERS = 8
"""Columns of more different numbers are cut into ranges."""
MOST_VALUES = 60
"""Columns of text with more different values are names or texts, not groups."""
_TABLE = "table."
"""What the name of an array that is a table, in Parquet, begins with."""


def category_column(bundle: Bundle, name: str) -> NDArray[Any]:
    """A column as categories, shape (n,): numbers of many values are cut into ranges."""
    from backend.describe import bin_column

    if name == TRUE_CLASS and name not in bundle.attributes and bundle.label_names is not None:
        return bundle.label_names
    if name not in bundle.attributes:
        raise InputError(f"there is no column {name!r} in this bundle.")
    column = bundle.examples[name]
    cut = column.dtype.kind in "iuf" and column.nunique() > MOST_NUMBERS
    return bin_column(column) if cut else _readable(column, column).to_numpy(dtype=object)


def _readable(values: pd.Series, known: pd.Series) -> pd.Series:
    """Fractions in the digits that tell those of ``known`` apart, still numbers; other columns as they are."""
    if known.dtype.kind != "f" or values.dtype.kind != "f":
        return values
    found = [one for one in known.dropna().unique().tolist() if math.isfinite(one)]
    said = [float(text.replace(MINUS, "-")) for text in told_apart(found)]
    return values.astype(np.float64).replace(dict(zip(found, said, strict=True)))


def training_columns(bundle: Bundle, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of these columns that the training set has too, as the examples' groups are called.

    Columns of numbers that are cut into ranges are left out: the training set has none of them.
    """
    found = {}
    for name in names:
        own, held = bundle.train.get(name), bundle.examples.get(name)
        if own is None or held is None or own.ndim != 1:
            continue
        if held.dtype.kind in "iuf" and held.nunique() > MOST_NUMBERS:
            continue
        found[name] = _readable(pd.Series(own), held).to_numpy()
    return found


@dataclass(frozen=True)
class GroupingColumns:
    """Columns that make groups, and those that do not.

    Attributes
    ----------
    usable : tuple of str
        In file order.
    first : tuple of str
        The same, categories before numbers: what a first view takes from.
    left_out : {name: str}
        The others, each with the reason.
    """

    usable: tuple[str, ...]
    first: tuple[str, ...]
    left_out: Mapping[str, str]


def grouping_columns(bundle: Bundle, *, with_label: bool = False) -> GroupingColumns:
    """Which columns of a bundle group its examples.

    Left out are columns of one value, text of more than 60 values, which names its examples or is
    about them, and numbers of which one is infinite.

    Parameters
    ----------
    bundle : Bundle
    with_label : bool
        Offer the true class as the first column, where it is known.
    """
    usable: list[str] = []
    left_out: dict[str, str] = {}
    for name in bundle.attributes:
        column = bundle.examples[name]
        values = int(column.nunique(dropna=False))
        if values < 2:
            left_out[name] = "one value only"
        elif column.dtype.kind not in "iuf" and values > MOST_VALUES:
            left_out[name] = f"{values:,} different values"
        elif column.dtype.kind == "f" and np.isinf(column).any():
            left_out[name] = "infinite values"
        else:
            usable.append(name)
    numeric = {name for name in usable if bundle.examples[name].dtype.kind in "iuf"}
    if with_label and TRUE_CLASS not in bundle.attributes and bundle.label_codes is not None:
        usable.insert(0, TRUE_CLASS)
    first = sorted(usable, key=lambda name: name in numeric)
    return GroupingColumns(tuple(usable), tuple(first), left_out)


def evaluation_of(bundle: Bundle, attributes: Sequence[str] = ()) -> Evaluation:
    """A bundle as the audits of populations take it, with these columns as categories."""
    from backend.populations import Evaluation, make_ensemble

    labels = bundle.label_names
    return Evaluation(
        make_ensemble(
            bundle.populations,
            bundle.labels if bundle.label_codes is not None else None,
            bundle.classes,  # only given classes are positions; other numbers name themselves
        )
        if bundle.populations
        else None,
        labels,
        None if labels is None else bundle.prediction_names,
        bundle.losses,
        {name: category_column(bundle, name) for name in attributes},
        bundle.extras.get("stress_scores"),
        bundle.class_chances,
        bundle.examples[PAIR_ID].to_numpy() if PAIR_ID in bundle.attributes else None,
    )


def run_populations(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """One question of ``backend.populations.answers`` on a large bundle.

    Its arrays, and its tables as Parquet; ``answer_of`` reads both.
    """
    from backend.populations import answer

    bundle = needs_bundle("populations", bundle)
    began = time.perf_counter()
    progress(0.0, "reading the populations")
    data = evaluation_of(bundle, options["options"].get("attributes", ()))
    found = answer(options["what"], data, options["options"], progress)
    tables = {
        f"{_TABLE}{name}": np.frombuffer(table.to_parquet(), dtype=np.uint8)
        for name, table in found.tables.items()
    }
    return {**found.arrays, **tables}, {
        "version": TASK.version,
        "options": options,
        "seconds": time.perf_counter() - began,
    }


def answer_of(kept: Entry) -> Answer:
    """The answer that ``run_populations`` left in the cache."""
    from backend.populations import Answer

    tables = {
        name.removeprefix(_TABLE): pd.read_parquet(io.BytesIO(held.tobytes()))
        for name, held in kept.arrays.items()
        if name.startswith(_TABLE)
    }
    arrays = {name: held for name, held in kept.arrays.items() if not name.startswith(_TABLE)}
    return Answer(arrays, tables)


def _check_populations(options: Options) -> None:
    from backend.populations.answers import QUESTIONS

    check_choice("what", options["what"], tuple(QUESTIONS))
    if not isinstance(options["options"], Mapping):
        raise InputError(f"options must be a mapping: got {options['options']!r}.")


TASK = Task(
    "backend.tasks.populations:run_populations",
    version=7,
    defaults={"what": "compare", "options": {}},
    check=_check_populations,
)
