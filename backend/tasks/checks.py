"""What several tasks ask of their options and of the bundle they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backend.bundle.limits import MAX_NAME_LENGTH
from backend.core.errors import InputError
from backend.tasks.task import Options

if TYPE_CHECKING:
    from backend.bundle import Bundle


def needs_bundle(task: str, bundle: Bundle | None) -> Bundle:
    """The bundle; a task that works on one cannot do without."""
    if bundle is None:
        raise InputError(f"task {task!r} works on a bundle: got no digest.")
    return bundle


def chosen_layer(task: str, bundle: Bundle | None, options: Options) -> Bundle:
    """The bundle at the layer that the options name."""
    return needs_bundle(task, bundle).at_layer(options["layer"])


def check_layer(options: Options) -> None:
    """Refuse what cannot be the name of a layer."""
    layer = options["layer"]
    if not isinstance(layer, str) or len(layer) > MAX_NAME_LENGTH:
        raise InputError(
            f"layer must name a layer of the bundle, or be empty: got {str(layer)[:80]!r}."
        )


def check_number(name: str, value: Any, *, above: float) -> None:
    """Refuse what is no finite number above ``above``."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not above < value < float("inf"):
        raise InputError(f"{name} must be a number above {above}: got {value!r}.")


def check_count(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is no whole number from ``low`` to ``high``."""
    whole = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not whole or value != value // 1 or not low <= value <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}: got {value!r}.")
