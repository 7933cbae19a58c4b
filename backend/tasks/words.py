"""What a worker reads of a bundle's texts, once: the tasks "words" and "cues"."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.describe.cues import text_cues
from backend.describe.tokens import tokens_of
from backend.describe.words import index_words


def run_words(
    bundle: Any, options: Mapping[str, Any], progress: Progress, part: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Index the words of every text and their neighbours; ``WordIndex.from_arrays`` reads it.

    Pairs and triples of neighbouring words are kept if ``min_count`` texts hold them.
    """
    began = time.perf_counter()
    index = index_words(
        _texts("words", bundle),
        tokens_of,
        max_length=3,
        min_count=int(options["min_count"]),
        progress=progress,
    )
    return index.to_arrays(), {
        "min_count": int(options["min_count"]),
        "seconds": time.perf_counter() - began,
    }


def run_cues(
    bundle: Any, options: Mapping[str, Any], progress: Progress, part: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read scripts, languages and marks of every text; ``TextCues.from_arrays`` reads them."""
    began = time.perf_counter()
    cues = text_cues(_texts("cues", bundle), progress=progress)
    arrays, names = cues.to_arrays()
    return arrays, {"names": names, "seconds": time.perf_counter() - began}


def _texts(task: str, bundle: Any) -> list[Any]:
    if bundle is None or "text" not in bundle.examples:
        raise InputError(f"task {task!r} reads the column 'text': the bundle has none.")
    return list(bundle.examples["text"])
