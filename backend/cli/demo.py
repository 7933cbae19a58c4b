"""The command about demo bundles: where they are, a copy, or made anew."""

from __future__ import annotations

import inspect
from argparse import ArgumentParser, Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from backend.cli.report import Report, StderrProgress, listed, plain, write_file
from backend.core.errors import InputError

MAKING = ("data", "models", "epochs", "workers", "keep")
"""Options that only matter when a demo is made."""


def add_options(command: ArgumentParser) -> None:
    """The options of ``demo``."""
    command.add_argument(
        "name",
        metavar="NAME",
        help="name of the demo: fashion, compression, adult, marked, reviews, films, houses, emoji or "
        "flipped",
    )
    command.add_argument(
        "--rebuild",
        action="store_true",
        help="train it anew, also where the file exists (up to half an hour on two cores)",
    )
    command.add_argument("--out", metavar="FILE", help="write it here")
    command.add_argument("--data", metavar="PATH", help="where the data set lies")
    command.add_argument("--models", type=int, metavar="M", help="networks per population")
    command.add_argument("--epochs", type=int, help="passes over the training data")
    command.add_argument("--workers", type=int, help="processes that train at once (default: 2)")
    command.add_argument(
        "--keep",
        metavar="FOLDER",
        help="keep every network's answers here, and use those that are there; without it a "
        "stopped run goes on as well, and they are removed at the end",
    )


def demo(options: Namespace) -> Report:
    """Where a demo is; one that is not there and is not shipped is made, like with ``--rebuild``."""
    from backend.demo import DEMOS, demo_path

    source = demo_path(options.name)
    target = Path(options.out) if options.out else source
    made = options.rebuild or not (source.exists() or DEMOS[options.name].shipped)
    numbers: dict[str, float] = {}
    if made:
        numbers = _make(DEMOS[options.name].made_by, target, options)
    elif given := [name for name in MAKING if getattr(options, name) is not None]:
        raise InputError(f"--{given[0]} decides how a demo is made: it goes with --rebuild.")
    elif not source.exists():
        raise InputError(
            f"the demo '{options.name}' is not in this copy of Errorscope ({source} is missing). "
            f"Make it: python -m backend demo {options.name} --rebuild"
        )
    elif options.out:
        write_file(target, source.read_bytes())
    data = {"name": options.name, "path": str(target), **numbers}
    return Report(plain(data), listed(data.items()))


def _make(module: str, target: Path, options: Namespace) -> dict[str, float]:
    build = import_module(module).build  # loads torch
    chosen: dict[str, Any] = {
        "n_models" if name == "models" else name: getattr(options, name)
        for name in MAKING
        if getattr(options, name) is not None
    }
    if unknown := sorted(chosen.keys() - inspect.signature(build).parameters.keys()):
        raise InputError(f"the demo '{options.name}' has no option --{unknown[0]}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, float] = build(target, progress=StderrProgress(), **chosen)
    return numbers
