"""The tasks "encoded" and "candidates": what an image-text model sees, and who names contexts.

"encoded" puts examples into the model's space, once for all lists; "candidates" asks the configured
language model, where somebody allowed it. "named" (``backend.tasks.named``) reads both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.core.progress import Progress
from backend.core.sampling import random_rows
from backend.tasks.checks import check_count, needs_bundle
from backend.tasks.repair import repair_needs
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

MOST_EXAMPLES = 10_000
"""Examples that are encoded; of more, a random sample, drawn without a look at who fails."""
BATCH = 32
MOST_ASKED = 20
"""Classes that a language model is asked about, one request each."""
NAMES, EXAMPLES = "names", "examples"
ALLOWED = (NAMES, EXAMPLES)
"""What may leave the machine: names of classes; a few failures of each as well."""


def reads_of(bundle: Bundle) -> str:
    """What an example is for a model: pictures where there are any, else texts; "" for neither."""
    if bundle.has_images:
        return "pictures"
    return "texts" if bundle.has_text else ""


def run_encoded(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Examples in the space of a model.

    Arrays: ``rows``, ascending, ``vectors`` (m, d) of length 1 and ``sure`` (m,). Examples without a
    picture or text are left out; ``meta["empty"]`` counts them.
    """
    from backend.imagetext import MODELS, open_model
    from backend.imagetext.models import model_state

    bundle = needs_bundle("encoded", bundle)
    began = time.perf_counter()
    reads = MODELS[options["model"]].reads
    if not (bundle.has_images if reads == "pictures" else bundle.has_text):
        raise InputError(f"{MODELS[options['model']].title} reads {reads}: the bundle has none.")
    if options["state"] != model_state(options["model"]):
        raise InputError("the weights of the model have changed since this was asked: ask again.")
    progress(0.0, "opening the model")
    model = open_model(options["model"])
    rows = np.sort(random_rows(bundle.n, options["most"]))
    held: list[NDArray[np.int64]] = []
    vectors, sure = [], []
    texts = None if reads == "pictures" else bundle.examples["text"].tolist()
    for start in range(0, len(rows), BATCH):
        progress(0.02 + 0.98 * start / len(rows), f"reading {reads}, {start:,} of {len(rows):,}")
        part_rows = rows[start : start + BATCH]
        if texts is None:
            files = [(row, bundle.image(row)) for row in part_rows.tolist()]
            kept = [(row, file) for row, file in files if file]
            found = model.pictures([file for _, file in kept]) if kept else None
            used = [row for row, _ in kept]
        else:
            used = [row for row in part_rows.tolist() if str(texts[row] or "").strip()]
            found = model.texts([str(texts[row]) for row in used]) if used else None
        if found is not None:
            held.append(np.array(used, np.int64))
            vectors.append(found.vectors)
            sure.append(found.sure)
    if not held:
        raise InputError(f"no example has {reads} that can be read.")
    every = np.concatenate(held)
    return {
        "rows": every,
        "vectors": np.concatenate(vectors).astype(np.float32),
        "sure": np.concatenate(sure).astype(np.float32),
    }, {
        "version": ENCODED.version,
        "n": len(every),
        "of": bundle.n,
        "empty": len(rows) - len(every),
        "seconds": time.perf_counter() - began,
    }


def run_candidates(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Candidates of each class from the configured language model: ``meta["contexts"]``, class to texts.

    Nothing is sent unless ``allow`` says what may be, and only to the service that ``endpoint`` names.
    """
    from backend.imagetext import ask_for_contexts, configured_endpoint
    from backend.imagetext.endpoint import EXAMPLES as SENT

    bundle = needs_bundle("candidates", bundle)
    endpoint = configured_endpoint()
    if endpoint is None:
        raise InputError("no language model is configured: whoever runs the server can set one.")
    if options["allow"] not in ALLOWED:
        raise InputError(
            f"nothing may leave this machine until somebody says what: {NAMES} of classes, or "
            f"{EXAMPLES} as well."
        )
    if options["endpoint"] != endpoint.where:
        raise InputError(
            f"what was allowed was allowed to {options['endpoint'][:200]}: the server now asks "
            f"{endpoint.where}. Allow it anew."
        )
    reads = reads_of(bundle)
    seeds = failing_classes(bundle, MOST_ASKED)
    contexts: dict[str, list[str]] = {}
    for at, (label, rows) in enumerate(seeds.items()):
        progress(at / len(seeds), f"asking about {label[:60]}")
        shown: list[str | bytes] = []
        if options["allow"] == EXAMPLES:
            shown = _shown(bundle, reads, random_rows(len(rows), SENT, among=rows))
        contexts[label] = ask_for_contexts(
            endpoint, label, reads=reads or "pictures", examples=shown
        )
    return {}, {"version": CANDIDATES.version, "contexts": contexts, "from": endpoint.where}


def _shown(bundle: Bundle, reads: str, rows: NDArray[np.int64]) -> list[str | bytes]:
    """What is sent of these examples: texts, or pictures as small as thumbnails."""
    if reads == "texts":
        return [str(bundle.examples["text"][row]) for row in rows.tolist()]
    return [found for row in rows.tolist() if (found := bundle.thumbnail(row))]


def failing_classes(bundle: Bundle, most: int) -> dict[str, NDArray[np.int64]]:
    """Classes with the failures that choose contexts, most failures first: those not kept aside."""
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    labels = np.asarray(bundle.label_names)
    seeds = np.flatnonzero(~np.asarray(bundle.correct) & ~bundle_aside(bundle))
    counts = pd.Series(labels[seeds]).value_counts(sort=False)
    ranked = counts.sort_values(ascending=False, kind="stable").index[:most]
    return {str(label): seeds[labels[seeds] == label] for label in ranked}


def _check_encoded(options: Options) -> None:
    from backend.imagetext.models import MODELS

    if options["model"] not in MODELS:
        raise InputError(f"model must be one of {', '.join(MODELS)}: got {options['model']!r}.")
    if not isinstance(options["state"], str):
        raise InputError(f"state must be a text: got {options['state']!r}.")
    check_count("most", options["most"], 20, MOST_EXAMPLES)


def _check_candidates(options: Options) -> None:
    for name in ("endpoint", "allow"):
        if not isinstance(options[name], str):
            raise InputError(f"{name} must be a text: got {options[name]!r}.")


def _check_named(options: Options) -> None:
    from backend.repair.candidates import LISTS, own_list

    _check_encoded(options)
    check_count("k", options["k"], 1, 50)
    unknown = [name for name in options["lists"] if name not in LISTS]
    if unknown:
        raise InputError(f"lists must be of {', '.join(LISTS)}: got {unknown[0]!r}.")
    own_list(options["own"])
    asked = options["asked"]
    if not isinstance(asked, Mapping):
        raise InputError(f"asked must be texts of each class: got {type(asked).__name__}.")
    for texts in asked.values():
        own_list(texts)
    if not (options["lists"] or list(options["own"]) or any(asked.values())):
        raise InputError("there must be a list of candidates: choose one, or write your own.")


ENCODED = Task(
    "backend.tasks.encoded:run_encoded",
    version=1,
    defaults={"model": "conse", "state": "", "most": MOST_EXAMPLES},
    check=_check_encoded,
)
CANDIDATES = Task(
    "backend.tasks.encoded:run_candidates",
    version=1,
    defaults={"endpoint": "", "allow": ""},
    check=_check_candidates,
)
NAMED = Task(
    "backend.tasks.named:run_named",
    version=1,
    defaults={
        "model": "conse",
        "state": "",
        "most": MOST_EXAMPLES,
        "lists": [],
        "own": [],
        "asked": {},
        "k": 3,
    },
    check=_check_named,
)
