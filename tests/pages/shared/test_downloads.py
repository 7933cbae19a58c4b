"""A file made at a click outlives the runs of other people's pages, and not for ever."""

import pytest
from streamlit.runtime import media_file_manager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from pages.components.shared import downloads


def test_a_download_stays_while_others_run_their_pages(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(downloads.time, "monotonic", lambda: now)
    monkeypatch.setattr(media_file_manager, "MediaFileMetadata", downloads.HeldMetadata)
    storage = MemoryMediaFileStorage("/media")
    manager = media_file_manager.MediaFileManager(storage)
    button = manager.add_deferred(lambda: b"id,tag\n", "text/csv", "1.0", file_name="tagged.csv")
    name = manager.execute_deferred(button).rpartition("/")[2]
    for _ in range(20):
        manager.remove_orphaned_files()
    assert storage.get_file(name).content == b"id,tag\n"
    now += downloads.HELD_S
    manager.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        storage.get_file(name)
