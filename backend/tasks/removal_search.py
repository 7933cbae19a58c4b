"""The task "removal_search": how many training examples to leave out, the last layer being refitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle.training import training_of
from backend.core.errors import InputError
from backend.core.parts import deal
from backend.core.progress import Progress, share_of
from backend.core.sampling import random_rows
from backend.core.statistics import wilson_interval
from backend.core.wording import DASH, percent, percent_range
from backend.tasks.attribution import (
    TASK as ATTRIBUTION,
)
from backend.tasks.attribution import (
    aligned,
    pseudo_codes,
    question_codes,
    source_of,
)
from backend.tasks.checks import needs_bundle
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.cache import Entry

SHARES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
"""Numbers that are tried, as shares of the training examples."""
FEWEST = 10
"""Examples of a group in each half below which it is not measured."""

Codes = NDArray[np.int64]


def run_removal_search(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Search the number to remove on one half of the evaluated examples, and measure on the other.

    The half that chooses also makes the scores. ``meta`` holds ``lines``: for each number that was tried
    ``removed``, ``chooses`` (worst-group accuracy on the half that chooses), and on the other half ``worst``
    with ``low`` and ``high`` (Wilson), ``worst_group``, ``balanced``, and ``random`` (worst-group accuracy with
    as many left out by lot); ``best``, the number that was chosen; ``measured`` and ``small``, how many
    groups were measured and how many were too small.
    """
    from backend.attribution import pseudo_components, refit_head, search_removal
    from backend.attribution.removal import removal_of

    bundle = needs_bundle("removal_search", bundle).at_layer("")
    training = training_of(bundle)
    if (
        training is None
        or training.label_codes is None
        or "embeddings" not in training.fields
        or bundle.label_codes is None
    ):
        raise InputError(
            "searching for the number refits the last layer: it needs train/embeddings, train/labels and "
            "labels, which this bundle does not have all."
        )
    source = source_of(bundle, options["method"], share_of(progress, 0.0, 0.3))
    labels = np.asarray(bundle.label_codes)
    pseudo = options["question"] == "pseudo"
    codes, names = (
        question_codes(bundle, options | {"question": "groups", "columns": []})
        if pseudo
        else question_codes(bundle, options)
    )
    side = deal(bundle.n, key=f"removal {bundle.content}", shares=(1, 1), labels=codes + 1)
    choosing = side == 0
    scored = np.where(choosing, codes, -1)
    if pseudo:
        if bundle.correct is None:
            raise InputError("pseudo-groups need labels and predictions: the bundle lacks them.")
        rows = np.flatnonzero(choosing)
        found = pseudo_components(
            source.factored.compressed(share_of(progress, 0.3, 0.4))[:, rows],
            labels[rows],
            bundle.correct[rows],
            bundle.losses[rows],
            component=options["component"],
        )
        groups = np.zeros(bundle.n, np.int64)
        groups[rows] = found.groups
        scored = np.where(choosing, pseudo_codes(groups, bundle)[0], -1)
    scored = _dense(scored)
    used = scored >= 0
    losses = np.bincount(scored[used], bundle.losses[used]) / np.bincount(scored[used])
    scores = aligned(source.factored, scored, losses, options, share_of(progress, 0.4, 0.5)).scores
    if options["question"] == "rows":
        codes, names = codes + 1, ["the others", *names]
    chosen_by = scored if pseudo else np.where(choosing, codes, -1)
    large = (np.bincount(codes[choosing], minlength=len(names)) >= FEWEST) & (
        np.bincount(codes[~choosing], minlength=len(names)) >= FEWEST
    )
    if not large.any():
        raise InputError(
            f"no group has {FEWEST} examples in each half: choose fewer columns, or a larger group."
        )
    if not pseudo:
        chosen_by = np.where(large[codes], chosen_by, -1)
    reports = np.where(~choosing & large[codes], codes, -1)
    x, y = np.asarray(training.fields["embeddings"], np.float64), training.label_codes
    ks = sorted({max(1, round(share * len(y))) for share in SHARES})
    steps = 2 * len(ks) + 1
    done = 0
    right: dict[int, NDArray[np.bool_]] = {}

    def answers(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        nonlocal done
        removed = len(keep) - int(keep.sum())
        progress(0.5 + 0.5 * done / steps, f"Refitting without {removed:,} training examples")
        done += 1
        head = refit_head(x[keep], y[keep], len(bundle.class_names or ()))
        return np.asarray(head.probabilities(bundle.embeddings).argmax(1) == labels)

    def worst_that_chooses(keep: NDArray[np.bool_]) -> float:
        own = answers(keep)
        right[len(keep) - int(keep.sum())] = own
        return _worst(own, chosen_by)[0]

    best, tried = search_removal(scores, worst_that_chooses, candidates=ks, labels=y)
    lines = []
    for k, value in tried.dropna().itertuples(index=False):
        worst, group = _worst(right[int(k)], reports)
        n = int((reports == group).sum())
        low, high = wilson_interval(round(worst * n), n)
        line = {
            "removed": int(k),
            "chooses": float(value),
            "worst": worst,
            "low": float(low),
            "high": float(high),
            "worst_group": names[group],
            "balanced": float(np.mean(_rates(right[int(k)], reports)[0])),
            "random": None,
        }
        if k:
            try:
                by_lot = removal_of(random_rows(len(y), int(k), seed=options["seed"]), len(y), y)
                line["random"] = _worst(answers(by_lot.keep), reports)[0]
            except InputError:  # it would empty a class
                line["random"] = None
        lines.append(line)
    progress(1.0, "Searched.")
    return {}, {
        "version": TASK.version,
        "lines": lines,
        "best": 0 if best is None else len(best.rows),
        "n_chooses": int(choosing.sum()),
        "n_reports": int((~choosing).sum()),
        "measured": int(large.sum()),
        "small": int((~large).sum()),
        "n_train": len(y),
    }


def search_table(found: Entry) -> pd.DataFrame:
    """What each number bought, as text."""
    return pd.DataFrame(
        [
            {
                "left out": line["removed"],
                "worst group": f"{percent(line['worst'])} ({percent_range(line['low'], line['high'])})",
                "which": line["worst_group"],
                "balanced": percent(line["balanced"]),
                "as many by lot": DASH if line["random"] is None else percent(line["random"]),
                "on the half that chooses": percent(line["chooses"]),
            }
            for line in found.meta["lines"]
        ]
    )


def _dense(codes: Codes) -> Codes:
    """Codes from 0 in a row, -1 staying what it is."""
    found = np.full(len(codes), -1, np.int64)
    used = codes >= 0
    found[used] = np.unique(codes[used], return_inverse=True)[1]
    return found


def _rates(right: NDArray[np.bool_], codes: Codes) -> tuple[NDArray[Any], Codes]:
    """Accuracies of the groups that occur, and which these are."""
    used = codes >= 0
    present, own = np.unique(codes[used], return_inverse=True)
    rates = np.bincount(own, right[used].astype(np.float64)) / np.bincount(own)
    return rates, present


def _worst(right: NDArray[np.bool_], codes: Codes) -> tuple[float, int]:
    rates, present = _rates(right, codes)
    at = int(rates.argmin())
    return float(rates[at]), int(present[at])


TASK = Task(
    "backend.tasks.removal_search:run_removal_search",
    version=1,
    defaults=ATTRIBUTION.defaults,
    check=ATTRIBUTION.check,
)
