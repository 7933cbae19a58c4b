"""Views as a text for the address bar: short ones whole, long ones kept on disk under their digest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
import zlib
from typing import Any

from backend.core.home import home_folder, written_in
from backend.views.state import View, ViewError

MAX_INLINE = 1_500
"""Characters a link may spend on a view; longer ones are kept under the home folder."""
MAX_BYTES = 8 * 2**20
_KEPT = re.compile(r"k[0-9a-f]{20}")


def encode(view: View, home: str | os.PathLike[str] | None = None) -> str:
    """A text that ``decode`` reads: letters, digits, ``-`` and ``_`` only.

    Long views (a lasso with many corners, many ids) are written to ``<home>/views`` and named by
    their digest, so their links work wherever the same home folder is served.
    """
    if view.plain:
        return ""
    raw = json.dumps(view.to_dict(), separators=(",", ":"), ensure_ascii=False).encode()
    packed = "z" + base64.urlsafe_b64encode(zlib.compress(raw, 9)).decode().rstrip("=")
    if len(packed) <= MAX_INLINE:
        return packed
    name = "k" + hashlib.sha256(raw).hexdigest()[:20]
    folder = home_folder(home) / "views"
    place = folder / f"{name}.json"
    if not place.exists():
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        with written_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(raw)
                draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
    return name


def decode(text: str, home: str | os.PathLike[str] | None = None) -> View:
    """The view of a link.

    Raises
    ------
    ViewError
        If the text is damaged, or names a view that this home folder does not have.
    """
    if not text:
        return View()
    try:
        return View.from_dict(json.loads(_raw(text, home)))
    except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
        if isinstance(error, ViewError):
            raise
        raise ViewError(
            "the filters and the selection of this link cannot be read: it was cut or changed on "
            "its way. Ask for it again."
        ) from None


def _raw(text: str, home: str | os.PathLike[str] | None) -> Any:
    if _KEPT.fullmatch(text):
        place = home_folder(home) / "views" / f"{text}.json"
        if not place.is_file():
            raise ViewError(
                "the selection of this link was drawn on another server and is not known here. "
                "Saved views and manifests can be carried over; this link cannot."
            )
        return place.read_bytes()
    if not text.startswith("z") or len(text) > 4 * MAX_INLINE or not text.isascii():
        raise ViewError("the filters of this link cannot be read: it does not look like a view.")
    packed = base64.urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4))
    reader = zlib.decompressobj()
    raw = reader.decompress(packed, MAX_BYTES)
    if reader.unconsumed_tail:
        raise ViewError("the filters of this link are too long.")
    return raw
