"""Uploads written to disk as they arrive, for bundles too large for the server's memory.

A page hands its browser a ticket; the route takes one file per name for it and nothing without it.
The ticket is as secret as the session it was given to, so another site cannot use the route.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import streamlit as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from backend.core.home import home_folder
from pages.components.bundles.uploads import base_name, to_import
from pages.components.gallery.shown import ASSETS

DEFAULT_CAP_GB = 20
MAX_FILES = 64
TICKET_S = 12 * 3600
BLOCK = 4 * 2**20

_sender = st.components.v2.component(
    "errorscope_upload",
    html=(ASSETS / "upload.html").read_text(encoding="utf-8"),
    css=(ASSETS / "upload.css").read_text(encoding="utf-8"),
    js=(ASSETS / "upload.js").read_text(encoding="utf-8"),
)


@dataclass
class Ticket:
    """Leave to upload files into one folder."""

    folder: Path
    expires: float
    names: set[str] = field(default_factory=set)


class Tickets:
    """The tickets of this server, forgotten when they expire."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def issue(self) -> str:
        now = time.monotonic()
        for key in [key for key, ticket in self._tickets.items() if ticket.expires < now]:
            del self._tickets[key]
        key = secrets.token_urlsafe(24)
        self._tickets[key] = Ticket(
            home_folder() / "uploads" / secrets.token_hex(16), now + TICKET_S
        )
        return key

    def get(self, key: str) -> Ticket | None:
        ticket = self._tickets.get(key)
        return ticket if ticket and ticket.expires >= time.monotonic() else None


TICKETS = Tickets()


def cap_bytes() -> int:
    """Most bytes of one streamed file: ``ERRORSCOPE_UPLOAD_GB``, 20 GB by default."""
    return int(float(os.environ.get("ERRORSCOPE_UPLOAD_GB", DEFAULT_CAP_GB)) * 1e9)


async def receive(request: Request) -> JSONResponse:
    """Write one file of an upload to disk; a broken or too large one leaves nothing."""
    ticket = TICKETS.get(request.path_params["ticket"])
    if ticket is None:
        raise HTTPException(403, "This upload has expired. Reload the page and start again.")
    name = base_name(request.query_params.get("name", ""))
    if name in ticket.names or len(ticket.names) >= MAX_FILES:
        raise HTTPException(409, f"{name} was sent already, or more than {MAX_FILES} files were.")
    cap = min(cap_bytes(), shutil.disk_usage(home_folder()).free - 2**30)
    declared = int(request.headers.get("content-length") or 0)
    too_large = f"{name} is larger than the {cap / 1e9:.1f} GB this server takes."
    if declared > cap:
        raise HTTPException(413, too_large)
    ticket.names.add(name)
    ticket.folder.mkdir(parents=True, exist_ok=True)
    path = ticket.folder / name
    try:
        written = await _write(request, path, cap)
    except ClientDisconnect:
        written = -1
    if written < 0 or (declared and written != declared):
        path.unlink(missing_ok=True)
        ticket.names.discard(name)
        raise HTTPException(
            413 if written < 0 else 400, too_large if written < 0 else f"{name} broke off."
        )
    return JSONResponse({"name": name, "size": written})


async def _write(request: Request, path: Path, cap: int) -> int:
    """Bytes written, or -1 when there were more than ``cap``."""
    written, block = 0, bytearray()
    with path.open("wb") as file:
        async for chunk in request.stream():
            written += len(chunk)
            if written > cap:
                return -1
            block += chunk
            if len(block) >= BLOCK:
                await anyio.to_thread.run_sync(file.write, bytes(block))
                block.clear()
        await anyio.to_thread.run_sync(file.write, bytes(block))
    return written


ROUTES = [Route("/upload/{ticket}", receive, methods=["PUT"])]


def streamed_upload(*, key: str) -> Path | None:
    """The file chooser for large bundles; the folder or file once all of it is on disk."""
    field_name = f"_ticket_{key}"
    ticket_key = st.session_state.get(field_name)
    ticket = TICKETS.get(ticket_key) if ticket_key else None
    if ticket is None:
        ticket_key = st.session_state[field_name] = TICKETS.issue()
        ticket = TICKETS.get(ticket_key)
    result = _sender(
        key=key,
        data={"ticket": ticket_key, "cap": cap_bytes()},
        default={"sent": None},
        on_sent_change=lambda: None,
    )
    if not result.sent or result.sent.get("ticket") != ticket_key or ticket is None:
        return None
    names = sorted(ticket.names)
    if not names or not all((ticket.folder / name).is_file() for name in names):
        return None
    del st.session_state[field_name]
    return to_import(ticket.folder, names)
