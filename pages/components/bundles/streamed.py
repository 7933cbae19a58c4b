"""Uploads written to disk as they arrive, for bundles too large for the server's memory.

The route takes one file per name for a ticket, and nothing without one.
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

from backend.bundle.home import held_by
from backend.core.errors import AccessError
from backend.core.home import home_folder, is_full
from backend.core.memory import bytes_of
from backend.core.quota import PERSON_SETTING, quota_bytes, room_left
from pages.components.bundles.uploads import base_name, sweep, to_import
from pages.components.gallery.shown import ASSETS
from pages.components.shared import services
from pages.components.shared.routes import Tickets, person_of

DEFAULT_CAP_GB = 20
MAX_FILES = 64
MAX_SENDING = 4
"""Files of one upload that are sent at a time."""
BLOCK = 4 * 2**20
IDLE_S = 60
"""An upload that sends nothing for so long has ended."""
SLOWEST = 16 * 2**10
"""Bytes a second below which one is given up after that time."""

_sender = st.components.v2.component(
    "errorscope_upload",
    html=(ASSETS / "upload.html").read_text(encoding="utf-8"),
    css=(ASSETS / "upload.css").read_text(encoding="utf-8"),
    js=(ASSETS / "upload.js").read_text(encoding="utf-8"),
)


@dataclass
class Streamed:
    """Where the files of one upload go.

    Attributes
    ----------
    folder : Path
        Made with the first file.
    names : set of str
        Files that are there.
    sending : dict of {str: int}
        Files that are being sent, each with the bytes that are there.
    owner : str
        Key of who sends them.
    """

    folder: Path
    names: set[str] = field(default_factory=set)
    sending: dict[str, int] = field(default_factory=dict)
    owner: str = ""

    @property
    def size(self) -> int:
        """Bytes of all its files so far."""
        return bytes_of(self.folder)


def _new() -> Streamed:
    sweep()
    folder = home_folder() / "uploads" / secrets.token_hex(16)
    return Streamed(folder, owner=services.who().key)


def _remove(upload: Streamed) -> None:
    shutil.rmtree(upload.folder, ignore_errors=True)


TICKETS = Tickets(_new, _remove)
"""Leave to upload files into one folder, which goes with the ticket when that expires."""


def cap_bytes() -> int:
    """Most bytes of one streamed upload: ``ERRORSCOPE_UPLOAD_GB``, 20 GB by default."""
    return int(float(os.environ.get("ERRORSCOPE_UPLOAD_GB", DEFAULT_CAP_GB)) * 1e9)


async def receive(request: Request) -> JSONResponse:
    """Write one file of an upload to disk; one that breaks off or is too large leaves nothing.

    A file that is sent again takes the place of the first.
    """
    TICKETS.sweep()
    upload = TICKETS.of_request(request).leave
    try:
        services.gate().check_adding(person_of(request))
    except AccessError as error:
        raise HTTPException(403, str(error)) from error
    name = base_name(request.query_params.get("name", ""))
    if name in upload.sending:
        raise HTTPException(409, f"{name} is being sent already. Wait for it.")
    if len(upload.sending) >= MAX_SENDING:
        raise HTTPException(429, f"{MAX_SENDING} files are being sent. Wait for one of them.")
    if len({*upload.names, *upload.sending, name}) > MAX_FILES:
        raise HTTPException(409, f"more than {MAX_FILES} files were sent. Put them in one .zip.")
    room, too_large = _room(upload, name)
    declared = int(request.headers.get("content-length") or 0)
    if declared > room:
        raise HTTPException(413, too_large)
    upload.names.discard(name)
    upload.sending[name] = 0
    path = upload.folder / name
    whole = False
    try:
        upload.folder.mkdir(parents=True, exist_ok=True)
        written = await _write(request, path, room, too_large, upload)
        if declared and written != declared:
            raise HTTPException(400, f"{name} broke off.")
        whole = True
    except ClientDisconnect as error:
        raise HTTPException(400, f"{name} broke off.") from error
    except TimeoutError as error:
        raise HTTPException(
            408, f"{name} came too slowly or stopped for {IDLE_S} s. Send it again."
        ) from error
    except OSError as error:
        raise HTTPException(507, _not_written(name, error)) from error
    finally:
        del upload.sending[name]
        if whole:
            upload.names.add(name)
        else:
            path.unlink(missing_ok=True)
    return JSONResponse({"name": name, "size": written})


def _not_written(name: str, error: OSError) -> str:
    if is_full(error):
        return (
            f"the disk of this server is full: nothing of {name} was kept. Remove a bundle that nobody "
            "needs, then send it again."
        )
    return f"{name} cannot be written ({error.strerror})."


def _room(upload: Streamed, name: str) -> tuple[int, str]:
    """Bytes that a file may have, and what is said of a larger one."""
    home = home_folder()
    own = cap_bytes() - upload.size
    share = quota_bytes(PERSON_SETTING)
    quota = room_left(home)
    left = shutil.disk_usage(home).free - 2**30
    left = left if quota is None else min(left, quota)
    if share is not None:
        mine = share - held_by(upload.owner) - upload.size
        if mine < min(left, own):
            return max(0, mine), (
                f"{name} does not fit: {max(0, mine) / 1e9:.1f} GB are left of your share of this "
                f"server's disk ({PERSON_SETTING}). Remove one of your bundles."
            )
    if left < own:
        return max(0, left), (
            f"{name} does not fit: {max(0, left) / 1e9:.1f} GB are left on this server's disk. "
            "Remove a bundle that nobody needs."
        )
    return max(0, own), (
        f"{name} is too large: an upload may have {cap_bytes() / 1e9:.1f} GB in all its files, "
        f"{max(0, own) / 1e9:.1f} GB are left."
    )


async def _write(request: Request, path: Path, room: int, too_large: str, upload: Streamed) -> int:
    """Bytes written.

    Raises
    ------
    HTTPException
        If there are more than ``room``.
    TimeoutError
        If they stop coming, or come slower than ``SLOWEST``.
    """
    written, block, started = 0, bytearray(), time.monotonic()
    chunks = request.stream()
    with path.open("wb") as file:
        while True:
            with anyio.fail_after(IDLE_S):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            written += len(chunk)
            if written > room:
                raise HTTPException(413, too_large)
            if time.monotonic() - started > IDLE_S + written / SLOWEST:
                raise TimeoutError
            upload.sending[path.name] = written
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
    if not names or upload.sending or not all((upload.folder / name).is_file() for name in names):
        return None
    del st.session_state[held_in]
    TICKETS.spend(ticket.key)
    return to_import(upload.folder, names)
