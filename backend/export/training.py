"""Tagged training examples as CSV, as those of a bundle are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from backend.core.errors import InputError
from backend.export.table import free_names, to_csv

TRAINING_COLUMNS = ("id", "tag", "author", "time", "row", "label", "prediction", "text")
"""What the file starts with; columns of the training set follow under their own names."""


def tagged_training_csv(training: Any, tags: pd.DataFrame) -> bytes:
    """One row per (id, tag) of the training set, ordered by tag, then by its rows.

    Parameters
    ----------
    training : Training
    tags : DataFrame
        As ``Store.tags`` gives them for ``training.digest``. Ids that the training set does not have
        are left out.

    Returns
    -------
    bytes
        UTF-8 with a byte order mark, cells as in ``export_flagged``. ``row`` counts from 0 as the
        training set was given; ``label``, ``prediction`` and ``text`` are empty where there are none.

    Raises
    ------
    InputError
        If nothing is tagged.
    """
    places = training.places(tags["id"])
    held = tags.assign(row=places)[places >= 0].sort_values(["tag", "row"], kind="stable")
    if held.empty:
        raise InputError("no training example is tagged. Tag some first.")
    rows = held["row"].to_numpy()
    names = np.asarray(training.class_names or (), dtype=object)
    own: dict[str, Any] = {name: held[name].to_numpy() for name in TRAINING_COLUMNS[:5]}
    for name, codes in (
        ("label", training.label_codes),
        ("prediction", training.prediction_codes),
    ):
        own[name] = np.full(len(rows), "") if codes is None else names[codes[rows]]
    own["text"] = np.full(len(rows), "") if training.texts is None else training.texts[rows]
    called = free_names(training.columns, TRAINING_COLUMNS)
    theirs = {new: training.columns[name][rows] for name, new in called.items()}
    return to_csv(pd.DataFrame({**own, **theirs}))
