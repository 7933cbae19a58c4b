"""What makes a server unwell, how soon it says so, and to whom it says more."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from backend.access import EVERYBODY, NOBODY
from backend.core.errors import StoreError
from backend.store import Store
from pages.components.door.door import PERSON
from pages.components.shared import health, services

FREE = 2**40
RELEASED = threading.Event()


def refuse() -> None:
    raise StoreError("the database of Ada cannot be used.")


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Asks a server with a database of its own whose probe, workers and disk can be replaced."""
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path))
    store = Store(home=tmp_path)
    RELEASED.clear()

    def asked(probe: Any = store.probe, serve: bool = True, free: int = FREE, person: Any = NOBODY) -> Any:  # fmt: skip
        jobs, disk = SimpleNamespace(standing=lambda: (serve, 3)), SimpleNamespace(free=free)
        monkeypatch.setattr(services, "jobs", lambda: jobs)
        monkeypatch.setattr(services, "shared_store", lambda: SimpleNamespace(probe=probe))
        monkeypatch.setattr(shutil, "disk_usage", lambda place: disk)
        monkeypatch.setattr(health, "_LOOKER", health.Looker())
        inner = Starlette(routes=health.ROUTES)

        async def site(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, PERSON: person}, receive, send)

        return TestClient(site)

    yield asked
    RELEASED.set()
    store.close()


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ({}, {}),
        ({"probe": refuse}, {"database": False}),
        ({"probe": RELEASED.wait}, {"database": False}),  # hangs
        ({"serve": False}, {"workers": False}),
        ({"free": health.FLOOR_BYTES - 1}, {"free_bytes": health.FLOOR_BYTES - 1}),
    ],
)
def test_health_says_what_is_wrong_where_nobody_signs_in_and_only_that_something_is_elsewhere(
    ask: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    trouble: dict[str, Any],
    told: dict[str, Any],
) -> None:
    monkeypatch.setattr(health, "WAIT_S", 0.3 if trouble else 5.0)
    monkeypatch.setattr(health, "DATABASE_S", 5.0)
    well = {"ok": True, "database": True, "workers": True, "queue": 3, "free_bytes": FREE}
    for person in (EVERYBODY, NOBODY):
        answer = ask(**trouble, person=person).get(health.HEALTH)
        assert answer.status_code == (503 if trouble else 200)
        found = {**well, "ok": not trouble, **told}
        assert answer.json() == (found if person == EVERYBODY else {"ok": not trouble})


def test_a_database_that_answers_late_is_not_well_and_many_askers_are_one_look(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def slow() -> None:
        looks.append(1)
        time.sleep(0.05)

    monkeypatch.setattr(health, "DATABASE_S", 0.04)
    client = ask(slow)
    assert {client.get(health.HEALTH).status_code for _ in range(9)} == {503} and len(looks) == 1
