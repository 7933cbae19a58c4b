"""What a gallery shows now, and which example is open: what tiles, keys and the example share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.bundle.training import Training
from pages.components.shared import keys

ASSETS = Path(__file__).parents[3] / "assets" / "components"


# A module of its own cannot be imported by another one in the page, so what they share stands in each.
SHARED_JS = (ASSETS / "gallery.queue.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class OpenQuestion:
    """The question that the keys of a gallery answer: its key and name, and what was said so far.

    ``chances`` are those with which the examples on screen were drawn, None for chosen ones.
    """

    key: str
    name: str
    chances: Mapping[str, float | None]
    said: Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Shown:
    """The tiles a line of keys belongs to.

    ``order`` are the rows of the whole group as sorted, ``first`` and ``rows`` the part of it on
    screen; ``source`` is what the record of a tag says of where the examples came from; a ``quiet``
    line does not list the keys. With ``asked`` keys answer a question and do not tag. ``examples``
    are training examples, which are tagged in place of the bundle's own and cannot be opened whole.
    """

    bundle: Bundle
    key: str
    order: NDArray[np.int64]
    first: int
    rows: NDArray[np.int64]
    source: dict[str, Any] | None = None
    quiet: bool = False
    asked: OpenQuestion | None = None
    examples: Training | None = None

    @property
    def tagged(self) -> Bundle | Training:
        """The examples that keys tag."""
        return self.examples or self.bundle


def channel(bundle: Bundle | Training, key: str) -> str:
    """What the modules of one gallery in a browser know each other by."""
    return f"{bundle.digest[:12]}:{key}"


def open_at(key: str, at: int) -> None:
    """Have the gallery ``key`` show its example number ``at`` whole."""
    st.session_state[keys.EXAMPLE] = {"gallery": key, "at": at}


def is_open(key: str) -> bool:
    return bool(st.session_state.get(keys.EXAMPLE, {}).get("gallery") == key)


def close() -> None:
    """No example is open any more."""
    st.session_state.pop(keys.EXAMPLE, None)
