"""Long work in worker processes: asked for by key, computed once, watched and cancelled by many.

    >>> jobs = Jobs(warm=True)                                              # doctest: +SKIP
    >>> job = jobs.submit("spotlights", digest, {"size": 0.05}, watcher=me)  # doctest: +SKIP
    >>> job.state, job.fraction, job.message, len(job.partial())            # doctest: +SKIP
    >>> job.wait() and job.result()["weights"]                              # doctest: +SKIP

Each lane is a queue with its own workers, in which those who wait take turns: ``quick`` (imports, PCA:
what a first view waits for), ``compute`` (searches; ``workers`` of them) and ``background`` (UMAP, at
low priority). So a map appears while a search runs, and a minute of UMAP never holds up a search; two
searches side by side would only slow each other down, as one already uses all cores.

Names are loaded when they are first asked for: a worker, which is a module of this package, starts
without what only its owner needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.jobs.job import Job, remaining_s
    from backend.jobs.manager import Jobs, serving

_HOMES = {"Job": "job", "Jobs": "manager", "remaining_s": "job", "serving": "manager"}

__all__ = ["Job", "Jobs", "remaining_s", "serving"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
