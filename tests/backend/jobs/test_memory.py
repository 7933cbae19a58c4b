"""Whatever an upload unpacks to, its worker stays within four times the file and 1 GiB."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import psutil
import pytest

from backend.core.memory import FREE_BYTES, LIBRARY_BYTES, MULTIPLE, anonymous_bytes, bounded
from backend.jobs import Jobs
from tests.bombs import BOMBS

LIMIT_S = 120


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    with Jobs(tmp_path_factory.mktemp("bombs") / "home") as manager:
        yield manager


def peaks():
    """The most memory that each worker ever held, mapped files included."""
    found = []
    for child in psutil.Process().children():
        told = Path(f"/proc/{child.pid}/status").read_text()
        found.append(int(told.partition("VmHWM:")[2].split()[0]) * 1024)
    return found


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_its_memory_and_the_next_import_goes_on(jobs, tmp_path, name):
    suffix, make, said = BOMBS[name]
    bomb, sound = tmp_path / f"bomb{suffix}", tmp_path / "sound.csv"
    make(bomb)
    sound.write_text("emb_0,emb_1,loss\n" + "".join(f"{k},1,{k % 3}\n" for k in range(8)))
    jobs_of_both = [jobs.submit("import", "", {"path": str(one)}) for one in (bomb, sound)]
    assert all(job.wait(LIMIT_S) for job in jobs_of_both)
    first, second = jobs_of_both
    assert (first.state, second.state) == ("failed" if said else "done", "done")
    if said:
        assert said in first.error and "bug" not in first.error
    size = bomb.stat().st_size
    assert max(peaks()) < MULTIPLE * size + FREE_BYTES + size  # the file itself is mapped


def test_memory_granted_before_is_noticed_when_it_is_touched():
    with mmap.mmap(-1, 2**28, flags=mmap.MAP_PRIVATE) as reserved:
        noticed = threading.Event()
        with bounded(anonymous_bytes() + LIBRARY_BYTES + 2**26, noticed.set):
            with pytest.raises(MemoryError):
                bytearray(2**28)
            assert not noticed.is_set()
            for page in range(0, len(reserved), mmap.PAGESIZE):
                reserved[page] = 1
            assert noticed.wait(LIMIT_S)
    assert len(bytearray(2**28)) == 2**28  # the limit is lifted
