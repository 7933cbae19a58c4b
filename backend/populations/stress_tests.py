"""Where the numbers of a stress report come from: a table, or answers of models group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.arrays import as_numpy
from backend.core.errors import InputError

MODEL_WORDS = ("model", "models", "model_id", "seed", "run", "checkpoint")
TEST_WORDS = ("test", "tests", "dataset", "split", "shift", "task", "stress_test")
METRIC_WORDS = ("metric", "measure")
VALUE_WORDS = ("value", "score", "accuracy", "result")
GROUP_WORDS = ("group", "groups", "factor", "pretraining", "pretraining_seed", "family")
IID_WORDS = ("iid", "held-out", "held out", "heldout", "in-distribution", "in distribution", "id",
             "test", "validation", "val", "clean")  # fmt: skip


@dataclass(frozen=True)
class StressTable:
    """One number per model and test.

    Attributes
    ----------
    metrics : DataFrame of shape (M, T)
        A row per model, a column per test, held-out data among them.
    groups : array of shape (M,) or None
        The factor that models share.
    dropped : int
        Models left out because a test is missing for them.
    """

    metrics: pd.DataFrame
    groups: NDArray[Any] | None
    dropped: int

    def held_out(self) -> str:
        """The column that is most likely the held-out metric, by its name; else the first."""
        for word in IID_WORDS:
            for name in self.metrics.columns:
                folded = str(name).lower().replace("_", "-")
                if folded == word or folded.startswith((f"{word} ", f"{word}-")):
                    return str(name)
        return str(self.metrics.columns[0])


def read_stress_table(frame: pd.DataFrame) -> StressTable:
    """A stress table in either of its forms.

    Parameters
    ----------
    frame : DataFrame
        Long: columns for the model, the test (and perhaps a metric's name) and one number. Wide:
        one row per model, one column of numbers per test. Column names are recognised in any case
        ("model", "seed", "run"; "test", "dataset", "shift"; "group", "pretraining"). Where a model
        and test occur more than once their mean is taken.

    Raises
    ------
    InputError
        If no column of numbers is left, or no model has a value for every test.
    """
    names = {str(name).lower(): name for name in frame.columns}
    model = _first(names, MODEL_WORDS)
    group = _first(names, GROUP_WORDS)
    test = _first(names, TEST_WORDS)
    if test is not None and frame[test].dtype.kind in "if":
        test = None  # a wide table whose held-out column is called "test"
    numeric = [
        name
        for name in frame.columns
        if name not in (model, group, test) and frame[name].dtype.kind in "if"
    ]
    if not numeric:
        raise InputError(
            f"the stress table has no column of numbers beside {', '.join(map(repr, frame.columns))}. "
            "Give one row per model and test with the metric as a number."
        )
    if model is None and test is not None:
        raise InputError(
            "the stress table has one row per test and no column that names the model. "
            "Add a column 'model'."
        )
    rows = frame.assign(
        **{_MODEL: range(len(frame)) if model is None else frame[model].astype(str)}
    )
    if test is None:
        wide = rows.groupby(_MODEL, sort=False)[numeric].mean()
    else:
        value = _first({str(name).lower(): name for name in numeric}, VALUE_WORDS) or numeric[0]
        labels = frame[test].astype(str)
        metric = _first(names, METRIC_WORDS)
        if metric is not None and metric != value and frame[metric].nunique() > 1:
            labels = labels + " · " + frame[metric].astype(str)
        rows = rows.assign(**{_TEST: labels})
        wide = rows.pivot_table(
            index=_MODEL, columns=_TEST, values=value, aggfunc="mean", sort=False
        )
    wide.columns = [str(name) for name in wide.columns]
    wide.columns.name = wide.index.name = None
    complete = wide.dropna()
    if complete.empty:
        raise InputError("no model of the stress table has a value for every test.")
    groups = None
    if group is not None:
        groups = rows.groupby(_MODEL, sort=False)[group].first().loc[complete.index].to_numpy()
    return StressTable(complete, groups, len(wide) - len(complete))


_MODEL, _TEST = "\0model", "\0test"  # names no column of an upload can have


def _first(names: Mapping[str, Any], words: tuple[str, ...]) -> Any:
    return next((names[word] for word in words if word in names), None)


def group_tests(
    correct: Any, groups: Mapping[str, Any], *, min_n: int = 30
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stress tests made of the data at hand: accuracy of every model on groups of examples.

    Parameters
    ----------
    correct : bool array of shape (M, n)
        Whether each model is right on each example.
    groups : {name: bool array of shape (n,)}
        Examples of each test.
    min_n : int
        Groups with fewer examples make no test: their accuracy is mostly sampling noise.

    Returns
    -------
    metrics : DataFrame of shape (M, 1 + Q)
        "iid", the accuracy on all examples, then one column per test, in [0, 1].
    sizes : DataFrame
        ``metric``, ``n`` and ``noise`` = ``sqrt(p (1 - p) / n)`` at the mean accuracy, a rough
        guide to what sampling alone would do.

    Raises
    ------
    InputError
        If ``correct`` is not a boolean (M, n) matrix, or a group does not fit it.
    """
    right = as_numpy(correct)
    if right.ndim != 2 or 0 in right.shape or right.dtype != bool:
        raise InputError(
            f"correct must be booleans of shape (M, n): got {right.dtype} of {right.shape}."
        )
    columns: dict[str, NDArray[np.float64]] = {"iid": right.mean(1)}
    sizes = {"iid": right.shape[1]}
    for name, held in groups.items():
        mask = as_numpy(held)
        if mask.shape != (right.shape[1],) or mask.dtype != bool:
            raise InputError(f"group {name!r} must be booleans, one per example: got {mask.shape}.")
        size = int(mask.sum())
        if size >= max(1, min_n):
            columns[name] = right[:, mask].mean(1)
            sizes[name] = size
    metrics = pd.DataFrame(columns)
    n = np.array(list(sizes.values()))
    p = metrics.mean().to_numpy()
    table = pd.DataFrame({"metric": list(sizes), "n": n, "noise": np.sqrt(p * (1 - p) / n)})
    return metrics, table
