"""What is known of some examples: the table of a group's members, their tags."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.groups import Group
from backend.scores import known_scores, score_values
from backend.views.ratings import rating_columns

MARGIN = "label margin"


def member_table(bundle: Bundle, group: Group, tags: pd.DataFrame) -> pd.DataFrame:
    """Members with what is known of each, in the group's order.

    Parameters
    ----------
    bundle : Bundle
    group : Group
    tags : DataFrame
        As ``Store.tags`` gives them.

    Returns
    -------
    DataFrame
        ``id``; ``label`` and ``prediction`` by name, or ``target`` and ``prediction`` of a
        regression; ``loss`` and ``label margin`` (see
        ``Bundle.label_margins``) as far as there are any; the other scores of difficulty
        (``backend.scores``) under their names; ``weight``; ``tags``, joined by commas; averages
        of items and users where there are ratings (``rating_columns``); then the user's columns. One of those that is called like ours gets " (column)" behind its name.
    """
    rows = group.rows
    frame = pd.DataFrame({"id": bundle.ids[rows]})
    if bundle.label_names is not None:
        frame["label"] = bundle.label_names[rows]
    if bundle.prediction_names is not None:
        frame["prediction"] = bundle.prediction_names[rows]
    if bundle.targets is not None and bundle.prediction_names is None:
        frame["target"] = bundle.targets[rows]
        if bundle.predictions is not None:
            frame["prediction"] = bundle.predictions[rows]
    frame["loss"] = bundle.losses[rows]
    margins = bundle.label_margins(rows)
    if margins is not None:
        frame[MARGIN] = margins
    for name in known_scores(bundle):
        if name not in frame:
            frame[name] = score_values(bundle, name)[rows]
    frame["weight"] = np.asarray(group.weights[rows], dtype=float)
    joined = tags.groupby("id")["tag"].agg(", ".join).to_dict() if len(tags) else {}
    frame["tags"] = [joined.get(example, "") for example in frame["id"]]
    for name, values in rating_columns(bundle, rows).items():
        frame[name] = values
    others = bundle.examples.iloc[rows].drop(columns=["id", "image"], errors="ignore")
    for name in others.columns:
        ours = name in frame or name == MARGIN
        frame[f"{name} (column)" if ours else name] = others[name].to_numpy()
    return frame


def rows_by_tag(bundle: Bundle, tags: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Rows of each tag, ascending; tags by name, ids that the bundle does not have left out.

    ``tags`` are as ``Store.tags`` gives them. A tag without a row is not there.
    """
    places = bundle.places(tags["id"])
    held = tags["tag"].to_numpy()
    found = {str(tag): np.sort(places[(held == tag) & (places >= 0)]) for tag in sorted(set(held))}
    return {tag: rows for tag, rows in found.items() if len(rows)}
