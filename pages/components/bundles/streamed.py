"""Uploads written to disk as they arrive, for bundles too large for the server's memory.

The route takes one file per name for a ticket, and nothing without one.
"""

from __future__ import annotations

import os
import secrets
import shutil
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
from pages.components.shared.routes import Tickets

DEFAULT_CAP_GB = 20
MAX_FILES = 64
BLOCK = 4 * 2**20

_sender = st.components.v2.component(
    "errorscope_upload",
    html=(ASSETS / "upload.html").read_text(encoding="utf-8"),
    css=(ASSETS / "upload.css").read_text(encoding="utf-8"),
    js=(ASSETS / "upload.js").read_text(encoding="utf-8"),
)


@dataclass
class Streamed:
    """Where the files of one upload go, and those that were sent or are being sent."""

    folder: Path
    names: set[str] = field(default_factory=set)


TICKETS = Tickets(lambda: Streamed(home_folder() / "uploads" / secrets.token_hex(16)))
"""Leave to upload files into one folder."""


def cap_bytes() -> int:
    """Most bytes of one streamed file: ``ERRORSCOPE_UPLOAD_GB``, 20 GB by default."""
    return int(float(os.environ.get("ERRORSCOPE_UPLOAD_GB", DEFAULT_CAP_GB)) * 1e9)


async def receive(request: Request) -> JSONResponse:
    """Write one file of an upload to disk; a broken or too large one leaves nothing."""
    upload = TICKETS.of_request(request).leave
    name = base_name(request.query_params.get("name", ""))
    if name in upload.names or len(upload.names) >= MAX_FILES:
        raise HTTPException(409, f"{name} was sent already, or more than {MAX_FILES} files were.")
    cap = min(cap_bytes(), shutil.disk_usage(home_folder()).free - 2**30)
    declared = int(request.headers.get("content-length") or 0)
    too_large = f"{name} is larger than the {cap / 1e9:.1f} GB this server takes."
    if declared > cap:
        raise HTTPException(413, too_large)
    upload.names.add(name)
    upload.folder.mkdir(parents=True, exist_ok=True)
    path = upload.folder / name
    try:
        written = await _write(request, path, cap)
    except ClientDisconnect:
        written = -1
    if written < 0 or (declared and written != declared):
        path.unlink(missing_ok=True)
        upload.names.discard(name)
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
    held_in = f"_ticket_{key}"
    ticket = TICKETS.of_session(held_in)
    result = _sender(
        key=key,
        data={"ticket": ticket.key, "cap": cap_bytes()},
        default={"sent": None},
        on_sent_change=lambda: None,
    )
    if not result.sent or result.sent.get("ticket") != ticket.key:
        return None
    upload = ticket.leave
    names = sorted(upload.names)
    if not names or not all((upload.folder / name).is_file() for name in names):
        return None
    del st.session_state[held_in]
    return to_import(upload.folder, names)
