"""The command that collects a bundle from a model, or hands out the collector as one file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from backend.cli.report import Report, StderrProgress, listed, plain, write_file
from backend.collect import CollectError, standalone
from backend.collect.command import add_collect_options, collect_made
from backend.core.errors import InputError


def add_options(command: ArgumentParser) -> None:
    """The options of ``collect``."""
    add_collect_options(command, required=False)
    command.add_argument("--import-as", metavar="NAME", help="also import it, called so")
    command.add_argument(
        "--standalone",
        metavar="FILE",
        help="write the collector as one file instead, to copy beside training code where Errorscope "
        "is not installed; it needs numpy, and torch for torch models",
    )


def collect(options: Namespace) -> Report:
    """Collect what a factory returns, or write the collector itself."""
    if options.standalone is not None:
        if options.factory is not None or options.import_as is not None:
            raise InputError("--standalone writes the collector and collects nothing.")
        path = Path(options.standalone)
        write_file(path, standalone().encode())
        said = f"{path}: python {path.name} MODULE:FACTORY --out bundle.npz"
        return Report({"standalone": str(path)}, said)
    if options.factory is None:
        raise InputError(
            "collect needs MODULE:FACTORY, as in train:evaluated, or --standalone FILE."
        )
    try:
        made = collect_made(options, StderrProgress())
    except CollectError as error:
        raise InputError(str(error)) from error
    data: dict[str, Any] = {
        "path": str(made.path),
        "examples": made.n,
        "dimensions": made.d,
        "mean_loss": made.mean_loss,
        "accuracy": made.accuracy,
    }
    if options.import_as is not None:
        from backend.bundle import import_bundle

        data["digest"] = import_bundle(made.path, options.home, name=options.import_as).digest
    rows = [(name.replace("_", " "), value) for name, value in data.items()]
    text = "\n".join([listed(rows), "", *made.notes])
    return Report(plain({**data, "notes": list(made.notes)}), text)
