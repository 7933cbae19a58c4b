"""Results of retraining on disk: a folder per problem, in it a folder per recipe and seed.

What is finished is there whole or not at all, so a run that was stopped goes on where it stood. The
tables are written anew whenever something is finished. Reading needs no torch.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backend.cache import DamagedEntry, Entry, read_folder, write_folder
from backend.core.errors import InputError
from backend.core.home import home_folder, written_in
from backend.core.quota import check_room
from backend.retraining.measure import recipe_table, removal_curve
from backend.retraining.recipes import BASE, RECIPES

FACTS, TABLE, CURVE, RESULT = "problem.json", "table.csv", "curve.csv", "result.json"
FORMAT = "errorscope retraining 1"
_FOLDER = "retraining"
_KEPT = re.compile(r"[a-z][a-z0-9_]*-\d+")
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class RetrainingResult:
    """What is kept of the retraining of a problem.

    Attributes
    ----------
    folder : Path
    facts : mapping
        ``name``, ``key``, ``made_from`` (digest of the bundle, or ""), ``n_train``, ``n_validation``,
        ``n_report``, ``groups``, ``planted`` (number, or None), ``planted_name``, ``skipped``
        (recipe: why).
    table, curve : DataFrame
        As ``recipe_table`` and ``removal_curve`` give them.
    """

    folder: Path
    facts: Mapping[str, Any]
    table: pd.DataFrame
    curve: pd.DataFrame

    @property
    def name(self) -> str:
        return str(self.facts["name"])


def results_folder(digest: str, name: str, home: str | os.PathLike[str] | None = None) -> Path:
    """Where results about a bundle are kept, by a name; see ``place_of``."""
    safe = _NAME.sub("-", name).strip(".-")[:80] or _FOLDER
    return home_folder(home) / _FOLDER / digest / safe


def results_of(digest: str, home: str | os.PathLike[str] | None = None) -> list[RetrainingResult]:
    """Results that are kept about a bundle, by name; those that cannot be read are left out."""
    found = []
    for path in sorted((home_folder(home) / _FOLDER / digest).glob(f"*/{RESULT}")):
        try:
            found.append(read_result(path.parent))
        except InputError:
            continue
    return found


def results_stamp(digest: str, home: str | os.PathLike[str] | None = None) -> tuple[int, ...]:
    """What changes whenever something about a bundle is finished, by whichever process."""
    paths = sorted((home_folder(home) / _FOLDER / digest).glob(f"*/{RESULT}"))
    return tuple(path.stat().st_mtime_ns for path in paths if path.is_file())


def drop_results(digest: str, home: str | os.PathLike[str] | None = None) -> None:
    """Forget what was retrained for a bundle, as when it is deleted."""
    shutil.rmtree(home_folder(home) / _FOLDER / digest, ignore_errors=True)


def read_result(folder: str | os.PathLike[str]) -> RetrainingResult:
    """A result from its folder.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    path = Path(folder) / RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        table, curve = (pd.DataFrame(content[name]) for name in ("table", "curve"))
        text = ("recipe", "title", "settings")
        table, curve = (
            one.astype({name: float for name in one if name not in text}) for one in (table, curve)
        )
        return RetrainingResult(path.parent, content["facts"], table, curve)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{folder}' holds no result of retraining that can be read ({error}). Run it again."
        ) from error


class Shelf:
    """The folder that a run writes into.

    Parameters
    ----------
    folder : Path
    facts : mapping
        Of the problem; ``key`` names its content.

    Raises
    ------
    InputError
        If the folder holds results of another problem.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder, self.facts = Path(folder), dict(facts)
        self._checked: set[tuple[Any, ...]] = set()
        path = self.folder / FACTS
        with written_in(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                if any(self.folder.iterdir()):
                    raise InputError(f"'{folder}' must be a new or empty folder: it holds files.")
                _write(path, json.dumps({"format": FORMAT, "key": facts["key"]}))
        try:
            known = json.loads(path.read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' cannot be read ({error}). Name another folder.") from error
        if known != facts["key"]:
            raise InputError(
                f"'{folder}' holds results of another problem, schedule or version. Name another folder "
                "with --out, or remove this one."
            )

    @classmethod
    def opened(cls, folder: Path) -> Shelf:
        """The folder of results that are there."""
        return cls(folder, read_result(folder).facts)

    def read(self, recipe: str, seed: int) -> Entry | None:
        """What is finished of a recipe; None where nothing is, or it is damaged."""
        path = self._path(recipe, seed)
        if not path.is_dir():
            return None
        try:
            return read_folder(path, path.name, self._checked)
        except DamagedEntry:
            shutil.rmtree(path, ignore_errors=True)
            return None

    def write(
        self, recipe: str, seed: int, arrays: Mapping[str, Any], meta: Mapping[str, Any]
    ) -> Entry:
        """Keep what is finished of a recipe; it appears at once. What another run kept first stays.

        Raises
        ------
        InputError
            If the folder lies in the home folder, and that may not hold as much
            (``ERRORSCOPE_DISK_GB``). What is finished stays, so that the run can go on later.
        """
        path = self._path(recipe, seed)
        if self.folder.parent.parent.name == _FOLDER:
            room = sum(np.asarray(one).nbytes for one in arrays.values())
            check_room(self.folder.parents[2], room)
        fresh = path.with_name(f".{path.name}-{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        with written_in(self.folder):
            try:
                write_folder(fresh, arrays, meta)
                if not path.is_dir():
                    fresh.rename(path)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        return read_folder(path, path.name, self._checked)

    def finished(self) -> list[tuple[str, int]]:
        """Recipes and seeds that are finished, also by earlier runs; in the order of recipes."""
        names = {path.name for path in self.folder.iterdir() if path.is_dir()}
        seeds = sorted(int(name.rpartition("-")[2]) for name in names if _KEPT.fullmatch(name))
        return [
            (recipe, seed)
            for recipe in RECIPES
            for seed in dict.fromkeys(seeds)
            if f"{recipe}-{seed}" in names
        ]

    def tell(self) -> RetrainingResult:
        """Write the tables of what is finished, and read them back."""
        entries = [self.read(recipe, seed) for recipe, seed in self.finished()]
        found = [one.meta for one in entries if one is not None]
        titles = {name: one.title for name, one in RECIPES.items()}
        removing = {name: one.title for name, one in RECIPES.items() if one.removes}
        table, curve = recipe_table(found, titles, BASE), removal_curve(found, removing)
        content = {
            "format": FORMAT,
            "facts": self.facts,
            "table": records(table),
            "curve": records(curve),
            "each": found,
        }
        with written_in(self.folder):
            _write(self.folder / TABLE, table.to_csv(index=False))
            _write(self.folder / CURVE, curve.to_csv(index=False))
            _write(self.folder / RESULT, json.dumps(content, indent=1, ensure_ascii=False))
        return read_result(self.folder)

    def _path(self, recipe: str, seed: int) -> Path:
        return self.folder / f"{recipe}-{seed}"


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table for JSON, undefined numbers as null."""
    return [
        {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in line.items()
        }
        for line in table.to_dict("records")
    ]


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
