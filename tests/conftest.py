"""Shared by all tests: a home folder of their own, and where to find a browser."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres

# Tests work on small arrays, beside browsers and workers: threads would mostly wait for one another.
# Read when torch and numpy load, so it is set before; workers and servers inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
BROWSED = ("test_access.py", "test_keyboard.py", "test_journey.py", "test_repairs.py")
"""The browser tests that take longest, the first first."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last, the longest first, so that none goes on alone at the end.

    A browser keeps a loop in its thread to the end of the process, which other tests must not meet.
    One that fails is tried once more, and the run says so: on a busy machine a page that is drawn anew
    can take away what a test is about to press.
    """

    def place(item: pytest.Item) -> tuple[bool, int]:
        name = item.path.name
        return item.path.parent.name == "e2e", BROWSED.index(name) if name in BROWSED else len(
            BROWSED
        )

    items.sort(key=place)
    for item in items:
        if item.path.parent.name == "e2e":
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """A page that ran in a test is not left as the main module, which spawned processes run anew."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder, also in ``ERRORSCOPE_HOME``."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("ERRORSCOPE_HOME", str(folder))
    yield folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server. Without one the test is skipped, or fails where one is required."""
    try:
        server = postgres.Cluster(postgres.FAST)
    except FileNotFoundError as error:
        if os.environ.get("ERRORSCOPE_REQUIRE_POSTGRES"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(params=postgres.KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of either kind, one after the other (``tests.postgres.chosen``)."""
    with postgres.chosen(request) as url:
        yield url


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Path of a Chromium. Without one the test is skipped, or fails where one is required."""
    named = os.environ.get("ERRORSCOPE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found and Path(found).is_file():
        return found
    sentence = (
        f"no browser at {named!r}" if named else f"none of {', '.join(BROWSERS)} is on the PATH"
    ) + ". Install Chromium (Debian: apt-get install chromium) or name one in ERRORSCOPE_CHROMIUM."
    if os.environ.get("ERRORSCOPE_REQUIRE_BROWSER"):
        pytest.fail(sentence)
    pytest.skip(sentence)
