"""A lock of a name: a file, and where the store is PostgreSQL a lock of the database as well.

Files decide among the programs of one machine, and among machines where the disk that they share
passes locks on. Whether it does cannot be seen: NFS may be mounted so that every machine holds locks
of its own (``nolock``, ``local_lock``). Servers that share a home folder share a database, too, so
there that decides, by advisory locks, which end with the program that holds them or its machine.
While the database is out of reach files decide alone: work goes on, and at worst is done twice.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from backend.locks.turns import Turns

RETRY_S = 0.05


class Lock:
    """What the file ``path`` stands for, held by one at a time.

    Parameters
    ----------
    path : Path
        A file that is made where it is absent and left there. Its name and that of its folder are
        the name of the lock in the database, so that machines may have the folder at different
        places.
    """

    def __init__(self, path: Path) -> None:
        self._file = FileLock(path)
        name = "/".join(path.parts[-2:]).encode()
        self._number = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
        self._turns: Turns | None = None

    def acquire(self, *, wait: bool = False) -> bool:
        """Take the lock, at once or never unless ``wait``; whether it is held now.

        To be released by the thread that took it.

        Raises
        ------
        OSError
            If the file cannot be made or locked.
        """
        try:
            self._file.acquire(timeout=-1 if wait else 0, poll_interval=RETRY_S)
        except Timeout:
            return False
        database = _turns()
        while database is not None:
            if (got := database.take(self._number)) is not False:
                self._turns = database if got else None
                return True
            if not wait:
                self._file.release()
                return False
            time.sleep(RETRY_S)
        return True

    def release(self) -> None:
        """Let go of it."""
        if self._turns is not None:
            self._turns.leave(self._number)
            self._turns = None
        self._file.release()

    def __enter__(self) -> Lock:
        self.acquire(wait=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _turns() -> Turns | None:
    """The database's locks; not even asked for, which takes long to load, where none is named."""
    if not os.environ.get("ERRORSCOPE_DATABASE"):
        return None
    from backend.locks.turns import turns

    return turns()
