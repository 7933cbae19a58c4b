"""Long work in worker processes: asked for by key, computed once, watched and cancelled by many.

    >>> jobs = Jobs(warm=True)                                              # doctest: +SKIP
    >>> job = jobs.submit("spotlights", digest, {"size": 0.05}, watcher=me)  # doctest: +SKIP
    >>> job.state, job.fraction, job.message, len(job.partial())            # doctest: +SKIP
    >>> job.wait() and job.result()["weights"]                              # doctest: +SKIP

Each lane is a queue with its own workers, in which those who wait take turns: ``quick`` (imports, PCA:
what a first view waits for), ``compute`` (searches; ``workers`` of them) and ``background`` (UMAP, at
low priority). So a map appears while a search runs, and a minute of UMAP never holds up a search; two
searches side by side would only slow each other down, as one already uses all cores.
"""

from backend.jobs.job import Job, remaining_s
from backend.jobs.manager import Jobs, serving

__all__ = ["Job", "Jobs", "remaining_s", "serving"]
