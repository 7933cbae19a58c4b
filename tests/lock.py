"""The lock files and the list of licences, made anew by ``.venv/bin/python -m tests.lock``.

``requirements.txt``, ``postgres.txt`` and ``tests/requirements.txt`` say what is wanted; what is
made of them says which files may be installed. ``requirements.lock`` holds every package of the
app, direct or not, with the hashes of all files that the index has of that version,
``postgres.lock`` what a server with PostgreSQL adds, ``tests/requirements.lock`` what the tests add
to both, and ``cuda.lock`` what only PyTorch's CUDA build asks for: it is a file of constraints, so
that a CPU build installs none of it. Versions stay where they are unless a pin moved; ``--upgrade``
moves the rest. It needs the package index, and nothing of the app.

PyTorch is installed before the rest, without a hash: its builds differ by index, and pip prefers a
build whose hash it knows, which would be that of CUDA wherever another is offered.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
LICENCES = "assets/docs/licences.md"
PINS = ("requirements.txt", "postgres.txt", "tests/requirements.txt")
LOCKS = ("requirements.lock", "postgres.lock", "tests/requirements.lock", "cuda.lock")
CUDA = re.compile(r"(cuda|nvidia)-|triton$")
MADE = "# Made by `.venv/bin/python -m tests.lock`, from {}. Do not edit.\n"
# A marker that holds in all of these is not written.
ENVIRONMENTS = [
    {"sys_platform": system, "python_version": minor, "python_full_version": f"{minor}.0"}
    for system in ("linux", "darwin", "win32")
    for minor in ("3.11", "3.12", "3.13", "3.14")
]
# Not installed on Linux, so that pip does not report them.
ELSEWHERE = {"colorama": "BSD-3-Clause"}
HEAD = """# Licences of what is installed

Every package of the lock files, in the words of its own metadata. Those named `cuda-` and
`nvidia-`, and `triton`, come with PyTorch's CUDA build only. Made by
`.venv/bin/python -m tests.lock`.

| package | version | licence |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Locked:
    """One line of a lock: a pinned requirement, perhaps with a marker, and its files' hashes."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    def applies(self, **environment: str) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))

    def __str__(self) -> str:
        line = f"{self.name}=={self.version}"
        if not all(self.applies(**one) for one in ENVIRONMENTS):
            line += f" ; {self.requirement.marker}"
        return " \\\n    ".join([line, *(f"--hash={one}" for one in self.hashes)])


def read(path: Path) -> list[Locked]:
    """What a lock or a file of pins holds, in its order."""
    text = re.sub(r"^#.*|^-[cr] .*|\s#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = filter(None, map(str.strip, text.replace("\\\n", " ").splitlines()))
    parts = (line.partition("--hash=") for line in lines)
    return [
        Locked(Requirement(pin.strip()), tuple(re.findall(r"sha256:\w+", hashes)))
        for pin, _, hashes in parts
    ]


def write(path: Path, rows: Iterable[Locked], source: str, *, constraints: str = "") -> None:
    """Write a lock."""
    lines = "".join(f"{row}\n" for row in rows)
    path.write_text(MADE.format(source) + constraints + lines, encoding="utf-8")


def resolve(sources: Iterable[str], kept: Iterable[Locked], options: Iterable[str]) -> list[Locked]:
    """Every package that the files ``sources`` ask for, with the versions ``kept`` where they fit."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.txt"
        made.write_text("".join(f"{row.requirement}\n" for row in kept), encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header"]
        command += [*options, *sources, "--output-file", str(made)]
        subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        return read(made)


def licence(metadata: Mapping[str, Any]) -> str:
    """A package's licence by its own metadata: the expression, else a short text, else classes."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    text = str(metadata.get("license") or "").strip()
    if text and "\n" not in text and len(text) < 60:
        return text
    classes = [one for one in metadata.get("classifier", []) if one.startswith("License ::")]
    return ", ".join(one.rpartition(" :: ")[2] for one in classes) or "not said by the package"


def licences(rows: Iterable[Locked]) -> str:
    """The page of licences of these packages, as pip reads them off the index."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text("".join(f"{row.requirement}\n" for row in rows), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
        command += ["--ignore-installed", "--report", f"{folder}/report.json", "-r", str(pins)]
        subprocess.run(command, check=True, cwd=folder)
        report = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
    told = dict(ELSEWHERE)
    for one in report["install"]:
        told[canonicalize_name(one["metadata"]["name"])] = licence(one["metadata"])
    table = sorted({(row.name, row.version, told[row.name]) for row in rows})
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in table)


def main(options: list[str]) -> None:
    """Make all files."""
    locks = [PROJECT / one for one in LOCKS if (PROJECT / one).exists()]
    kept = [] if "--upgrade" in options else [row for lock in locks for row in read(lock)]
    app = resolve(PINS[:1], kept, options)
    held = resolve(PINS[:2], [*app, *kept], options)
    tested = resolve(PINS, [*held, *kept], options)
    cuda = [row for row in app if CUDA.match(row.name)]
    rest = [row for row in app if row not in cuda]
    driver, more = beside(held, app), beside(tested, held)
    write(PROJECT / LOCKS[0], rest, PINS[0], constraints="-c cuda.lock\n")
    write(PROJECT / LOCKS[1], driver, PINS[1])
    write(PROJECT / LOCKS[2], more, PINS[2], constraints="-r ../postgres.lock\n")
    write(PROJECT / LOCKS[3], cuda, PINS[0])
    (PROJECT / LICENCES).write_text(licences([*rest, *driver, *more, *cuda]), encoding="utf-8")


def beside(rows: Iterable[Locked], known: Iterable[Locked]) -> list[Locked]:
    """Those of ``rows`` that are not among ``known``."""
    own = {str(row.requirement) for row in known}
    return [row for row in rows if str(row.requirement) not in own]


if __name__ == "__main__":
    main(sys.argv[1:])
