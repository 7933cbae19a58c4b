"""Rules on a page: cheap ones are worked out in its run, the others by a worker while it waits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import streamlit as st

from backend.bundle import Bundle
from backend.rules import keep_pieces, left_to_worker
from pages.components.shared import services
from pages.components.shared.waiting import show_progress


def ready(bundle: Bundle, rules: Iterable[str], *, key: str) -> bool:
    """Whether everything is known that these rules need; else how far that is, with a way to stop.

    What was asked for under the same ``key`` before and is not wanted any more is given up.
    """
    pieces = left_to_worker(rules, bundle)
    before = services.job(st.session_state.get(f"_ruled_{key}", ""))
    job = None
    if pieces:
        job = services.ask("rules", bundle.digest, pieces=pieces, layer=bundle.layer)
        st.session_state[f"_ruled_{key}"] = job.key
    if before is not None and not before.ended and before is not job:
        before.cancel(services.watcher())
    if job is None:
        return True
    if not show_progress(job, what="Working out the rules", key=f"rules_{key}"):
        return False
    arrays = job.result().arrays
    keep_pieces(pieces, [np.array(arrays[f"piece-{at}"]) for at in range(len(pieces))], bundle)
    return True
