"""Names for groups of a bundle's examples, from everything that the bundle holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.describe.naming.groups import name_groups


def name_in_bundle(
    bundle: Any,
    members: Sequence[NDArray[np.int64]],
    *,
    kinds: Sequence[str] | None = None,
    scope_labels: Sequence[Sequence[Any]] | None = None,
    given: Sequence[str | None] | None = None,
) -> list[str]:
    """What the groups of a list are called: unique, and the same on pages, in reports and commands.

    Parameters
    ----------
    bundle : Bundle
    members : sequence of r int arrays
        Rows of each group, the most typical first; none empty.
    kinds, scope_labels, given
        As ``name_groups`` takes them.
    """
    if not len(members):
        return []
    numbers = bundle.predictions if bundle.prediction_names is None else bundle.prediction_names
    return name_groups(
        members,
        labels=bundle.label_names,
        predictions=numbers,
        targets=bundle.targets,
        losses=bundle.losses,
        columns=bundle.examples[bundle.attributes],
        texts=bundle.examples["text"].tolist() if bundle.has_text else None,
        ids=bundle.ids,
        classes=bundle.class_names,
        kinds=kinds,
        scope_labels=scope_labels,
        given=given,
    )


def name_all_in_bundle(bundle: Any, members: Sequence[NDArray[np.int64]]) -> list[str]:
    """The same where groups may be empty: those are called "no members"."""
    named = iter(name_in_bundle(bundle, [rows for rows in members if len(rows)]))
    return [next(named) if len(rows) else "no members" for rows in members]
