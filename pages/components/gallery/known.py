"""Which groups the page shows, and which of them hold an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.found import short
from pages.components.shared import keys, text
from pages.components.shared.choice import Choice


def know_groups(bundle: Bundle, choices: Sequence[Choice]) -> None:
    """Tell which groups the page shows, so that an example can say which of them it is in."""
    st.session_state[keys.KNOWN_GROUPS] = (bundle.digest, list(choices))


def _known_groups(bundle: Bundle) -> list[Choice]:
    digest, choices = st.session_state.get(keys.KNOWN_GROUPS, ("", []))
    return choices if digest == bundle.digest else []


def source_of(bundle: Bundle, rows: NDArray[np.int64]) -> dict[str, Any] | None:
    """What the record of a tag says of the group these rows are; short, for it stands in each one.

    An export finds the rest of a region by its key (``backend.export.regions``).
    """
    for choice in _known_groups(bundle):
        held = choice.group.rows
        if len(held) == len(rows) and (
            held is rows or np.array_equal(np.sort(held), np.sort(rows))
        ):
            return short(choice.source)
    return None


def groups_of(bundle: Bundle, row: int) -> list[tuple[str, str]]:
    """Regions and selections on the page that hold the example, and how much it belongs to them."""
    found = []
    for choice in _known_groups(bundle):
        held = np.flatnonzero(choice.group.rows == row)
        if len(held):
            weight = float(choice.group.weights[row])
            place = f"{text.count(int(held[0]) + 1)} of {text.count(choice.group.n_members)}"
            said = f"member {place}" + (f", weight {text.number(weight)}" if weight < 1 else "")
            found.append((f"{choice.number} {choice.name}".strip(), said))
    return found


def names_of(bundle: Bundle, row: int) -> tuple[str | None, str | None]:
    """The label and the prediction of one example by name; None where there is none."""
    labels, predictions = bundle.label_names, bundle.prediction_names
    if labels is None:
        return None, None
    return labels[row], None if predictions is None else predictions[row]
