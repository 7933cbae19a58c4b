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
from backend.core.statistics import mean_interval

MODEL_WORDS = ("model", "models", "model_id", "seed", "run", "checkpoint")
TEST_WORDS = ("test", "tests", "dataset", "split", "shift", "task", "stress_test")
METRIC_WORDS = ("metric", "measure")
VALUE_WORDS = ("value", "score", "accuracy", "result")
GROUP_WORDS = ("group", "groups", "factor", "pretraining", "pretraining_seed", "family")
POPULATION_WORDS = ("population", "intervention", "compression", "variant")
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

    @property
    def names(self) -> list[str]:
        """What the table calls its models; rows that it does not name are numbered from 1."""
        index = self.metrics.index
        if index.dtype.kind in "iu":
            return [f"model {int(at) + 1}" for at in index]
        return [str(name) for name in index]

    def held_out(self) -> str:
        """The column that is most likely the held-out metric, by its name; else the first."""
        for word in IID_WORDS:
            for name in self.metrics.columns:
                folded = str(name).lower().replace("_", "-")
                if folded == word or folded.startswith((f"{word} ", f"{word}-")):
                    return str(name)
        return str(self.metrics.columns[0])


@dataclass(frozen=True)
class StressColumns:
    """What the columns of a stress table are, by their names.

    ``model``, ``test``, ``metric``, ``group`` and ``population`` are column names or None;
    ``values`` the columns of numbers: the metrics of a long table, the tests of a wide one.
    """

    model: Any
    test: Any
    metric: Any
    group: Any
    population: Any
    values: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """The number a long table is about by default."""
        folded = {str(name).lower(): name for name in self.values}
        return _first(folded, VALUE_WORDS) or self.values[0]


def stress_columns(frame: pd.DataFrame) -> StressColumns:
    """Which column is which, in any case of letters.

    Raises
    ------
    InputError
        If there is no column of numbers, or a long table does not name the model.
    """
    names = {str(name).lower(): name for name in frame.columns}
    test = _first(names, TEST_WORDS)
    if test is not None and frame[test].dtype.kind in "if":
        test = None  # a wide table whose held-out column is called "test"
    model = _first(names, MODEL_WORDS)
    population = _first(names, POPULATION_WORDS)
    group = _first(names, GROUP_WORDS)
    metric = None if test is None else _first(names, METRIC_WORDS)
    if metric is not None and frame[metric].dtype.kind in "if":
        metric = None  # the number itself
    taken = (model, test, metric, group, population)
    values = [
        name for name in frame.columns if name not in taken and frame[name].dtype.kind in "if"
    ]
    if not values:
        raise InputError(
            "the stress table has no column of numbers beside "
            f"{', '.join(map(repr, frame.columns))}. "
            "Give one row per model and test with the metric as a number."
        )
    if model is None and test is not None:
        raise InputError(
            "the stress table has one row per test and no column that names the model. "
            "Add a column 'model'."
        )
    return StressColumns(model, test, metric, group, population, tuple(values))


def read_stress_table(
    frame: pd.DataFrame, *, value: Any = None, population: str | None = None
) -> StressTable:
    """A stress table in either of its forms.

    Parameters
    ----------
    frame : DataFrame
        Long: columns for the model, the test (and perhaps a metric's name) and numbers. Wide: one
        row per model, one column of numbers per test. Column names are recognised in any case
        ("model", "seed", "run"; "test", "dataset", "shift"; "group", "pretraining";
        "population"). Where a model and test occur more than once their mean is taken.
    value : column name, optional
        Which number of a long table is meant; by default "value", "score" or "accuracy", else the
        first.
    population : str, optional
        Only the models of this population. Without it the population is the models' group, when
        no other group is given.

    Raises
    ------
    InputError
        As ``stress_columns``; or if no model has a value for every test.
    """
    held = stress_columns(frame)
    if population is not None and held.population is not None:
        frame = frame[frame[held.population].astype(str) == population]
    group = held.group if held.group is not None else held.population
    names = range(len(frame)) if held.model is None else frame[held.model].astype(str)
    rows = frame.assign(**{_MODEL: names})
    if held.model is not None and held.population is not None:  # seed 1 of each is another model
        rows[_MODEL] = rows[_MODEL].where(
            rows.groupby(_MODEL)[held.population].transform("nunique") == 1,
            rows[held.population].astype(str) + " " + rows[_MODEL],
        )
    if held.test is None:
        wide = rows.groupby(_MODEL, sort=False)[list(held.values)].mean()
    else:
        tests = frame[held.test].astype(str)
        if held.metric is not None and frame[held.metric].nunique() > 1:
            tests = tests + " · " + frame[held.metric].astype(str)
        wide = rows.assign(**{_TEST: tests}).pivot_table(
            index=_MODEL,
            columns=_TEST,
            values=held.value if value is None else value,
            aggfunc="mean",
            sort=False,
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


def table_robustness(frame: pd.DataFrame, *, value: Any = None) -> pd.DataFrame:
    """Every test of a stress table, population by population.

    Parameters
    ----------
    frame : DataFrame
        A stress table that names the population of each model.
    value : column name, optional
        As for ``read_stress_table``.

    Returns
    -------
    DataFrame
        ``population``, ``metric``, ``n_models``, ``accuracy`` (mean over models) with its t interval
        ``low`` and ``high``; populations in order of first mention.

    Raises
    ------
    InputError
        If no column names the population; or as for ``read_stress_table``.
    """
    named = stress_columns(frame).population
    if named is None:
        raise InputError(
            "the stress table does not say to which population a model belongs. Add a column "
            "'population'."
        )
    rows = []
    for name in dict.fromkeys(frame[named].astype(str)):
        metrics = read_stress_table(frame, population=name, value=value).metrics
        for metric in metrics.columns:
            found = mean_interval(metrics[metric].to_numpy())
            rows.append((name, metric, len(metrics), found.value, found.low, found.high))
    columns = ["population", "metric", "n_models", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


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
            columns[name] = right[:, np.flatnonzero(mask)].mean(1)
            sizes[name] = size
    metrics = pd.DataFrame(columns)
    n = np.array(list(sizes.values()))
    p = metrics.mean().to_numpy()
    table = pd.DataFrame({"metric": list(sizes), "n": n, "noise": np.sqrt(p * (1 - p) / n)})
    return metrics, table
