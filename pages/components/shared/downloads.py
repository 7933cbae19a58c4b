"""Files made at a click: they stay until their browser has fetched them, and go by what they are of.

Streamlit gives such a file no owner, and drops it the second time that anybody's page has run since.
On a server in use that may be before the browser asks for it. Its address follows the content alone,
so of which bundles a person was handed that content is kept here.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict

from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileMetadata
from streamlit.runtime.media_file_storage import MediaFileKind

HELD_S = 60.0
MOST_KEPT = 10_000


class HeldMetadata(MediaFileMetadata):
    """Counts as marked for deletion a while after it was first marked."""

    _marked_at: float | None = None

    @property
    def is_marked_for_delete(self) -> bool:
        return self._marked_at is not None and time.monotonic() - self._marked_at >= HELD_S

    def mark_for_delete(self) -> None:
        if self._marked_at is None:
            self._marked_at = time.monotonic()


class Handed:
    """Of which bundles people were handed some content; what was handed out long ago is forgotten."""

    def __init__(self) -> None:
        self._bundles: OrderedDict[tuple[str, bytes], set[str]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, key: str, content: str | bytes, digest: str) -> None:
        """Remember that the person of this key was handed content of a bundle.

        An empty ``digest`` is for what is of no bundle, an empty ``key`` for everybody.
        """
        place = key, _mark(content)
        with self._lock:
            self._bundles.setdefault(place, set()).add(digest)
            self._bundles.move_to_end(place)
            while len(self._bundles) > MOST_KEPT:
                self._bundles.popitem(last=False)

    def bundles(self, key: str, name: str) -> set[str] | None:
        """Of which bundles the person of this key was handed the file of this name.

        None for a download that they were not handed. Other files of Streamlit's, which are those of
        every page, are of no bundle, and so is what is no longer there.
        """
        file = runtime.get_instance().media_file_mgr.read_file(name)
        if file is None or file.kind != MediaFileKind.DOWNLOADABLE:
            return {""}
        mark = _mark(file.content)
        with self._lock:
            found = [self._bundles.get((one, mark), set()) for one in (key, "")]
        return set.union(*found) or None


HANDED = Handed()


def _mark(content: str | bytes) -> bytes:
    held = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(held, digest_size=16).digest()
