"""What is known of an upload once its fields were checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from backend.bundle.entry import UploadEntry
from backend.bundle.media import Media

MADE_IDS = "ids: made from row numbers"
"""How the note begins that says so."""


@dataclass
class Contents:
    """Checked fields under flat names (``embeddings``, ``populations/int8`` ...).

    ``given`` says in which dtype each array that was not derived came; the digest covers those.
    ``written`` holds the cells as they came, (n,) text, of labels, predictions and
    ``examples/<column>`` whose numbers read otherwise.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    written: dict[str, NDArray[Any]] = field(default_factory=dict)
    stress: pd.DataFrame | None = None
    classes: tuple[str, ...] | None = None
    media: Media | None = None
    notes: list[str] = field(default_factory=list)

    def keep(self, name: str, array: NDArray[Any] | None, entry: UploadEntry) -> None:
        """Add a checked array under ``name``; None (it had faults) is passed over."""
        if array is not None:
            self.arrays[name] = array
            kind = "str" if array.dtype.kind == "U" else entry.dtype
            self.given[name] = kind.replace("torch.", "")
