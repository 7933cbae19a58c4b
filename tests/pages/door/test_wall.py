"""The outer wall: who may ask the server, and what its answers allow a browser."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from pages.components.door.wall import Wall


def answer(host: str, path: str = "/", own: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and headers of one request through the wall."""
    from starlette.datastructures import Headers
    from starlette.responses import PlainTextResponse

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        scope = {
            "type": "http", "method": "GET", "path": path, "headers": [(b"host", host.encode())]
        }  # fmt: skip
        await Wall(PlainTextResponse("inside", headers=own))(scope, None, send)  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as apart:  # a browser of other tests keeps a loop in this thread
        apart.submit(lambda: asyncio.run(ask())).result()
    return sent[0]["status"], Headers(raw=sent[0]["headers"])


@pytest.mark.parametrize(
    ("hosts", "address", "host", "status"),
    [
        ("", "127.0.0.1", "localhost:8501", 200),
        ("", "127.0.0.1", "127.0.0.1", 200),
        ("", "127.0.0.1", "[::1]:8501", 200),
        ("", "127.0.0.1", "evil.example:8501", 421),
        ("", "127.0.0.1", "localhost.evil.example", 421),
        ("", "127.0.0.1", "", 421),
        ("", "0.0.0.0", "any.example", 200),
        ("lab.example, Other.example", "0.0.0.0", "LAB.example:80", 200),
        ("lab.example, Other.example", "0.0.0.0", "other.example", 200),
        ("lab.example", "127.0.0.1", "localhost", 421),
        ("*", "127.0.0.1", "any.example", 200),
    ],
)
def test_foreign_hosts_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hosts: str,
    address: str,
    host: str,
    status: int,
) -> None:
    monkeypatch.setenv("ERRORSCOPE_HOSTS", hosts)
    monkeypatch.setattr("pages.components.door.wall.st.get_option", lambda name: address)
    caplog.set_level("INFO", "errorscope")
    got, headers = answer(host, "/upload/ada")
    refused = [{"status": 421, "place": "upload"}] if status == 421 else []
    assert [vars(one)["facts"] for one in caplog.records] == refused
    assert got == status
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_a_stricter_policy_stays_and_the_servers_own_numbers_are_closed() -> None:
    _, headers = answer("localhost", own={"Content-Security-Policy": "default-src 'none'; sandbox"})
    assert headers.getlist("content-security-policy") == ["default-src 'none'; sandbox"]
    assert answer("localhost", "/base/_stcore/metrics")[0] == 404


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1:8501", 200), ("evil.example", 421)])
def test_health_is_asked_on_this_machine_whatever_the_server_is_called(
    monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    monkeypatch.setenv("ERRORSCOPE_HOSTS", "lab.example")
    assert answer(host, "/health")[0] == status


OPENING = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def leave_early() -> list[Exception]:
    """A browser goes just before its channel is accepted; what the program hears when it sends."""
    made: list[WebSocketsSansIOProtocol] = []
    heard: list[Exception] = []
    ended = asyncio.Event()

    async def endpoint(channel: WebSocket) -> None:
        while not made[0].transport.is_closing():
            await asyncio.sleep(0)  # to the moment between the end of the line and its being told
        await channel.accept()
        try:
            await channel.send_bytes(b"a page")
        except Exception as error:
            heard.append(error)
        ended.set()

    app = Wall(Starlette(routes=[WebSocketRoute("/", endpoint)]))
    config = Config(app, ws="websockets-sansio", lifespan="off")
    config.load()

    def connected() -> WebSocketsSansIOProtocol:
        made.append(WebSocketsSansIOProtocol(config, ServerState(), {}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    async with server:
        _, browser = await asyncio.open_connection(*server.sockets[0].getsockname())
        browser.write(OPENING)
        await browser.drain()
        browser.close()
        await asyncio.wait_for(ended.wait(), 30)
    return heard


def test_a_browser_that_goes_while_it_is_let_in_is_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ERRORSCOPE_HOSTS", "*")
    with ThreadPoolExecutor(1) as apart:
        (heard,) = apart.submit(lambda: asyncio.run(leave_early())).result()
    assert isinstance(heard, WebSocketDisconnect)
