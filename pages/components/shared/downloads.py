"""A file made at a click stays until its browser has fetched it, whatever others do meanwhile.

Streamlit gives such a file no owner, and drops it the second time that anybody's page has run since.
On a server in use that may be before the browser asks for it.
"""

from __future__ import annotations

import time

from streamlit.runtime.media_file_manager import MediaFileMetadata

HELD_S = 60.0


class HeldMetadata(MediaFileMetadata):
    """Counts as marked for deletion a while after it was first marked."""

    _marked_at: float | None = None

    @property
    def is_marked_for_delete(self) -> bool:
        return self._marked_at is not None and time.monotonic() - self._marked_at >= HELD_S

    def mark_for_delete(self) -> None:
        if self._marked_at is None:
            self._marked_at = time.monotonic()
