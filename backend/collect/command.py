"""``python collector.py module:factory --out bundle.npz``: collect what a function of yours returns."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.collect.collecting import Collected, collect, silent
from backend.collect.errors import CollectError

RETURNS = "(model, loader), (model, loader, options) or a dictionary of collect's arguments"


def add_collect_options(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options of the command, here and in Errorscope."""
    parser.add_argument(
        "factory",
        nargs=None if required else "?",
        metavar="MODULE:FACTORY",
        help=f"a function of yours, in a module or a file.py, that returns {RETURNS}",
    )
    parser.add_argument(
        "--out", metavar="FILE", help=".npz, .zip, or a new folder (default: bundle.npz)"
    )
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument(
        "--precision", choices=("float16", "bfloat16"), help="compute in mixed precision"
    )


def made_by(factory: str) -> dict[str, Any]:
    """Arguments of ``collect`` that a factory returns.

    Parameters
    ----------
    factory : str
        ``"package.module:function"``, found from the current folder on, or ``"file.py:function"``.

    Raises
    ------
    CollectError
        If there is no such function, or it returns something else.
    """
    place, mark, name = factory.rpartition(":")
    if not mark or not place or not name:
        raise CollectError(
            f"the factory must be MODULE:FUNCTION, as in train:evaluated: got {factory!r}."
        )
    module = module_at(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise CollectError(f"{place} has no function {name!r}.")
    returned = function()
    if isinstance(returned, Mapping):
        given = dict(returned)
    elif isinstance(returned, (tuple, list)) and 2 <= len(returned) <= 3:
        given = {"model": returned[0], "loader": returned[1], **dict(*returned[2:])}
    else:
        raise CollectError(f"{factory} must return {RETURNS}: got a {type(returned).__name__}.")
    if missing := {"model", "loader"} - given.keys():
        raise CollectError(f"{factory} must return {RETURNS}: {sorted(missing)[0]} is missing.")
    return given


def module_at(place: str) -> Any:
    """A module by its dotted name, or by the path of its file."""
    if not place.endswith(".py"):
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not (place + ".").startswith(error.name + "."):
                raise  # it is there, and something that it imports is not
            raise CollectError(
                f"there is no module {place!r} here. Run this where it can be imported, or give "
                "file.py:function."
            ) from error
    path = Path(place)
    if not path.is_file():
        raise CollectError(f"there is no file {place!r}.")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def collect_made(
    options: argparse.Namespace, progress: Callable[[float, str], None] = silent
) -> Collected:
    """What the command does: ask the factory, collect, write."""
    given = made_by(options.factory)
    said = {"out": options.out, "device": options.device, "precision": options.precision}
    given |= {name: value for name, value in said.items() if value is not None}
    given.setdefault("out", "bundle.npz")
    given.setdefault("progress", progress)
    model, loader = given.pop("model"), given.pop("loader")
    return collect(model, loader, **given)


def line(fraction: float, message: str) -> None:
    """Progress in one line of the terminal."""
    sys.stderr.write(f"\r{100 * fraction:3.0f}\u00a0%  {message[:60]:<60}")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when it worked, 2 when something could not be used, 130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(
        description="Collect embeddings, losses and predictions of a model as a bundle."
    )
    add_collect_options(parser)
    options = parser.parse_args(arguments)
    try:
        collected = collect_made(options, line if sys.stderr.isatty() else silent)
    except CollectError as error:
        sys.stderr.write(f"\nerror: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped: nothing was written.\n")
        return 130
    sys.stdout.write(f"\n{collected}\nNow import it: python -m backend import {collected.path}\n")
    return 0
