"""The task that makes a demo where it is not there yet, and takes it in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, share_of
from backend.demo import DEMOS, demo_path
from backend.tasks.imports import file_stamp, run_import
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

MAKING = 0.9
"""Of the whole, the share that making it takes."""


def run_demo(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Make and import a demo; ``meta["digest"]`` names the bundle."""
    demo, path = DEMOS[options["name"]], demo_path(options["name"])
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        import_module(demo.made_by).build(path, progress=share_of(progress, 0.0, MAKING))
    taken = {"path": str(path), "columns": None, "name": demo.title, "owner": options["owner"]}
    return run_import(bundle, taken, share_of(progress, MAKING, 1.0), part)


def _check(options: Options) -> None:
    check_choice("name", options["name"], tuple(DEMOS))
    if not isinstance(options["owner"], str):
        raise InputError(f"owner must be text: got {options['owner']!r}.")


def _stamp(options: Options) -> str:
    return file_stamp({"path": str(demo_path(options["name"]))})


TASK = Task(
    "backend.tasks.demos:run_demo",
    version=1,
    defaults={"name": "fashion", "owner": ""},
    check=_check,
    lane=lambda options: "background",  # training takes minutes, searches go on meanwhile
    source=_stamp,
)
