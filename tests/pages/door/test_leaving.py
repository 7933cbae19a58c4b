"""A change of page while the server is busy: what passes between browser and server, and what does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from pages.components.door.leaving import Leaving


def asked(page: str, part: str = "") -> bytes:
    """The browser wants a page to run, or a part of it."""
    said = BackMsg()
    said.rerun_script.page_script_hash = page
    said.rerun_script.fragment_id = part
    said.rerun_script.cached_message_hashes.append("kept")
    return said.SerializeToString()


def answered(kind: str, page: str) -> bytes:
    """The server begins a run of a page, or names the one that it shows."""
    said = ForwardMsg()
    getattr(said, kind).page_script_hash = page
    return said.SerializeToString()


def reached(steps: str) -> str:
    """What the server is asked for when these things happen one after another.

    ``+a`` the browser asks for page a, ``.a`` for a part of it; ``>a`` the server begins a, ``=a`` it
    says that it shows a. In the answer a repeated change of page has a mark.
    """

    async def pass_all() -> str:
        coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        got: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def listen() -> None:
                while True:
                    said = BackMsg.FromString((await receive())["bytes"]).rerun_script
                    fresh = "" if said.cached_message_hashes else "!"
                    got.append(("." if said.fragment_id else "+") + said.page_script_hash + fresh)

            listening = asyncio.ensure_future(listen())
            for step in steps.split():
                sign, page = step
                if sign in "+.":
                    data = asked(page, "part" if sign == "." else "")
                    coming.put_nowait({"type": "websocket.receive", "bytes": data})
                else:
                    data = answered("new_session" if sign == ">" else "navigation", page)
                    await send({"type": "websocket.send", "bytes": data})
                for _ in range(10):
                    await asyncio.sleep(0)
            listening.cancel()

        async def send(message: Any) -> None:
            sent.append(message)

        sent: list[Any] = []
        await Leaving(app)({"type": "websocket"}, coming.get, send)
        assert len(sent) == sum(step[0] in ">=" for step in steps.split())
        return " ".join(got)

    return asyncio.run(pass_all())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (">a =a .a .a +a", ".a .a +a"),  # nothing changes
        (">a =a +b .a >b .a =b .a .b", "+b .b"),  # the old page speaks until the new one is there
        (">a =a .a +b >a .a >b =b .a", ".a +b"),  # a run of the old page begins in between
        (">a =a +b >b =b .b +a .b >a =a .a", "+b .b +a .a"),  # there and back
        (">a =a +b .a +a .a", "+b +a .a"),  # back before the server has answered
        (">a =a +b >b =a", "+b +b!"),  # it led back to the old page: asked for once more
        (">a =a +b >b =a .a >b =b .a .b", "+b +b! .b"),
        (">a =a +b >b =a >b =a .a", "+b +b! .a"),  # there is no such page: not for ever
        (">a =a +b >b =b >a =a .a", "+b .a"),  # the new page itself leads back
        (">a =a +b >b =b >c =c .c", "+b .c"),  # or on
        (">a =a +b +c >b .a >c =c .a .c", "+b +c .c"),  # two links in a row
        ("+a >a =a .a", "+a .a"),  # a channel that was opened anew
    ],
)
def test_a_page_that_was_left_is_not_heard_and_a_change_that_failed_is_repeated(
    steps: str, expected: str
) -> None:
    assert reached(steps) == expected


@pytest.mark.parametrize("data", [b"\xff\xff", b"", None])
def test_what_is_no_message_passes(data: bytes | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {"type": "websocket.receive", "bytes": data}
        await send({"type": "websocket.send", "bytes": data})

    async def receive() -> Any:
        return {"type": "websocket.receive", "bytes": data}

    async def send(message: Any) -> None:
        assert message["bytes"] == data

    asyncio.run(Leaving(app)({"type": "websocket"}, receive, send))
