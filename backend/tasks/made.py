"""The tasks "made" and "drawn": examples that did not exist, as a bundle and as a zip.

Nothing that measures a repair has a part in what is made: only examples that are not kept aside train the
network and are varied, and a repair with a made set measures on those kept aside (``backend.tasks.repair``).
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.core.progress import Progress, share_of
from backend.core.sampling import random_rows
from backend.tasks.checks import check_count, check_layer, needs_bundle
from backend.tasks.repair import MADE, class_codes, repair_needs
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.generate.vae import TrainedVae

MOST_TRAINED = 10_000
"""Examples that train the network; of more, the group's and others by lot."""
MOST_MADE = 5_000
MOST_PER_ROW = 20
MOST_DRAWN = 200
"""Pictures that one task draws; a small machine takes minutes for each of a large model."""
LONGEST_PROMPT = 400


def run_made(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Keep variations of a group as a bundle; ``meta["digest"]`` names it, array ``zip`` is its file.

    A network learns what the bundle's examples look like (``train_vae``), a Gaussian is fitted to the
    group's members in its latent space, label by label, and what is drawn from it is decoded. Losses
    and predictions are those of the last layer refitted on the examples that trained the network.

    ``meta``: ``name``, ``n``, ``pictures``, ``members`` (varied), ``trained``, ``picture_fit`` and
    ``embedding_fit`` (of held-out examples, None where undefined), ``agree`` (share of what was made
    that the refitted layer takes for its label), ``seconds``.
    """
    import tempfile
    from pathlib import Path

    from backend.bundle import import_bundle, write_bundle
    from backend.generate.vae import train_vae
    from backend.repair import vary_group
    from backend.repair.asked import Standardised
    from backend.repair.head import WEIGHT_DECAY, HeadProblem, log_probabilities

    whole = needs_bundle("made", bundle)
    bundle = whole.at_layer(options["layer"])
    began = time.perf_counter()
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    progress(0.0, "reading the examples")
    rows, varied = _making(bundle, options)
    labels = class_codes(bundle.label_codes)
    n_classes = len(bundle.class_names or ())
    rows, pixels = _shown(bundle, rows, share_of(progress, 0.0, 0.1))
    x = np.asarray(bundle.embeddings[rows], np.float32)
    network = train_vae(
        pixels, x, labels[rows], n_classes=n_classes, seed=options["seed"],
        progress=share_of(progress, 0.1, 0.85),
    )  # fmt: skip
    progress(0.85, "making variations")
    among = np.flatnonzero(np.isin(rows, varied))
    if not len(among):
        raise InputError("none of the group's members has a picture that can be read.")
    latent = network.encode(
        None if pixels is None else pixels[among], x[among], labels[rows[among]]
    )
    made, codes = vary_group(
        latent, labels[rows[among]], per_row=options["per_row"], seed=options["seed"]
    )
    drawn, embeddings = network.decode(made, codes)
    scaled = Standardised.of(x, len(x))
    problem = HeadProblem(scaled.apply(x), labels[rows], n_classes, weight_decay=WEIGHT_DECAY)
    head = problem.solve(np.full(len(x), 1 / len(x)))
    log_p = log_probabilities(head.logits(scaled.apply(embeddings)))
    names = np.asarray(bundle.class_names, dtype=np.str_)
    told = options["what"][:200]
    fields: dict[str, Any] = {
        "embeddings": embeddings,
        "labels": names[codes],
        "predictions": names[log_p.argmax(axis=1)],
        "losses": -log_p[np.arange(len(codes)), codes],
        "classes": tuple(names.tolist()),
        "examples": pd.DataFrame({"id": [f"made-{at + 1}" for at in range(len(codes))]}),
        "images": None if drawn is None else _files(drawn, pixels),
        "made_from": np.array(
            [
                whole.digest,
                f"{MADE}{len(codes):,} variations of {told} by a small network, seed {options['seed']}",
            ]
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write_bundle(Path(folder) / "made.zip", **fields)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        kept = import_bundle(
            path,
            name=f"{whole.name[:60]}, variations of {told}"[:120],
            owner=options["owner"],
            progress=share_of(progress, 0.9, 1.0),
        )
    return {"zip": data}, {
        "version": MADE_TASK.version,
        "digest": kept.digest,
        "name": kept.name,
        "n": len(codes),
        "members": len(among),
        "agree": float((log_p.argmax(axis=1) == codes).mean()),
        "seconds": time.perf_counter() - began,
        **_fits(network),
    }


def _making(bundle: Bundle, options: Options) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that train, and members among them that are varied: none of those kept aside."""
    aside = bundle_aside(bundle, options["groups"])
    members = np.unique(np.asarray(options["members"], np.int64))
    if members[-1] >= bundle.n:
        raise InputError(f"members must be rows below {bundle.n}: got {members[-1]}.")
    varied = members[~aside[members]]
    if not len(varied):
        raise InputError(
            f"a variation needs a member that is not kept aside: of {len(members):,} there is none. Those "
            "kept aside measure what the made examples bring."
        )
    varied = np.sort(
        random_rows(len(varied), max(1, MOST_MADE // options["per_row"]), among=varied)
    )
    others = np.setdiff1d(np.flatnonzero(~aside), varied)
    drawn = random_rows(len(others), max(0, MOST_TRAINED - len(varied)), among=others)
    return np.sort(np.concatenate([varied, drawn])), varied


def _shown(
    bundle: Bundle, rows: NDArray[np.int64], progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.uint8] | None]:
    """Pictures of these rows, and the rows that have one; all rows and None where most have none."""
    from PIL import Image

    from backend.generate.vae import picture_size
    from backend.imagetext.pixels import squares

    if not bundle.has_images:
        return rows, None
    files: list[bytes] = []
    held: list[int] = []
    for at, row in enumerate(rows.tolist()):
        if at % 200 == 0:
            progress(at / len(rows), f"reading pictures, {at:,} of {len(rows):,}")
        file = bundle.image(row)
        if file:
            files.append(file)
            held.append(row)
    if 2 * len(held) < len(rows):
        return rows, None
    sides = []
    for file in files[:200]:
        with Image.open(io.BytesIO(file)) as opened:
            sides.append(max(opened.size))
    shown = squares(files, picture_size(sides)).transpose(0, 2, 3, 1)
    return np.array(held, np.int64), np.ascontiguousarray(shown)


def _files(drawn: NDArray[np.uint8], given: NDArray[np.uint8] | None) -> list[bytes]:
    """Pictures as PNG files, grey where all that were learnt from are."""
    from PIL import Image

    grey = given is not None and bool(
        (given[..., 0] == given[..., 1]).all() and (given[..., 1] == given[..., 2]).all()
    )
    files = []
    for pixels in drawn:
        shown = Image.fromarray(pixels)
        file = io.BytesIO()
        (shown.convert("L") if grey else shown).save(file, "PNG")
        files.append(file.getvalue())
    return files


def _fits(network: TrainedVae) -> Meta:
    fits = {"picture_fit": network.picture_fit, "embedding_fit": network.embedding_fit}
    told: Meta = {name: one if np.isfinite(one) else None for name, one in fits.items()}
    return told | {"pictures": network.size > 0, "trained": network.n}


def run_drawn(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Draw the pictures of some prompts; array ``zip`` holds them with ``examples.csv``.

    They have no embeddings: whoever has the examined model collects those, and imports both.
    """
    from backend.export.cells import neutralise
    from backend.generate import draw_pictures, pictures_state

    needs_bundle("drawn", bundle)
    began = time.perf_counter()
    if options["state"] != pictures_state():
        raise InputError("the weights of the model have changed since this was asked: ask again.")
    asked = [(str(one["prompt"]), int(one["examples"])) for one in options["lines"]]
    pictures = draw_pictures(
        asked, steps=options["steps"], seed=options["seed"], progress=share_of(progress, 0.02, 0.98)
    )
    progress(0.0, "opening the model")
    packed, told = io.BytesIO(), []
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for at, one in enumerate(pictures):
            line = options["lines"][one.prompt]
            name = f"images/{at:05d}.png"
            archive.writestr(zipfile.ZipInfo(name), one.file)  # one fixed date
            told.append(
                {
                    "id": f"drawn-{at + 1}",
                    "image": name,
                    **{key: str(line[key]) for key in ("label", "context", "prompt")},
                    "seed": one.seed,
                }
            )
        table = pd.DataFrame(told).map(lambda one: neutralise(one) if isinstance(one, str) else one)
        text = table.to_csv(index=False, lineterminator="\n")
        archive.writestr(zipfile.ZipInfo("examples.csv"), text)
    return {"zip": np.frombuffer(packed.getvalue(), np.uint8)}, {
        "version": DRAWN_TASK.version,
        "n": len(told),
        "seconds": time.perf_counter() - began,
    }


def _check_made(options: Options) -> None:
    check_layer(options)
    if not isinstance(options["members"], list | tuple) or not options["members"]:
        raise InputError("members must be a list of at least one row.")
    for row in options["members"]:
        check_count("a row of members", row, 0, 2**40)
    if options["groups"] is not None and not isinstance(options["groups"], str):
        raise InputError(f"groups must name a column or be None: got {options['groups']!r}.")
    check_count("per_row", options["per_row"], 1, MOST_PER_ROW)
    check_count("seed", options["seed"], 0, 2**31 - 1)
    for name in ("of", "what", "owner"):
        if not isinstance(options[name], str):
            raise InputError(f"{name} must be text: got {options[name]!r}.")


def _check_drawn(options: Options) -> None:
    lines = options["lines"]
    if not isinstance(lines, list | tuple) or not lines:
        raise InputError("lines must be a list of one prompt or more.")
    total = 0
    for one in lines:
        if not isinstance(one, Mapping) or not {"label", "context", "prompt", "examples"} <= set(
            one
        ):
            raise InputError("every line must have label, context, prompt and examples.")
        if not isinstance(one["prompt"], str) or not 0 < len(one["prompt"]) <= LONGEST_PROMPT:
            raise InputError(f"a prompt must be a text of at most {LONGEST_PROMPT} signs.")
        check_count("examples", one["examples"], 1, MOST_DRAWN)
        total += int(one["examples"])
    if total > MOST_DRAWN:
        raise InputError(f"at most {MOST_DRAWN} pictures are drawn at a time: got {total:,}.")
    check_count("steps", options["steps"], 1, 200)
    check_count("seed", options["seed"], 0, 2**31 - 1)
    if not isinstance(options["state"], str):
        raise InputError(f"state must be a text: got {options['state']!r}.")


MADE_TASK = Task(
    "backend.tasks.made:run_made",
    version=1,
    defaults={
        "of": "",
        "members": [],
        "groups": None,
        "per_row": 5,
        "seed": 0,
        "what": "a group",
        "owner": "",
        "layer": "",
    },
    check=_check_made,
    # What it makes can be deleted: a finished one is done again, and finds the bundle if it is there.
    source=lambda options: str(options["of"]),
)
DRAWN_TASK = Task(
    "backend.tasks.made:run_drawn",
    version=1,
    defaults={"lines": [], "steps": 30, "seed": 0, "state": ""},
    check=_check_drawn,
)
