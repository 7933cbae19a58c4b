"""Whether this server can work: its database, its workers and its disk, for whoever runs it."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from backend.access import EVERYBODY
from backend.core.errors import BackendError
from backend.core.home import home_folder
from backend.core.journal import tell
from pages.components.door.wall import HEALTH
from pages.components.shared import services
from pages.components.shared.routes import person_of

DATABASE_S = 1.0
"""How long the database may take to answer."""
WAIT_S = 2.0
"""How long whoever asks waits; what is not known by then counts as not well."""
FRESH_S = 2.0
"""How long an answer holds, so that asking often costs nothing."""
FLOOR_BYTES = 2**29
"""Free bytes that the disk of the home folder needs; uploads leave twice as many."""


@dataclass
class Health:
    """What was found, as far as the look has come.

    Attributes
    ----------
    database, workers : bool
        Whether the database answered in time, and whether all workers that were needed so far serve.
    queue : int
        Tasks that wait for a worker.
    free_bytes : int
        Of the disk that the home folder is on.
    began : float
        In seconds of ``time.monotonic``.
    """

    database: bool = False
    workers: bool = False
    queue: int = 0
    free_bytes: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def ok(self) -> bool:
        """Whether the server can work."""
        return self.database and self.workers and self.free_bytes >= FLOOR_BYTES

    def told(self) -> dict[str, bool | int]:
        """All of it, in plain types."""
        known = {key: value for key, value in vars(self).items() if key != "began"}
        return {"ok": self.ok, **known}


class Looker:
    """One look at a time, however many ask: a database that hangs holds one thread and no more."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "health")
        self._found = Health(began=float("-inf"))
        self._done: Future[None] = Future()
        self._done.set_result(None)

    async def health(self) -> Health:
        """What a look of this moment found, or finds within ``WAIT_S``."""
        if self._done.done() and time.monotonic() - self._found.began > FRESH_S:
            self._found = Health()
            self._done = self._pool.submit(_look, self._found)
        await asyncio.wait([asyncio.wrap_future(self._done)], timeout=WAIT_S)
        return self._found


def _look(found: Health) -> None:
    """Fill in what is found; whatever goes wrong leaves the rest as not well."""
    try:
        found.free_bytes = shutil.disk_usage(home_folder()).free
        found.workers, found.queue = services.jobs().standing()
        began = time.monotonic()
        services.shared_store().probe()
        found.database = time.monotonic() - began <= DATABASE_S
    except (BackendError, OSError):
        pass  # which part it was is what stays False
    if not found.ok:
        tell("not well", **found.told())


_LOOKER = Looker()


async def answer(request: Request) -> JSONResponse:
    """200 or 503, with what was found where nobody signs in, and no more than that elsewhere."""
    found = await _LOOKER.health()
    told = found.told() if person_of(request) == EVERYBODY else {"ok": found.ok}
    headers = {"Cache-Control": "no-store"}
    return JSONResponse(told, 200 if found.ok else 503, headers)


ROUTES = [Route(HEALTH, answer)]
