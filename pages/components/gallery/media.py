"""Bytes a page's browser fetches by itself: geometry, colours, pictures, and one example's facts.

Component data is sent anew whenever any of it changes. What is large is therefore offered under the
hash of its content, which the browser fetches once and keeps; what is many (thumbnails, texts) is
fetched as it comes on screen. Addresses are relative and begin with the ticket of the session.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import streamlit as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from backend.access import Person
from backend.access.gate import UNSEEN
from backend.bundle import Bundle
from backend.core.errors import AccessError, BackendError, InputError
from pages.components.shared import services
from pages.components.shared.routes import Tickets, person_of

ROOT = "content"
KEPT_BYTES = 256 * 2**20
TEXT_LENGTH = 400
_TICKET = "_media_ticket"
_ROW = re.compile(r"[0-9]{1,12}")
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    # Bytes from an upload that somebody opens in a tab of their own stay without any rights.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


@dataclass(frozen=True)
class Blob:
    """Bytes and how they are sent; ``compress`` false for what gzip would only slow down."""

    content: bytes = field(repr=False)
    media_type: str
    compress: bool


class Kept:
    """The blobs of this server by content hash; the least recently used ones go first."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.limit = limit
        self.size = 0
        self._blobs: OrderedDict[str, Blob] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, blob: Blob) -> str:
        """Keep a blob; its name, which is the same for the same content."""
        if len(blob.content) > self.limit:
            raise InputError(
                f"content must fit into {self.limit} bytes: got {len(blob.content)} bytes."
            )
        hashed = hashlib.blake2b(blob.content, digest_size=16)
        hashed.update(blob.media_type.encode())
        name = hashed.hexdigest()
        with self._lock:
            if name not in self._blobs:
                self._blobs[name] = blob
                self.size += len(blob.content)
            self._blobs.move_to_end(name)
            while self.size > self.limit:
                _, gone = self._blobs.popitem(last=False)
                self.size -= len(gone.content)
        return name

    def get(self, name: str) -> Blob | None:
        """The blob of this name, now the most recently used one; None when it went."""
        with self._lock:
            blob = self._blobs.get(name)
            if blob is not None:
                self._blobs.move_to_end(name)
            return blob


KEPT = Kept()
TICKETS: Tickets[dict[str, set[str]]] = Tickets(dict)
"""Leave to fetch blobs, by name, and examples, by the digest of their bundle; each with the bundles of
which one must be there to be looked at, at every fetch, and with none where it is of no bundle."""


def ticket() -> str:
    """What the addresses of this session begin with."""
    return TICKETS.of_session(_TICKET).key


def offer(content: bytes, media_type: str, digest: str, *, compress: bool = True) -> str:
    """An address, relative to the app, where this session's browser gets ``content``.

    The last part of the address is a hash of the content: the same bytes have the same address, and
    the browser may keep them for ever. The server keeps a bounded number of bytes, so offer them
    again on every run. They are handed out for as long as the bundle of this ``digest`` may be looked
    at; "" is for what says nothing of any. ``compress=False`` sends them as they are, for bytes that
    look random.
    """
    held, name = TICKETS.of_session(_TICKET), KEPT.put(Blob(content, media_type, compress))
    about = held.leave.setdefault(name, set())
    if digest:
        about.add(digest)
    return f"{ROOT}/{held.key}/blob/{name}"


def item_url(digest: str) -> str:
    """Address, relative to the app, below which this session's browser finds a bundle's examples.

    ``<address>/<row>.json`` holds ``id``, ``text`` (its first 400 characters), ``label``,
    ``prediction``, ``correct``, ``loss`` and ``image`` (whether there is one); what is unknown is
    null. ``<address>/<row>/thumbnail`` and ``<address>/<row>/full`` are the picture.
    """
    held = TICKETS.of_session(_TICKET)
    held.leave[digest] = {digest}
    return f"{ROOT}/{held.key}/item/{digest}"


def show_picture(bundle: Bundle, row: int, *, width: int) -> None:
    """The picture of an example that has one, so many pixels wide where there is room.

    Fetched from the routes below, which ask at every fetch: what ``st.image`` shows goes by an address
    of Streamlit's, which knows nothing of bundles.
    """
    st.html(
        f'<img class="picture" src="{item_url(bundle.digest)}/{row}/full" width="{width}" '
        'alt="The picture of this example">'
    )


# --- the routes -----------------------------------------------------------------------------------


async def send_blob(request: Request) -> Response:
    """Offered bytes; 404 when they were offered too long ago."""
    name = request.path_params["name"]
    about = TICKETS.of_request(request).leave.get(name)
    if about is None:
        raise HTTPException(404, "These bytes were not offered to this session.")
    if about and not await anyio.to_thread.run_sync(_may_look, person_of(request), tuple(about)):
        raise HTTPException(403, UNSEEN)
    blob = KEPT.get(name)
    if blob is None:
        raise HTTPException(404, "These bytes are no longer kept. The page offers them again.")
    headers = {} if blob.compress else {"Content-Encoding": "identity"}
    return _fresh(
        request, name, lambda: Response(blob.content, media_type=blob.media_type, headers=headers)
    )


async def send_facts(request: Request) -> Response:
    """What a preview says about one example."""
    bundle, row = await _example(request)
    return _fresh(request, f"{bundle.digest}-{row}", lambda: JSONResponse(facts(bundle, row)))


async def send_picture(request: Request) -> Response:
    """The picture of one example, small or whole."""
    bundle, row = await _example(request)
    size = request.path_params["size"]
    if size not in ("thumbnail", "full"):
        raise HTTPException(404, "There are a thumbnail and a full picture, nothing else.")
    try:
        image = await anyio.to_thread.run_sync(
            bundle.thumbnail if size == "thumbnail" else bundle.image, row
        )
    except BackendError as error:
        raise HTTPException(404, str(error)) from error
    kind = image_type(image) if image else None
    if image is None or kind is None:
        raise HTTPException(404, "This example has no picture that browsers show.")
    return _fresh(
        request, f"{bundle.digest}-{row}-{size}", lambda: Response(image, media_type=kind)
    )


def facts(bundle: Bundle, row: int) -> dict[str, Any]:
    """One example in a few fields, ready for JSON; what is unknown or not finite is None."""
    labels, predictions = bundle.label_names, bundle.prediction_names
    loss = float(bundle.losses[row])
    text = str(bundle.examples["text"].iloc[row])[:TEXT_LENGTH] if bundle.has_text else None
    return {
        "id": str(bundle.ids[row]),
        "text": text,
        "label": None if labels is None else labels[row],
        "prediction": None if predictions is None else predictions[row],
        "correct": None if bundle.correct is None else bool(bundle.correct[row]),
        "loss": loss if math.isfinite(loss) else None,
        "image": bundle.has_images,
    }


def image_type(image: bytes) -> str | None:
    """Media type told by the first bytes, for the formats browsers show; None for anything else."""
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _IMAGES if image.startswith(start)), None)


def _may_look(person: Person, digests: Sequence[str]) -> bool:
    return any(services.may_look(person, digest) for digest in digests)


async def _example(request: Request) -> tuple[Bundle, int]:
    digest, row = request.path_params["digest"], request.path_params["row"]
    if digest not in TICKETS.of_request(request).leave:
        raise HTTPException(403, "This session has not opened that bundle.")
    try:
        bundle = await anyio.to_thread.run_sync(services.bundle_for, person_of(request), digest)
    except AccessError as error:
        raise HTTPException(403, str(error)) from error
    except BackendError as error:
        raise HTTPException(404, "The bundle is no longer there.") from error
    if not _ROW.fullmatch(row) or int(row) >= bundle.n:
        raise HTTPException(404, f"Rows are whole numbers from 0 to {bundle.n - 1}.")
    return bundle, int(row)


def _fresh(request: Request, tag: str, make: Callable[[], Response]) -> Response:
    """The response, or 304 when the browser has it; what an address holds never changes."""
    quoted = f'"{tag}"'
    known = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    response = Response(status_code=304) if quoted in known else make()
    response.headers.update(
        {**_SAFE, "ETag": quoted, "Cache-Control": "private, max-age=31536000, immutable"}
    )
    return response


ROUTES: Sequence[BaseRoute] = [
    Route(f"/{ROOT}/{{ticket}}/blob/{{name}}", send_blob),
    Route(f"/{ROOT}/{{ticket}}/item/{{digest}}/{{row}}.json", send_facts),
    Route(f"/{ROOT}/{{ticket}}/item/{{digest}}/{{row}}/{{size}}", send_picture),
]
