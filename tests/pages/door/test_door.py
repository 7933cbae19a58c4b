"""Who is let in where nobody signs in; signing in itself is tested with a provider (tests/e2e)."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.core.errors import InputError
from pages.components.door import door, identity


async def _shout(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def site(monkeypatch: pytest.MonkeyPatch, address: str, said: str | None) -> TestClient:
    monkeypatch.setattr(
        "pages.components.door.door.st.get_option",
        {"server.address": address, "server.baseUrlPath": ""}.get,
    )
    monkeypatch.delenv("ERRORSCOPE_OPEN", raising=False)
    if said is not None:
        monkeypatch.setenv("ERRORSCOPE_OPEN", said)
    app = Starlette(
        routes=[
            Route("/{path:path}", lambda request: PlainTextResponse("inside")),
            WebSocketRoute("/channel", _shout),
        ]
    )

    def no_store() -> door.Store:
        raise AssertionError("without sign-in the store is not asked")

    return TestClient(door.Door(app, no_store, lambda person, name: False))


@pytest.mark.parametrize(
    ("address", "said", "lets_in"),
    [
        ("127.0.0.1", None, True),
        ("127.0.0.2", None, True),
        ("localhost", None, True),
        ("::1", None, True),
        ("0.0.0.0", None, False),
        ("", None, False),  # Streamlit's own default is every address
        ("::", "0", False),
        ("192.168.0.7", "yes", False),
        ("0.0.0.0", "1", True),
        ("127.evil.example", None, False),
    ],
)
def test_a_server_on_a_network_shows_nothing_until_somebody_says_so(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str | None, lets_in: bool
) -> None:
    client = site(monkeypatch, address, said)
    page = client.get("/spotlights")
    assert page.status_code == (200 if lets_in else 503)
    assert ("inside" in page.text) is lets_in and ("ERRORSCOPE_OPEN=1" in page.text) is not lets_in
    assert {client.get(path).text for path in door.WELL} == {"inside"}
    if lets_in:
        with client.websocket_connect("/channel") as channel:
            assert channel.receive_text() == "hello"
    else:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/channel"):
            pass


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Ada", "email": "a@x.org"}, "Ada"),
        ({"name": "  ", "preferred_username": "ada"}, "ada"),
        ({"name": 7, "email": "a@x.org"}, "a@x.org"),
        ({}, "s1"),
        ({"name": "A\nda\u202e" + "x" * 300}, "A da " + "x" * 195),
    ],
)
def test_people_are_told_apart_by_issuer_and_subject_and_shown_by_name(claims, name):
    one = identity.of_claims({"iss": "https://a", "sub": "s1", "iat": 5, **claims})
    assert one is not None and one.name == name and one.began == 5
    other = [{"iss": "https://a", "sub": "s2"}, {"iss": "https://b", "sub": "s1"}]
    assert one.key[0] == "@" and one.key not in {
        found.key for found in map(identity.of_claims, other) if found is not None
    }
    assert identity.of_claims({"iss": "https://a", "sub": "", **claims}) is None


@pytest.mark.parametrize("hours", ["x", "0", "-1", "inf", "nan"])
def test_hours_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, hours: str) -> None:
    monkeypatch.setenv("ERRORSCOPE_SIGN_IN_HOURS", hours)
    with pytest.raises(InputError, match="must be a number above 0"):
        identity.longest_s()
