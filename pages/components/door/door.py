"""The door: who is not signed in gets a page to sign in, and nothing else.

Streamlit's sign-in is a cookie of 30 days that signing out does not take from whoever copied it, and
its pages, channels and our routes answer anybody. Here every request passes by what the store knows
of the sign-in, and every message of an open channel, too. Without sign-in a server that listens to a
network answers only where whoever runs it said so.
"""

from __future__ import annotations

import html
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import anyio.to_thread
import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import encode_provider_token
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from uvicorn.protocols.http import h11_impl
from websockets import http11

from backend.access import EVERYBODY, NOBODY, Person
from backend.core.errors import BackendError
from backend.store import SignIn, Store
from pages.components.door import identity
from pages.components.door.wall import HEALTH, LOOPBACK

WHO = "errorscope.key"
"""Where a request's scope holds the key of whoever sent it; absent where nobody signs in."""

PERSON = "errorscope.person"
"""Where it holds the person, ``EVERYBODY`` where nobody signs in; a route that finds none serves nobody."""

WELL = ("/_stcore/health", HEALTH)
"""What says whether the server runs, to anybody and under any name."""

FREE = (*WELL, "/auth/login", "/oauth2callback")
"""What answers before sign-in."""

SIGN_IN, SIGN_OUT, CALLBACK = "/sign-in", "/auth/logout", "/oauth2callback"
WANTED = "errorscope_wanted"
"""Cookie with the address that somebody wanted before signing in."""

LOOK_AGAIN_S = 3.0
"""How long another process may take to hear that a sign-in was ended."""

LONGEST_COOKIES = 65_536
"""Bytes of the cookies that a channel may be asked for with. The library's own limit of 8 KB, which
``WEBSOCKETS_MAX_LINE_LENGTH`` would raise if it were set before Streamlit loads it, is less than
what the provider says of people in many groups; their page would stay empty without a word."""

LONGEST_REQUEST = 2 * LONGEST_COOKIES
"""Bytes of a request before its content. The library's own limit of 16 KB holds only for what comes in
several pieces, as proxies send it: some files of a page would then be refused now and then."""

_FILES = re.compile(rb"/media/([0-9a-f]{16,128})")
"""Addresses of Streamlit's own files (downloads, pictures), as they pass to a browser."""

_LONGEST_WANTED = 3_000
_MOST_KEPT = 10_000
_TEMPLATE = (
    Path(__file__).parents[3] / "assets" / "components" / "door.html"
).read_text(encoding="utf-8")  # fmt: skip

ENDED = "Your sign-in has ended. Sign in again to go on; what you tagged is kept."
FAILED = "Signing in did not work. Try again; if it stays so, whoever runs the server finds the reason in its log."
CLOSED = (
    "This server listens to a network and nobody signs in here, so it shows nothing. Whoever runs it "
    "can configure sign-in (section [auth] of .streamlit/secrets.toml, see the README), have it listen "
    "to this machine only (--server.address=localhost), or say with ERRORSCOPE_OPEN=1 that everybody "
    "who can reach it may use it, for example behind a proxy that authenticates."
)


class Door:
    """ASGI middleware that lets in whose sign-in holds.

    Parameters
    ----------
    app : ASGI application
        What lies behind.
    store : callable
        Gives the store that knows the sign-ins.
    may_fetch : callable
        Whether a person may now have a file, by name, that one of their pages was given.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: Callable[[], Store],
        may_fetch: Callable[[Person, str], bool],
    ) -> None:
        self._app = app
        self._store = store
        self._allowed = may_fetch
        self._seen: dict[str, tuple[float, bool]] = {}
        self._files: dict[str, OrderedDict[bytes, None]] = {}
        """Key of a person -> names of the files that their pages were given."""
        self._base = str(st.get_option("server.baseUrlPath") or "").strip("/")
        http11.MAX_LINE_LENGTH = max(http11.MAX_LINE_LENGTH, LONGEST_COOKIES)
        h11_impl.DEFAULT_MAX_INCOMPLETE_EVENT_SIZE = LONGEST_REQUEST

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or open one channel."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = self._below(scope["path"])
        if not identity.configured():
            if is_open() or path in WELL:
                person = EVERYBODY if is_open() else NOBODY
                await self._app({**scope, PERSON: person}, receive, send)
            else:
                await _refuse(scope, receive, send, _page(CLOSED, status=503))
            return
        try:
            await self._checked(path, scope, receive, send)
        except BackendError as error:  # nobody is let in while nobody can tell
            await _refuse(scope, receive, send, _page(str(error), status=503))

    async def _checked(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        elsewhere = _other_host(connection.headers)
        if elsewhere and path not in WELL:
            await _refuse(scope, receive, send, self._wrong_host(scope))
            return
        said = identity.claims_in(connection.cookies)
        found = None if said is None else identity.of_claims(said)
        if path == SIGN_IN:
            await self._begin(Request(scope))(scope, receive, send)
        elif path == SIGN_OUT:
            if found is not None:
                self._seen.pop(found.id, None)
                await anyio.to_thread.run_sync(self._store().end_sign_in, found)
            await self._app(scope, receive, send)
        elif path == CALLBACK:
            await self._app(scope, receive, self._arriving(connection, send))
        elif path in FREE:
            await self._app(scope, receive, send)
        elif said is None or found is None or not await self._holds(found):
            await _refuse(scope, receive, send, self._sign_in_page(scope, found is not None))
        else:
            person = identity.person_in(said)
            scope = {**scope, WHO: found.key, PERSON: person}
            if scope["type"] == "websocket":
                channel = _Watched(
                    receive,
                    send,
                    lambda: self._holds(found),
                    self._home("ended"),
                    lambda names: self._give(found.key, names),
                )
                await self._app(scope, channel.receive, channel.send)
            elif not await self._may_fetch(person, path):
                gone = PlainTextResponse("This file was not given to you.", status_code=404)
                await _refuse(scope, receive, send, gone)
            else:
                await self._app(scope, receive, send)

    def _give(self, key: str, names: Iterable[bytes]) -> None:
        """Remember which files a person's page was given; those of long ago are forgotten."""
        held = self._files.setdefault(key, OrderedDict())
        for name in names:
            held[name] = None
            held.move_to_end(name)
        while len(held) > _MOST_KEPT:
            held.popitem(last=False)

    async def _may_fetch(self, person: Person, path: str) -> bool:
        """Whether an address is no file of Streamlit's, whose names follow content, or one that may be had.

        It was given to this person, who may still look at what it is of.
        """
        if not path.startswith("/media/"):
            return True
        named = _FILES.match(path.encode())
        if named is None or named[1] not in self._files.get(person.key, ()):
            return False
        return await anyio.to_thread.run_sync(self._allowed, person, named[1].decode())

    async def _holds(self, sign_in: SignIn) -> bool:
        """Whether the store lets this sign-in hold; asked again after a moment."""
        limit = identity.longest_s()
        if time.time() - sign_in.began > limit:
            return False
        kept = self._seen.get(sign_in.id)
        if kept is not None and time.monotonic() - kept[0] < LOOK_AGAIN_S:
            return kept[1]
        store = self._store()
        holds = await anyio.to_thread.run_sync(lambda: store.holds(sign_in, longest_s=limit))
        if len(self._seen) > _MOST_KEPT:
            self._seen.clear()
        self._seen[sign_in.id] = (time.monotonic(), holds)
        return holds

    # --- answers ------------------------------------------------------------------------------

    def _below(self, path: str) -> str:
        """The path without ``server.baseUrlPath``."""
        base = f"/{self._base}"
        return path[len(base) :] if self._base and path.startswith(f"{base}/") else path

    def _above(self, path: str) -> str:
        return f"/{self._base}{path}" if self._base else path

    def _home(self, word: str) -> str:
        return f"{self._above('/')}?sign_in={word}"

    def _sign_in_page(self, scope: Scope, had_one: bool) -> Response:
        """The page to sign in; whoever asks for anything but a page is told in a line."""
        headers = Headers(scope=scope)
        if scope["type"] != "http" or "text/html" not in headers.get("accept", ""):
            return PlainTextResponse("Sign in first: reload the page.", status_code=401)
        request = Request(scope)
        word = request.query_params.get("sign_in", "")
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "sign_in"]  # fmt: skip
        query = urlencode(kept)
        wanted = quote(request.url.path) + (f"?{query}" if query else "")
        note = {"failed": FAILED, "ended": ENDED}.get(word, ENDED if had_one else "")
        buttons = "".join(
            f'<a class="button" href="{html.escape(self._above(SIGN_IN))}?'
            f'{html.escape(urlencode({"provider": name, "next": wanted}))}">Sign in'
            f"{'' if name == 'default' else ' with ' + html.escape(name)}</a>"
            for name in identity.providers()
        )
        return _page(note, buttons, status=401)

    def _wrong_host(self, scope: Scope) -> Response:
        """Where people sign in: by another name of the server they would be sent round in circles."""
        if scope["type"] != "http":
            return PlainTextResponse("Another name of this server is the right one.", 421)
        request = Request(scope)
        right = identity.origin() + quote(request.url.path)
        right += f"?{request.url.query}" if request.url.query else ""
        link = f'<a class="button" href="{html.escape(right)}">{html.escape(identity.origin())}</a>'
        return _page("People sign in at another address of this server:", link, status=421)

    def _begin(self, request: Request) -> Response:
        """Off to the provider, the wanted address kept in a cookie."""
        provider = request.query_params.get("provider", "")
        if provider not in identity.providers():
            return _page("There is no such way to sign in.", status=404)
        token = encode_provider_token(provider)
        away = RedirectResponse(f"{self._above('/auth/login')}?provider={quote(token)}", 302)
        wanted = self._local(request.query_params.get("next", ""))
        if wanted:
            away.set_cookie(
                WANTED, quote(wanted), max_age=900, path=self._above("/"), httponly=True,
                secure=identity.origin().startswith("https:"), samesite="lax",
            )  # fmt: skip
        return away

    def _local(self, wanted: str) -> str:
        """An address of this server, or nothing: no other site is ever led to."""
        plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted
        ours = wanted.startswith(self._above("/")) and not wanted.startswith("//")
        return wanted if plain and ours and len(wanted) <= _LONGEST_WANTED else ""

    def _arriving(self, connection: HTTPConnection, send: Send) -> Send:
        """``send`` that leads on to the wanted address once somebody signed in."""

        async def arriving(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 302:
                headers = MutableHeaders(scope=message)
                came = any(
                    value.startswith(f"{identity.USER_COOKIE_NAME}=") and "Max-Age=0" not in value
                    for value in headers.getlist("set-cookie")
                )
                wanted = self._local(unquote(connection.cookies.get(WANTED, "")))
                asked = {"code", "error"} & set(connection.query_params)
                if came and wanted:
                    headers["location"] = wanted
                elif asked and not came:
                    headers["location"] = self._home("failed")
                headers.append(
                    "set-cookie",
                    f"{WANTED}=; Max-Age=0; Path={self._above('/')}; HttpOnly; SameSite=lax",
                )
            await send(message)

        return arriving


class _Watched:
    """A channel that passes messages on for as long as its sign-in holds."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        holds: Callable[[], object],
        away: str,
        give: Callable[[Iterable[bytes]], None],
    ) -> None:
        self._receive = receive
        self._send = send
        self._holds = holds
        self._away = away
        self._give = give

    async def receive(self) -> Message:
        """The next message for the server; the channel ends with the sign-in."""
        message = await self._receive()
        if message["type"] == "websocket.receive" and not await self._still():
            told = ForwardMsg()
            told.auth_redirect.url = self._away
            await self._send({"type": "websocket.send", "bytes": told.SerializeToString()})
            await self._send({"type": "websocket.close", "code": 1008})
            return {"type": "websocket.disconnect", "code": 1008}
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the server."""
        data = message.get("bytes")
        if data and b"/media/" in data:
            self._give(_FILES.findall(data))
        await self._send(message)

    async def _still(self) -> bool:
        try:
            return bool(await self._holds())  # type: ignore[misc]
        except BackendError:
            return False


def is_open() -> bool:
    """Whether everybody who reaches the server may use it, where nobody signs in.

    So it is on an address of this machine alone, and where ``ERRORSCOPE_OPEN`` is 1.
    """
    address = str(st.get_option("server.address") or "")
    here = address in (*LOOPBACK, "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", address)
    return bool(here) or os.environ.get("ERRORSCOPE_OPEN", "").strip() == "1"


def _other_host(headers: Mapping[str, str]) -> bool:
    """Whether the browser calls the server by another name than people sign in at."""
    name = headers.get("x-forwarded-host", headers.get("host", ""))
    return name.split(",")[0].strip().lower() != identity.origin().partition("://")[2].lower()


def _page(text: str, below: str = "", *, status: int = 200) -> HTMLResponse:
    """A small page of our own that needs nothing else from the server."""
    said = f"<p>{html.escape(text)}</p>" if text else ""
    return HTMLResponse(
        _TEMPLATE.replace("{{text}}", said).replace("{{below}}", below),
        status_code=status,
        headers={"Cache-Control": "no-store"},
    )


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: Response) -> None:
    """Send an answer, or close a channel that was not yet opened."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, send)
