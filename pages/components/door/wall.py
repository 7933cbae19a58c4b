"""What every answer of the server passes: who may ask, and what a browser may do with it.

Streamlit's own answers pass it as those of our routes do, the channel of a session included.
"""

from __future__ import annotations

import os

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.core.journal import tell

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
HEALTH = "/health"
"""Says whether this server can work; asked on this machine whatever the server is called."""
CLOSED = "/_stcore/metrics"
"""Streamlit's numbers about the server, which are nobody's business."""

PLACES = ("_stcore", "auth", "content", "health", "media", "oauth2callback", "sign-in", "upload")
"""Parts of addresses that are this program's own words; all others stay out of the log."""

_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "connect-src 'self' data: blob: ws://{host} wss://{host}; "
    "object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)
"""Everything comes from this server. Streamlit and the charts make code and styles in the page."""


def allowed_hosts() -> tuple[str, ...]:
    """Names under which the server may be asked for; empty for any.

    ``ERRORSCOPE_HOSTS`` lists them with commas, ``*`` is any. By default a server that listens on
    this machine only answers to this machine's names, so that a page elsewhere whose name leads
    here (DNS rebinding) gets nothing; one that listens to a network answers to any.
    """
    given = os.environ.get("ERRORSCOPE_HOSTS", "")
    named = tuple(name.strip().lower() for name in given.split(",") if name.strip())
    if named:
        return () if "*" in named else named
    address = str(st.get_option("server.address") or "")
    return LOOPBACK if address in ("localhost", "127.0.0.1", "::1") else ()


class Wall:
    """ASGI middleware: foreign hosts are refused, answers carry what keeps a browser at home."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._hosts = allowed_hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or open one channel."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        send = _noted(send, scope["path"])
        refusal = self._refusal(scope, host)
        if scope["type"] == "websocket":
            send = _heard(send)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal is not None:
            await refusal(scope, receive, _dressed(send, "localhost"))
        else:
            await self._app(scope, receive, _dressed(send, host))

    def _refusal(self, scope: Scope, host: str) -> PlainTextResponse | None:
        name = host.lower()
        if not name.endswith("]"):  # what stands in brackets is an address without a port
            name = name.rpartition(":")[0] if ":" in name else name
        here = scope["path"] == HEALTH and name in LOOPBACK
        if self._hosts and name not in self._hosts and not here:
            return PlainTextResponse(
                "This server does not answer to that name. Whoever runs it can add the name to "
                "ERRORSCOPE_HOSTS.",
                status_code=421,
            )
        if scope["path"].endswith(CLOSED):
            return PlainTextResponse("There is nothing here.", status_code=404)
        return None


def _noted(send: Send, path: str) -> Send:
    """``send`` that writes down what is refused, except for what is not there."""
    place = next((part.strip("_").replace("-", "_") for part in path.split("/") if part in PLACES), "page")  # fmt: skip

    async def noted(message: Message) -> None:
        status = message.get("status", 403 if message.get("code") == 1008 else 0)
        if status >= 400 and status != 404:
            tell("request refused", status=status, place=place)
        await send(message)

    return noted


def _heard(send: Send) -> Send:
    """``send`` of a channel that says when its browser went while it was being let in.

    Uvicorn drops the accept of a connection that is just closing, and then holds what is sent to be
    a mistake of the program.
    """
    accepted = False

    async def heard(message: Message) -> None:
        nonlocal accepted
        try:
            await send(message)
        except RuntimeError as error:
            if not accepted:
                raise
            raise OSError("the browser has closed the channel") from error
        accepted = accepted or message["type"] == "websocket.accept"

    return heard


def _dressed(send: Send, host: str) -> Send:
    """``send`` with headers; an answer that has a stricter policy of its own keeps it."""
    safe = "".join(sign for sign in host if sign.isalnum() or sign in "-.:[]")

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            headers.setdefault("Referrer-Policy", "same-origin")
            headers.setdefault("Content-Security-Policy", _POLICY.format(host=safe))
        await send(message)

    return dressed
