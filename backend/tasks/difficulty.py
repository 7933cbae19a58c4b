"""What takes a while to say of difficulty, worked out by a worker: a score, the two long tails."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.tasks.checks import needs_bundle
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.cache import Entry
    from backend.difficulty import LongTails


def run_difficulty(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """The values of one score of the bundle as ``values``, shape (n,)."""
    from backend.scores import known_scores, score_values

    bundle = needs_bundle("difficulty", bundle)
    began = time.perf_counter()
    progress(0.0, f"reading {known_scores(bundle)[options['score']].title}")
    values = score_values(bundle, options["score"])
    return {"values": values}, {
        "version": TASK.version,
        "options": options,
        "seconds": time.perf_counter() - began,
    }


def _check_difficulty(options: Options) -> None:
    if not isinstance(options["score"], str):
        raise InputError(f"score must be the name of a score: got {options['score']!r}.")


TASK = Task(
    "backend.tasks.difficulty:run_difficulty",
    version=1,
    defaults={"score": "vog"},
    check=_check_difficulty,
    lane=lambda options: "quick",
)


def run_tails(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """The two long tails of the examples or of the training set; ``tails_of`` reads them."""
    from backend.scores.tails import follow_tails, followed_rows

    bundle = needs_bundle("tails", bundle)
    began = time.perf_counter()
    progress(0.0, "following the confidence over training")
    held = followed_rows(bundle)
    if options["of"] not in held:
        raise InputError(
            f"of must be one of {', '.join(map(repr, held)) or 'nothing: there is no msp'}: "
            f"got {options['of']!r}."
        )
    found = follow_tails(held[options["of"]], truth=options["truth"])
    arrays: Arrays = {"auc": found.auc, "slope": found.slope, "candidates": found.candidates}
    if found.gain is not None:
        arrays["gain"] = found.gain
    arrays |= {"curves": _packed(found.curves), "separation": _packed(found.separation)}
    return arrays, {
        "version": TAILS.version,
        "options": options,
        "variants": list(found.variants),
        "reference": found.reference,
        "epoch": found.epoch,
        "seconds": time.perf_counter() - began,
    }


def tails_of(kept: Entry) -> LongTails:
    """The long tails that ``run_tails`` left in the cache."""
    from backend.difficulty import LongTails

    return LongTails(
        variants=tuple(kept.meta["variants"]),
        auc=kept["auc"],
        slope=kept["slope"],
        recovery=None,
        gain=kept["gain"] if "gain" in kept.arrays else None,
        candidates=kept["candidates"],
        reference=str(kept.meta["reference"]),
        epoch=int(kept.meta["epoch"]),
        curves=_unpacked(kept["curves"]),
        separation=_unpacked(kept["separation"]),
    )


def _packed(table: pd.DataFrame) -> NDArray[np.uint8]:
    return np.frombuffer(table.to_parquet(), dtype=np.uint8)


def _unpacked(held: NDArray[np.uint8]) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(held.tobytes()))


def _check_tails(options: Options) -> None:
    if not isinstance(options["of"], str) or not isinstance(options["truth"], str | None):
        raise InputError(
            f"of and truth must be names: got {options['of']!r} and {options['truth']!r}."
        )


TAILS = Task(
    "backend.tasks.difficulty:run_tails",
    version=1,
    defaults={"of": "examples", "truth": None},
    check=_check_tails,
    lane=lambda options: "quick",
)
