"""What the model said of one example: how its loss compares, and which classes it held probable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.bundle import Bundle


@dataclass(frozen=True)
class ClassChance:
    """Probability of one class, and whether it is the example's label."""

    name: str
    probability: float
    is_label: bool


def share_below(bundle: Bundle, row: int) -> float:
    """The share of all examples whose loss is lower than that of this one, in [0, 1)."""
    return float(np.mean(bundle.losses < bundle.losses[row]))


def likely_classes(bundle: Bundle, row: int, *, top: int = 5) -> list[ClassChance]:
    """The ``top`` most probable classes and, beyond them, the label.

    Ties go to the lower class. Empty without probabilities.
    """
    names = bundle.class_names
    if bundle.probabilities is None or names is None:
        return []
    chances = np.asarray(bundle.probabilities[row], dtype=float)
    shown = np.argsort(-chances, kind="stable")[:top].tolist()
    label = None if bundle.label_codes is None else int(bundle.label_codes[row])
    if label is not None and label not in shown:
        shown.append(label)
    return [ClassChance(names[code], float(chances[code]), code == label) for code in shown]
