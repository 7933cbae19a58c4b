"""The task "repaired": a new bundle with what the refitted last layer answers, and its control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import group_codes
from backend.core.progress import Progress, share_of
from backend.tasks.checks import check_layer, check_number, needs_bundle
from backend.tasks.repair.needs import (
    MOST_ROWS,
    check_kinds,
    check_rows,
    class_codes,
    repair_needs,
    training_part,
)
from backend.tasks.repair.origin import HOW, REFITTED
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_repaired(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Keep a new bundle with the answers of the repaired head; ``meta["digest"]`` names it.

    Beside it the plain refit of the same halves is kept, ``meta["control"]``: what refitting alone
    changes, against which the repair is held when it is compared with this bundle.

    It has the same examples, embeddings, labels and columns; predictions, probabilities and losses are
    those of ``repaired_outputs``; populations ``before`` and ``repaired`` hold both models' answers, and
    ``made_from`` the digest of this bundle and how it was made. What belongs to the old model alone
    (gradients, attribution, confidence over training, the training part) is left out.
    """
    from backend.bundle import UNCHANGED
    from backend.repair import repaired_outputs

    whole = needs_bundle("repaired", bundle)
    bundle = whole.at_layer(options["layer"])
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    if bundle.n > MOST_ROWS:
        raise InputError(
            f"a repaired bundle can be kept of at most {MOST_ROWS:,} examples: this one has "
            f"{bundle.n:,}. Refit the head in your own code, and import what it says."
        )
    together = options["groups"]
    embeddings = np.asarray(bundle.embeddings, np.float32)
    train = training_part(bundle) if options["train"] else None

    def answers(strength: float, low: float, high: float) -> NDArray[np.float64]:
        return repaired_outputs(
            embeddings,
            class_codes(bundle.label_codes),
            np.asarray(options["members"], np.int64),
            strength=strength,
            n_classes=len(bundle.class_names or ()),
            train=train,
            together=None if together is None else group_codes(bundle, together),
            key=bundle.content,
            progress=share_of(progress, low, high),
        )

    log_p = answers(options["strength"], 0.0, 0.35)
    plain = answers(0.0, 0.35, 0.7)
    told = options["what"][:200]
    strength = f"{options['strength']:g}"
    progress(0.7, "writing the bundles")
    control = _keep_refit(
        (whole, bundle, plain),
        (f"{whole.name[:80]}, plain refit", f"{REFITTED}, nothing counting more, beside {told}"),
        UNCHANGED,
        options["owner"],
        share_of(progress, 0.7, 0.85),
    )
    kept = _keep_refit(
        (whole, bundle, log_p),
        (
            f"{whole.name[:80]}, repaired ×{strength}",
            f"{HOW}{told} counts x{strength} in refitting the last layer",
        ),
        control.digest,
        options["owner"],
        share_of(progress, 0.85, 1.0),
    )
    return {}, {"digest": kept.digest, "name": kept.name, "control": control.digest}


def _keep_refit(
    said: tuple[Bundle, Bundle, NDArray[np.float64]],
    called: tuple[str, str],
    beside: str,
    owner: str,
    progress: Progress,
) -> Bundle:
    """Import what a refitted head says of a bundle, under a name and with how it was made."""
    import tempfile
    from pathlib import Path

    from backend.bundle import import_bundle, write_bundle

    whole, bundle, log_p = said
    names = np.asarray(bundle.class_names, dtype=np.str_)
    labels, after = class_codes(bundle.label_codes), names[log_p.argmax(axis=1)]
    given = whole.fields()
    held = ("embeddings", "layers", "examples", "images")
    fields: dict[str, Any] = {name: given[name] for name in held if name in given}
    fields |= {
        "labels": names[labels],
        "predictions": after,
        "probabilities": np.exp(log_p).astype(np.float32),
        "losses": -log_p[np.arange(len(labels)), labels],
        "classes": tuple(names.tolist()),
        "populations": {
            "before": names[class_codes(bundle.prediction_codes)][None],
            "repaired": after[None],
        },
        "made_from": np.array([bundle.digest, called[1], beside]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write_bundle(Path(folder) / "repaired.zip", **fields)
        return import_bundle(path, name=called[0], owner=owner, progress=progress)


def _check_repaired(options: Options) -> None:
    check_layer(options)
    check_rows(options, "members")
    if not options["members"]:
        raise InputError("members must name at least one row: got none.")
    check_number("strength", options["strength"], above=0)
    check_kinds(options, ("train",), ("groups",))
    for name in ("of", "what", "owner"):
        if not isinstance(options[name], str):
            raise InputError(f"{name} must be text: got {options[name]!r}.")


REPAIRED = Task(
    "backend.tasks.repair.keep:run_repaired",
    version=2,
    defaults={
        "of": "",
        "members": [],
        "groups": None,
        "train": False,
        "strength": 0.5,
        "what": "a group",
        "owner": "",
        "layer": "",
    },
    check=_check_repaired,
    # What it makes can be deleted: a finished one is done again, and finds the bundle if it is there.
    source=lambda options: str(options["of"]),
)
