"""The columns of a bundle that groups are compared by: the same on the page and in the report."""

from __future__ import annotations

from typing import Any

import pandas as pd

ARROW = "label → prediction"
"""The column of both together: cells of the confusion matrix."""


def compared_columns(bundle: Any) -> pd.DataFrame:
    """Label, prediction, both together where there are both, then the attributes; one row per example."""
    frame: pd.DataFrame = bundle.examples[bundle.attributes].copy()
    labels, predictions = bundle.label_names, bundle.prediction_names
    given = {"label": labels, "prediction": predictions}
    if labels is not None and predictions is not None:
        given[ARROW] = labels + " → " + predictions
    known = {name: values for name, values in given.items() if values is not None}
    for at, (name, values) in enumerate(known.items()):
        frame.insert(at, own_name(bundle, name), values)
    return frame


def own_name(bundle: Any, name: str) -> str:
    """What a column of the model's own is called beside the attributes."""
    return f"{name} (model)" if name in bundle.attributes else name
