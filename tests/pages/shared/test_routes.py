"""Tickets and routes: who may ask, for how long, and where routes hang."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from backend.core.errors import InputError
from backend.jobs import Job
from pages.components.bundles import streamed, uploads
from pages.components.gallery import media
from pages.components.shared import keys, routes, services, waiting
from pages.components.shared.routes import Tickets


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A session of its own for each test."""
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


def asking(key: str) -> Request:
    return Request({"type": "http", "path_params": {"ticket": key}})


def test_a_session_keeps_its_ticket_and_another_gets_another(session: dict[str, Any]) -> None:
    tickets: Tickets[set[str]] = Tickets(set)
    mine = tickets.of_session("field")
    mine.leave.add("a")
    assert tickets.of_session("field") is mine
    assert tickets.of_request(asking(mine.key)).leave == {"a"}
    session.clear()
    other = tickets.of_session("field")
    assert other.key != mine.key and other.leave == set()


def test_a_ticket_of_another_kind_or_none_opens_nothing() -> None:
    tickets, others = Tickets(set), Tickets(set)
    for key in ("", "None", others.issue().key, tickets.issue().key + "x"):
        with pytest.raises(HTTPException) as refused:
            tickets.of_request(asking(key))
        assert refused.value.status_code == 403


def test_use_renews_a_ticket_and_an_expired_one_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(routes.time, "monotonic", lambda: now[0])
    tickets: Tickets[set[str]] = Tickets(set)
    used, unused = tickets.issue(), tickets.issue()
    now[0] = routes.TICKET_S - 1
    assert tickets.get(used.key) is used
    now[0] = routes.TICKET_S + 1
    assert tickets.get(used.key) is used and tickets.get(unused.key) is None
    tickets.issue()
    assert unused.key not in tickets._tickets and used.key in tickets._tickets


def test_of_too_many_the_one_unused_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_TICKETS", 3)
    tickets: Tickets[set[str]] = Tickets(set)
    first, second, third = (tickets.issue() for _ in range(3))
    assert tickets.get(first.key) is first
    tickets.issue()
    assert [tickets.get(one.key) is one for one in (first, second, third)] == [True, False, True]


def test_routes_also_hang_below_the_base_path() -> None:
    own = [*streamed.ROUTES, *media.ROUTES]
    moved = routes.below("/errors/", own)
    by_path = {route.path: route.methods for route in moved if isinstance(route, Route)}
    assert len(by_path) == 2 * len(own)
    assert "GET" in by_path["/errors/content/{ticket}/blob/{name}"]
    assert by_path["/errors/upload/{ticket}"] == {"PUT"}
    assert routes.below("", own) == own


def put(path: str, query: str, content: bytes, *, stalls: bool = False) -> int:
    """Status of one PUT, straight into the routes; one that ``stalls`` sends half and then nothing."""
    status: list[int] = []
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if stalls:
            if sent:
                await anyio.sleep(60)
            sent.append(content[: len(content) // 2])
            return {"type": "http.request", "body": sent[0], "more_body": True}
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"content-length", str(len(content)).encode())],
    }
    # In a thread: the browser tests of the same run leave an event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, Starlette(routes=streamed.ROUTES), scope, receive, send).result()
    return status[0]


def test_a_file_is_streamed_into_the_folder_of_its_ticket(home: Path) -> None:
    ticket = streamed.TICKETS.of_session("field")
    assert ticket.leave.folder.parent == home / "uploads"
    assert put("/upload/guessed", "name=a.npy", b"x") == 403
    assert put(f"/upload/{media.ticket()}", "name=a.npy", b"x") == 403
    assert not ticket.leave.folder.exists()
    assert put(f"/upload/{ticket.key}", "name=../../a.npy", b"content") == 200
    assert (ticket.leave.folder / "a.npy").read_bytes() == b"content"
    assert put(f"/upload/{ticket.key}", "name=a.npy", b"again") == 200
    assert (ticket.leave.folder / "a.npy").read_bytes() == b"again"


@pytest.mark.parametrize(
    ("setting", "value", "before", "content", "stalls", "status"),
    [
        ("ERRORSCOPE_UPLOAD_GB", "1e-8", b"", b"x" * 11, False, 413),
        ("ERRORSCOPE_UPLOAD_GB", "1e-8", b"x" * 6, b"x" * 6, False, 413),
        ("ERRORSCOPE_DISK_GB", "1e-8", b"", b"x" * 11, False, 413),
        ("ERRORSCOPE_PERSON_GB", "1e-8", b"x" * 6, b"x" * 6, False, 413),
        ("ERRORSCOPE_DISK_GB", "1", b"", b"x" * 11, True, 408),
    ],
    ids=[
        "one too large",
        "all together too large",
        "disk used up",
        "share used up",
        "never finished",
    ],
)
def test_what_does_not_fit_or_never_ends_leaves_nothing(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    before: bytes,
    content: bytes,
    stalls: bool,
    status: int,
) -> None:
    monkeypatch.setenv(setting, value)
    monkeypatch.setattr(streamed, "IDLE_S", 0.1)
    ticket = streamed.TICKETS.of_session("field")
    if before:
        assert put(f"/upload/{ticket.key}", "name=b.npy", before) == 200
    assert put(f"/upload/{ticket.key}", "name=a.npy", content, stalls=stalls) == status
    assert not (ticket.leave.folder / "a.npy").exists() and not ticket.leave.sending
    assert ticket.leave.names == ({"b.npy"} if before else set())


def test_a_disk_that_is_full_half_way_says_so_and_takes_the_file_once_there_is_room(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = streamed.TICKETS.of_session("field")
    write = streamed._write

    async def full(request: Any, path: Path, *more: Any) -> int:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(streamed, "_write", full)
    assert put(f"/upload/{ticket.key}", "name=a.npy", b"content") == 507
    assert not (ticket.leave.folder / "a.npy").exists() and not ticket.leave.sending
    said = streamed._not_written("a.npy", OSError(errno.ENOSPC, "No space left on device"))
    assert said.startswith("the disk of this server is full: nothing of a.npy was kept")
    monkeypatch.setattr(streamed, "_write", write)
    assert put(f"/upload/{ticket.key}", "name=a.npy", b"content") == 200


def test_the_folder_of_an_expired_ticket_goes_and_that_of_a_spent_one_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(routes.time, "monotonic", lambda: now[0])
    tickets = [streamed.TICKETS.issue() for _ in range(2)]
    for one in tickets:
        assert put(f"/upload/{one.key}", "name=a.npy", b"content") == 200
    streamed.TICKETS.spend(tickets[1].key)
    now[0] = routes.TICKET_S + 1
    streamed.TICKETS.sweep()
    assert [one.leave.folder.exists() for one in tickets] == [False, True]
    long_ago = time.time() - uploads.KEPT_S - 1
    os.utime(tickets[1].leave.folder, (long_ago, long_ago))
    uploads.sweep()
    assert not tickets[1].leave.folder.exists()


def test_starting_again_beyond_what_a_person_may_is_said_as_a_notice(
    session: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job: object) -> None:
        raise InputError("32 of your tasks are waiting")

    monkeypatch.setattr(services, "retry", refuse)
    waiting._retry(cast(Job, None))
    assert session[keys.NOTICE] == ("32 of your tasks are waiting", ":material/error:")
