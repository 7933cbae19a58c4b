"""The task that takes an upload in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from backend.core.errors import BundleError, InputError
from backend.core.memory import allowance
from backend.core.progress import Progress
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.bundle.entry import FoundField


MOST_FIELDS = 1_000
LONGEST_NAME = 200
"""Arrays and columns that are told, and the length of their names: the upload may hold any."""


def run_import(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Import an upload; ``meta["digest"]`` names the bundle.

    The first part says what arrays and columns there are, for a page that asks which is which should
    the import fail: nobody else opens the upload. A part of a failed one holds the faults that ask
    to choose between readings.
    """
    from backend.bundle import import_bundle, sweep_removed
    from backend.retraining.stored import drop_results

    def told(found: list[FoundField]) -> None:
        named = [one for one in found if len(one.name) <= LONGEST_NAME]
        part({}, {"fields": [asdict(one) for one in named[:MOST_FIELDS]]})

    for gone in sweep_removed():
        drop_results(gone)
    try:
        imported = import_bundle(
            options["path"],
            columns=options["columns"] or None,
            name=options["name"],
            progress=progress,
            found=told,
            owner=options["owner"],
        )
    except BundleError as error:
        asked = [fault for fault in error.faults if fault.readings]
        part({}, {"questions": [fault.to_dict() for fault in asked]})
        raise
    return {}, {"digest": imported.digest, "name": imported.name, "n": imported.n, "d": imported.d}


def _check_import(options: Options) -> None:
    if not isinstance(options["path"], str) or not options["path"]:
        raise InputError(f"path must name a file or folder: got {options['path']!r}.")
    if options["name"] is not None and not isinstance(options["name"], str):
        raise InputError(f"name must be text or None: got {options['name']!r}.")
    if not isinstance(options["owner"], str):
        raise InputError(f"owner must be text: got {options['owner']!r}.")
    columns = options["columns"]
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"columns must map field to column name: got {columns!r}.")


def file_stamp(options: Options) -> str:
    """Names, sizes and times of the files at ``options["path"]``, as one hex digest.

    A repaired file must not meet the refusal of the broken one.
    """
    path = Path(options["path"])
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    seen = hashlib.sha256(os.fsencode(path.absolute()))
    for file in files:
        if file.exists():
            stat = file.stat()
            seen.update(f"\n{file.name} {stat.st_size} {stat.st_mtime_ns}".encode(errors="replace"))
    return seen.hexdigest()


TASK = Task(
    "backend.tasks.imports:run_import",
    version=1,
    defaults={"path": "", "columns": None, "name": None, "owner": ""},
    check=_check_import,
    lane=lambda options: "quick",
    source=file_stamp,
    memory=lambda options: allowance(Path(options["path"])),
)
