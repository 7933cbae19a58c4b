"""Training examples as tiles."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.training import Training
from backend.core.content import content_key
from pages.components.gallery.tiles import mount
from pages.components.shared import text

COLUMNS = 3
"""Columns of the training set that stand on a tile."""


def training_tiles(
    training: Training,
    rows: NDArray[np.int64],
    *,
    key: str,
    label: str,
    notes: Sequence[str] = (),
    tagging: bool = False,
) -> list[int]:
    """Tiles of training examples.

    Parameters
    ----------
    rows : int64 array of shape (k,)
        What is shown, in this order.
    notes : sequence of str
        What stands on each beside its label, such as its score.
    tagging : bool
        Whether a line of keys below tags them; else they are only looked at.

    Returns
    -------
    list of int
        The rows of those that are picked.
    """
    names = training.class_names or ()
    columns = list(training.columns)[:COLUMNS]
    items: list[dict[str, Any]] = []
    for place, row in enumerate(rows.tolist()):
        picture = training.thumbnail(row)
        given, prediction = (
            names[codes[row]] if codes is not None else None
            for codes in (training.label_codes, training.prediction_codes)
        )
        items.append(
            {
                "id": str(training.ids[row]),
                "src": None
                if picture is None
                else f"data:image/png;base64,{base64.b64encode(picture).decode()}",
                "text": None
                if training.texts is None
                else text.shorten(str(training.texts[row]), 400),
                "cells": [text.cell(str(training.columns[name][row])) for name in columns],
                "label": given,
                "prediction": prediction,
                "wrong": prediction is not None and prediction != given,
                "loss": "",  # there is room for one number, and the score is what they stand here for
                "weight": notes[place] if notes else None,
            }
        )
    shown = mount(
        training,
        items,
        key=key,
        content=content_key(training.digest, label, rows, list(notes)),
        label=label,
        columns=columns,
        density="small",
        tagging=tagging,
        still=not tagging,
    )
    place_of = {str(training.ids[row]): row for row in rows.tolist()}
    return [place_of[one] for one in map(str, shown.picked or []) if one in place_of]
