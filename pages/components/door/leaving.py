"""Links between pages while the server is busy: the page that was asked for last is the one shown.

Streamlit forgets a change of page in two ways when something of the page that is being left runs
meanwhile, as a click on an example does:

- The browser goes on showing the old page until the server begins the new one, and what happens
  there still asks for a rerun of its part of the page. That request waits until the new page has
  been drawn, and then starts the old one again, without its content.
- The run that is stopped for the new page may just have asked for a rerun of the old one. It says
  so to a table which both share, and the new run finds the old page there.

Both are mended where the messages pass, without touching how Streamlit runs a script: requests of
parts of a page that was left go no further, and a change of page that led elsewhere is repeated.
"""

from __future__ import annotations

import asyncio
from typing import Any

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

LONGEST = 1 << 18
"""Bytes of a message to the browser beyond which it is not looked at; pages begin with small ones."""

LONGEST_ASKED = 25 << 20
"""The same for messages from the browser; Streamlit refuses longer ones unread."""


class Leaving:
    """ASGI middleware: a change of page is neither forgotten nor taken back by the page that was left."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or open one channel."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        channel = _Channel(receive, send)
        try:
            await self._app(scope, channel.receive, channel.send)
        finally:
            channel.close()


class _Channel:
    """What passes between one browser and the server, and which page it is about."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._shown = ""
        """The page that the server began or named last."""
        self._left: set[str] = set()
        """Pages that the browser left, and may not have heard of the next one."""
        self._asked: BackMsg | None = None
        """The change of page that is not known to have led where it should."""
        self._again: BackMsg | None = None
        """A change of page that the server is to get once more."""
        self._coming: asyncio.Future[Message] | None = None
        self._woken = asyncio.Event()

    async def receive(self) -> Message:
        """The next message for the server."""
        while True:
            if self._again is not None:
                data, self._again = self._again.SerializeToString(), None
                return {"type": "websocket.receive", "bytes": data}
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._receive())
            self._woken.clear()
            waking = asyncio.ensure_future(self._woken.wait())
            either: set[asyncio.Future[Any]] = {self._coming, waking}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waking.cancel()
            if self._coming.done():
                message = self._coming.result()
                self._coming = None
                if not self._is_late(message):
                    return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the server."""
        data = message.get("bytes")
        if data and len(data) <= LONGEST:
            self._look(data)
        await self._send(message)

    def close(self) -> None:
        """Wait for nothing more."""
        if self._coming is not None:
            self._coming.cancel()

    def _is_late(self, message: Message) -> bool:
        """Whether this comes from part of a page that was left; else it may be a change of page."""
        data = message.get("bytes")
        if not data or len(data) > LONGEST_ASKED:
            return False
        try:
            said = BackMsg.FromString(data)
        except DecodeError:
            return False  # the server refuses it, and closes the channel
        if said.WhichOneof("type") != "rerun_script":
            return False
        page = said.rerun_script.page_script_hash
        if said.rerun_script.fragment_id:
            return page in self._left
        self._again = None
        self._asked = None
        self._left.discard(page)
        if page and self._shown and page != self._shown:
            self._left.add(self._shown)
            self._asked = said
        return False

    def _look(self, data: bytes) -> None:
        """Take note of the page that the server begins or names."""
        try:
            said = ForwardMsg.FromString(data)
        except DecodeError:
            return
        kind = said.WhichOneof("type")
        if kind == "new_session":
            self._show(said.new_session.page_script_hash)
        elif kind == "navigation":
            page = said.navigation.page_script_hash
            asked = self._asked
            if asked is None or asked.rerun_script.page_script_hash != self._shown:
                self._show(page)
                return  # an earlier run, or one that nobody asked for
            self._asked = None
            if page == self._shown:
                return
            # The browser may have dropped since what it had then, so the server sends all of it.
            del asked.rerun_script.cached_message_hashes[:]
            self._again = asked
            self._woken.set()

    def _show(self, page: str) -> None:
        if page != self._shown:
            self._left.discard(page)  # the server itself went back to it
            self._shown = page
