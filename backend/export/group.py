"""The examples of a group as CSV, whether or not anybody tagged them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.parts import bundle_aside
from backend.export.flagged import named_values, written_cells
from backend.export.table import ASIDE, to_csv, user_columns

GROUP_COLUMNS = ("id", "tags", ASIDE, "loss", "label", "prediction")
"""What the file of a group starts with; the user's columns follow under their own names."""


def group_csv(
    bundle: Any, rows: NDArray[np.int64], tags: pd.DataFrame, *, groups: str | None = None
) -> bytes:
    """A row for each of these examples, in this order, as ``export_flagged`` writes them.

    Parameters
    ----------
    bundle : Bundle
    rows : int array of shape (m,)
    tags : DataFrame
        As ``Store.tags`` gives them; those of an example stand in one cell, joined by commas.
    groups : str, optional
        The column whose rows stay together, where the search that found the group had one.

    Returns
    -------
    bytes
        UTF-8 with a byte order mark. ``kept_aside`` says which examples no search looked at: what
        a page says of a region is measured on its members among these.
    """
    joined = tags.groupby("id")["tag"].agg(", ".join).to_dict() if len(tags) else {}
    ids = bundle.ids[rows]
    own = pd.DataFrame(
        {
            "id": ids,
            "tags": [joined.get(one, "") for one in ids],
            ASIDE: bundle_aside(bundle, groups)[rows],
            "loss": np.asarray(bundle.losses, dtype=np.float64)[rows],
            "label": named_values(bundle, bundle.labels, bundle.label_names, rows),
            "prediction": named_values(bundle, bundle.predictions, bundle.prediction_names, rows),
        }
    )
    table = pd.concat([own, user_columns(bundle.examples, rows, taken=GROUP_COLUMNS)], axis=1)
    return to_csv(table, written_cells(bundle, rows, GROUP_COLUMNS))
