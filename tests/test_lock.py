"""The lock files are those of the pins, hold all that is needed and no more, and have licences."""

import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests import lock

APP, POSTGRES, TESTS, CUDA = (lock.read(lock.PROJECT / one) for one in lock.LOCKS)
AGAIN = "Run .venv/bin/python -m tests.lock, and install again."


def needed(pins):
    """Names of all that these pins need on this machine, with the versions that are installed."""
    found, open_ = {}, [Requirement(f"{row.requirement}") for row in pins]
    seen = set()
    while open_:
        wanted = open_.pop()
        if (wanted.name, extras := tuple(sorted(wanted.extras))) in seen:
            continue
        seen.add((wanted.name, extras))
        held = importlib.metadata.distribution(wanted.name)
        found[canonicalize_name(wanted.name)] = Version(held.version).public
        for line in held.requires or ():
            below = Requirement(line)
            if any(
                below.marker is None or below.marker.evaluate({"extra": extra})
                for extra in ("", *extras)
            ):
                open_.append(below)
    return found


@pytest.mark.parametrize(
    ("pins", "locked"),
    [
        (lock.PINS[:1], [*APP, *CUDA]),
        (lock.PINS[:2], [*APP, *POSTGRES, *CUDA]),
        (lock.PINS, [*APP, *POSTGRES, *TESTS, *CUDA]),
    ],
    ids=["app", "with PostgreSQL", "with tests"],
)
def test_the_lock_holds_what_is_pinned_and_all_that_it_needs_and_no_more(pins, locked):
    wanted = [row for one in pins for row in lock.read(lock.PROJECT / one)]
    here = {row.name: row.version for row in locked if row.applies()}
    assert {row.name: row.version for row in wanted}.items() <= here.items(), AGAIN
    installed = needed(wanted)
    for row in CUDA:  # asked for by PyTorch's CUDA build only
        if row.name not in installed:
            here.pop(row.name, None)
    assert here == installed, AGAIN


def test_every_file_has_its_hash_and_none_says_where_it_came_from():
    for row in [*APP, *POSTGRES, *TESTS, *CUDA]:
        assert row.hashes, row.name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in row.hashes), row.name
    for name in (*lock.LOCKS, lock.LICENCES):
        assert not re.search(r"://|(^|\s)/\w", (lock.PROJECT / name).read_text()), name


def test_licences_are_listed_as_the_packages_say():
    _, _, table = (lock.PROJECT / lock.LICENCES).read_text(encoding="utf-8").partition("| --- |")
    rows = re.findall(r"^\| ([\w.-]+) \| ([\w.]+) \| (.+) \|$", table, re.MULTILINE)
    locked = [*APP, *POSTGRES, *TESTS, *CUDA]
    assert [row[:2] for row in rows] == sorted({(row.name, row.version) for row in locked}), AGAIN
    told = {name: licence for name, version, licence in rows}
    for name in ("altair", "certifi", "fonttools", "torch"):  # a class, a text, an expression
        assert lock.licence(importlib.metadata.metadata(name).json) == told[name], name


def test_what_is_installed_comes_from_the_locks():
    readme, docker = ((lock.PROJECT / one).read_text() for one in ("README.md", "Dockerfile"))
    lines = f"{readme}\n{docker}".replace("\\\n", " ").splitlines()
    installs = [line for line in lines if "bin/pip install" in line]
    torch = next(f"torch=={row.version}" for row in APP if row.name == "torch")
    assert len(installs) == 3
    for line in installs:
        assert "venv --upgrade-deps" in line  # hashes of constraints are asked for by a new pip
        first, rest = (part.strip() for part in line.split("bin/pip install")[1:])
        assert f"--no-deps {torch} " in f"{first} "
        assert "-r requirements.lock" in rest and "requirements.txt" not in line
    assert "COPY requirements.lock postgres.lock cuda.lock" in docker
    assert "install -r requirements.lock ${POSTGRES:+-r postgres.lock}" in docker
    assert "add `-r postgres.lock`" in readme and "--build-arg POSTGRES=1" in readme
    tested = (lock.PROJECT / lock.LOCKS[2]).read_text()
    assert "-r ../postgres.lock\n" in tested
