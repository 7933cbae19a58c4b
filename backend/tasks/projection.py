"""The task that lays examples out on a map."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backend.core.arrays import check_choice
from backend.core.progress import Progress
from backend.tasks.checks import check_count, check_layer, chosen_layer
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_projection(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Lay the examples out on a map: ``xy`` (n, 2) float32."""
    from backend.map.project import project

    bundle = chosen_layer("projection", bundle, options)
    began = time.perf_counter()
    made = project(
        bundle.embeddings,
        method=options["method"],
        seed=options["seed"],
        losses=bundle.losses,
        progress=progress,
    )
    return {"xy": made.xy}, {
        "version": TASK.version,
        "options": options,
        "sampled": made.sampled,
        "explained": made.explained,
        "note": made.note,
        "seconds": time.perf_counter() - began,
    }


def _check_projection(options: Options) -> None:
    check_layer(options)
    check_choice("method", options["method"], ("pca", "umap"))
    check_count("seed", options["seed"], 0, 2**32 - 1)


TASK = Task(
    "backend.tasks.projection:run_projection",
    version=2,
    defaults={"method": "pca", "seed": 0, "layer": ""},
    check=_check_projection,
    lane=lambda options: "background" if options["method"] == "umap" else "quick",
)
