"""A browser without a screen: Streamlit's protocol over a websocket, for many clients at once.

A client keeps what a browser would (widgets of the page it is on, what was typed into them), polls
the parts of a page that ask for it, and counts what no page should show.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

COOKIE = "_streamlit_xsrf"
BUTTONS = ("button", "download_button")


class Trouble(Exception):
    """What a person would have seen as a fault."""


class Client:
    """One tab of a browser.

    Parameters
    ----------
    url : str
        Of the server.
    patience_s : float
        Longest time a run of the page may take.
    cookies : str
        Those of somebody who signed in, as a header has them.
    """

    def __init__(self, url: str, *, patience_s: float = 120, cookies: str = "") -> None:
        self.url, self.patience_s = url.rstrip("/"), patience_s
        self._signed = f"; {cookies}" if cookies else ""
        self.widgets: dict[str, tuple[str, Any, str]] = {}
        """Of the page that is shown: id -> (kind, message, part of the page it belongs to)."""
        self.values: dict[str, WidgetState] = {}
        self.pages: dict[str, str] = {}
        """Address of a page -> its hash."""
        self.page = ""
        self.query = ""
        self.texts: list[str] = []
        """What the last run of the whole page said."""
        self.faults: list[str] = []
        """Red boxes of Streamlit, lost connections, answers that never came."""
        self.runs = 0
        self.session = ""
        self.downloaded = ""
        """Address of the last file that a button gave."""
        self._cookie = ""
        self._channel: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pollers: dict[str, asyncio.Task[None]] = {}
        self._asked: str | None = None
        """The part of the page whose run is waited for, "" for the whole; None once it began."""
        self._drawn = asyncio.Event()
        self._answers: dict[str, asyncio.Future[ForwardMsg]] = {}

    # --- what a person does -----------------------------------------------------------------------

    async def open(self, page: str, query: str = "") -> None:
        """Follow a link, and wait until its page is drawn."""
        self._cookie = await asyncio.to_thread(self._fetch_cookie)
        address = urlsplit(self.url)
        self._channel = await connect(
            f"ws://{address.netloc}{address.path}/_stcore/stream",
            subprotocols=["streamlit", self._cookie],  # type: ignore[list-item]
            additional_headers={"Cookie": self._headers()["Cookie"]},
            origin=f"http://{address.netloc}",  # type: ignore[arg-type]
            max_size=None,
            open_timeout=self.patience_s,
            ping_interval=None,
        )
        self._reader = asyncio.create_task(self._read())
        self.query = query
        state = ClientState(query_string=query, page_name=page)
        await self._run(state)

    async def go(self, page: str) -> None:
        """Click the link to another page."""
        if page not in self.pages:
            raise Trouble(f"there is no page {page!r}: {sorted(self.pages)}")
        await self._run(ClientState(query_string=self.query, page_script_hash=self.pages[page]))
        if self.page != self.pages[page]:
            raise Trouble(f"asked for {page}, got another page")

    async def click(self, key: str) -> None:
        """Press a button, and wait for what it does."""
        await self._change(WidgetState(id=self.find(key)[0], trigger_value=True))

    async def type(self, key: str, text: str, *, run: bool = True) -> None:
        """Put text into a box."""
        await self._change(WidgetState(id=self.find(key)[0], string_value=text), run=run)

    async def tick(self, key: str, value: bool) -> None:
        """Set a toggle."""
        await self._change(WidgetState(id=self.find(key)[0], bool_value=value))

    async def tell(self, key: str, state: dict[str, Any]) -> None:
        """Set the state of a component, as its JavaScript does."""
        await self._change(WidgetState(id=self.find(key)[0], json_value=json.dumps(state)))

    async def rerun(self) -> None:
        """Have the page drawn again."""
        await self._run(self._state(""))

    async def upload(self, key: str, name: str, content: bytes) -> None:
        """Choose a file in a file chooser."""
        widget = self.find(key)[0]
        asked = BackMsg()
        asked.file_urls_request.request_id = uuid.uuid4().hex
        asked.file_urls_request.file_names.append(name)
        asked.file_urls_request.session_id = self.session
        said = await self._ask(asked, asked.file_urls_request.request_id)
        urls = said.file_urls_response.file_urls[0]
        await asyncio.to_thread(self._put_file, urls.upload_url, name, content)
        state = WidgetState(id=widget)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = name, len(content), urls.file_id
        info.file_urls.CopyFrom(urls)
        await self._change(state)

    async def download(self, key: str) -> bytes:
        """What a download button gives."""
        button = self.find(key)[1]
        url = button.url
        if button.deferred_file_id:
            asked = BackMsg()
            asked.backend_operation_request.request_id = uuid.uuid4().hex
            asked.backend_operation_request.session_id = self.session
            asked.backend_operation_request.deferred_file.file_id = button.deferred_file_id
            said = await self._ask(asked, asked.backend_operation_request.request_id)
            answer = said.backend_operation_response
            if answer.error_msg:
                raise Trouble(f"download {key}: {answer.error_msg}")
            url = answer.deferred_file.url
        self.downloaded = url
        return await asyncio.to_thread(self.get, url)

    async def close(self) -> None:
        """Close the tab."""
        for one in self._pollers.values():
            one.cancel()
        self._pollers.clear()
        if self._reader is not None:
            self._reader.cancel()
        if self._channel is not None:
            with contextlib.suppress(ConnectionClosed, OSError):
                await self._channel.close()

    async def until(self, there: Callable[[], bool], what: str, *, wait_s: float = 300) -> None:
        """Wait until the page shows something, as its own polling brings it."""
        left = asyncio.get_running_loop().time() + wait_s
        while not there():
            if self._reader is not None and self._reader.done():
                raise Trouble(f"the connection was lost while waiting for {what}")
            if asyncio.get_running_loop().time() > left:
                raise Trouble(f"waited {wait_s:.0f} s for {what}")
            await asyncio.sleep(0.1)

    # --- what is on the page ----------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether a widget of this key is on the page."""
        return any(_is_called(one, key) for one in self.widgets)

    def find(self, key: str) -> tuple[str, Any, str]:
        """Id, message and part of the page of a widget.

        Raises
        ------
        Trouble
            If it is not on the page.
        """
        for one, (_, message, fragment) in self.widgets.items():
            if _is_called(one, key):
                return one, message, fragment
        raise Trouble(f"there is no widget {key!r} on the page")

    def data(self, key: str) -> dict[str, Any]:
        """What a component was given."""
        message = self.find(key)[1]
        held = message.mixed.json if message.WhichOneof("data") == "mixed" else message.json
        return dict(json.loads(held))

    def get(self, path: str) -> bytes:
        """Fetch from the server, as the page would."""
        request = urllib.request.Request(self._address(path), headers=self._headers())
        with urllib.request.urlopen(request, timeout=self.patience_s) as answer:
            return bytes(answer.read())

    # --- the protocol -----------------------------------------------------------------------------

    def _address(self, path: str) -> str:
        return path if path.startswith("http") else f"{self.url}/{path.lstrip('/')}"

    def _headers(self) -> dict[str, str]:
        cookies = f"{COOKIE}={self._cookie}{self._signed}"
        return {"Cookie": cookies, "X-Xsrftoken": self._cookie}

    def _fetch_cookie(self) -> str:
        answer: HTTPResponse
        with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=60) as answer:
            for header in answer.headers.get_all("Set-Cookie") or ():
                name, _, rest = header.partition("=")
                if name == COOKIE:
                    return rest.partition(";")[0].strip('"')
        return ""

    def _put_file(self, path: str, name: str, content: bytes) -> None:
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        headers = self._headers() | {"Content-Type": f"multipart/form-data; boundary={mark}"}
        request = urllib.request.Request(
            self._address(path), data=body, headers=headers, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=self.patience_s):
            pass

    def _state(self, fragment: str) -> ClientState:
        state = ClientState(
            query_string=self.query, page_script_hash=self.page, fragment_id=fragment
        )
        for widget in self.widgets:
            if widget in self.values:
                state.widget_states.widgets.append(self.values[widget])
        return state

    async def _change(self, value: WidgetState, *, run: bool = True) -> None:
        fragment = self.widgets[value.id][2]
        trigger = value.WhichOneof("value") == "trigger_value"
        if not trigger:
            self.values[value.id] = value
        if not run:
            return
        state = self._state(fragment)
        if trigger:
            state.widget_states.widgets.append(value)
        await self._run(state)

    async def _run(self, state: ClientState) -> None:
        self._drawn.clear()
        self._asked = state.fragment_id
        await self._send(BackMsg(rerun_script=state))
        waiting = {
            asyncio.ensure_future(self._drawn.wait()),
            *([self._reader] if self._reader else []),
        }
        done, _ = await asyncio.wait(
            waiting, timeout=self.patience_s, return_when=asyncio.FIRST_COMPLETED
        )
        for one in waiting - {self._reader}:
            one.cancel()
        if not self._drawn.is_set():
            what = "the connection was lost" if done else f"no page after {self.patience_s:.0f} s"
            self.faults.append(what)
            raise Trouble(what)

    async def _ask(self, message: BackMsg, request: str) -> ForwardMsg:
        self._answers[request] = asyncio.get_running_loop().create_future()
        await self._send(message)
        try:
            return await asyncio.wait_for(self._answers[request], self.patience_s)
        except TimeoutError as error:
            raise Trouble("no answer to a request for a file") from error
        finally:
            del self._answers[request]

    async def _send(self, message: BackMsg) -> None:
        assert self._channel is not None
        try:
            await self._channel.send(message.SerializeToString())
        except ConnectionClosed as error:
            self.faults.append("the connection was lost")
            raise Trouble("the connection was lost") from error

    async def _read(self) -> None:
        assert self._channel is not None
        with contextlib.suppress(ConnectionClosed):
            async for data in self._channel:
                self._hear(ForwardMsg.FromString(data if isinstance(data, bytes) else b""))

    def _hear(self, said: ForwardMsg) -> None:
        kind = said.WhichOneof("type")
        if kind == "new_session":
            self.session = said.new_session.initialize.session_id or self.session
            self._know(said.new_session.app_pages)
            parts = list(said.metadata.run.fragment_ids)
            if not parts:
                self.page = said.new_session.page_script_hash
                self._forget()
            if self._asked is not None and (not parts or self._asked in parts):
                self._asked = None
        elif kind == "navigation":
            self._know(said.navigation.app_pages)
            self.page = said.navigation.page_script_hash
        elif kind == "delta":
            self._draw(said)
        elif kind == "page_info_changed":
            self.query = said.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._poll(said.auto_rerun.fragment_id, said.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for one in said.stop_auto_rerun.fragment_ids:
                self._stop(one)
        elif kind == "file_urls_response":
            self._answer(said.file_urls_response.response_id, said)
        elif kind == "backend_operation_response":
            self._answer(said.backend_operation_response.request_id, said)
        elif kind == "page_not_found":
            self.faults.append(f"page not found: {said.page_not_found.page_name}")
        elif kind == "script_finished":
            if said.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                self.faults.append("the script does not compile")
            if said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                self.runs += 1
                if self._asked is None:
                    self._drawn.set()

    def _forget(self) -> None:
        self.widgets.clear()
        self.texts.clear()
        for one in list(self._pollers):
            self._stop(one)

    def _know(self, pages: Any) -> None:
        self.pages |= {one.url_pathname: one.page_script_hash for one in pages}

    def _draw(self, said: ForwardMsg) -> None:
        if said.delta.WhichOneof("type") != "new_element":
            return
        kind = said.delta.new_element.WhichOneof("type")
        if kind is None:
            return
        message = getattr(said.delta.new_element, kind)
        if kind == "exception":
            self.faults.append(f"{message.type}: {message.message}"[:300])
        if kind in ("alert", "markdown", "text", "heading"):
            self.texts.append(getattr(message, "body", "") or getattr(message, "title", ""))
        if kind == "progress":
            self.texts.append(message.text)
        if "id" in message.DESCRIPTOR.fields_by_name and message.id:
            for same in [one for one in self.widgets if _key_of(one) == _key_of(message.id) != ""]:
                del self.widgets[same]  # the same widget with other options has another id
            self.widgets[message.id] = (kind, message, said.delta.fragment_id)

    def _answer(self, request: str, said: ForwardMsg) -> None:
        waiting = self._answers.get(request)
        if waiting is not None and not waiting.done():
            waiting.set_result(said)

    def _poll(self, fragment: str, interval: float) -> None:
        self._stop(fragment)

        async def ask() -> None:
            with contextlib.suppress(ConnectionClosed, AssertionError):
                while True:
                    await asyncio.sleep(interval)
                    state = self._state(fragment)
                    state.is_auto_rerun = True
                    assert self._channel is not None
                    await self._channel.send(BackMsg(rerun_script=state).SerializeToString())

        self._pollers[fragment] = asyncio.create_task(ask())

    def _stop(self, fragment: str) -> None:
        known = self._pollers.pop(fragment, None)
        if known is not None:
            known.cancel()


def _key_of(widget: str) -> str:
    """The key that a page gave a widget, as it stands at the end of its id."""
    parts = widget.split("-", 2)
    return parts[2] if len(parts) > 2 and parts[2] != "None" else ""


def _is_called(widget: str, key: str) -> bool:
    return _key_of(widget) == key
