"""Long work on screen: what is being done, how far, how long still, and a way to stop."""

from __future__ import annotations

import streamlit as st

from backend.core.errors import BackendError
from backend.jobs import Job
from pages.components.shared import services, text
from pages.components.shared.notice import notify

RUNNING = ("queued", "running")
POLL_S, SLOWEST_POLL_S = 0.5, 3.0
TIMED_FROM = 0.02
"""What must be done of most work before its pace says how long it takes."""


def show_progress(job: Job, *, what: str, key: str, timed_from: float = TIMED_FROM) -> bool:
    """Show a job until it ends; True when its result is there.

    While it runs only this part of the page polls; the end reruns the page once. A job that
    failed or was cancelled shows why, and a way to start it again. ``what`` may hold names from data;
    ``timed_from`` is the fraction from which on the time left is said.
    """
    said = text.plain(what)
    if job.state == "done":
        return True
    if job.state in RUNNING and not job.left(services.watcher()):
        st.fragment(_poll, run_every=_pace(job))(job.key, what, key, timed_from)
        return False
    if job.state in RUNNING:
        st.info(f"{said}: you stopped waiting. It goes on for somebody else.")
    elif job.state == "cancelled":
        kept = " What was found before is kept." if job.partial() else ""
        st.info(f"{said}: cancelled.{kept}", icon=":material/cancel:")
    else:
        st.error(f"{said}: {text.plain(job.error or '', limit=2000)}", icon=":material/error:")
        if job.detail:
            with st.expander("Details"):
                st.code(job.detail, language=None)
    st.button(
        "Wait for it" if job.state in RUNNING else "Start again",
        key=f"again_{key}",
        icon=":material/refresh:",
        on_click=_retry,
        args=(job,),
    )
    return False


def _retry(job: Job) -> None:
    try:
        services.retry(job)
    except BackendError as error:
        notify(text.plain(error, limit=400), ":material/error:")


def _pace(job: Job) -> float:
    """Seconds between two looks at a job: longer where many wait, who would leave it no time."""
    return min(SLOWEST_POLL_S, max(POLL_S, len(job.waiting) / 10))


def _line(job: Job, what: str, timed_from: float) -> str:
    """What is being done, and how long still where the pace so far says that."""
    line, left = f"{what}: {job.message or 'waiting for a worker'}", job.eta_s
    if left and job.fraction > timed_from:
        line += f", {'' if left < 1 else 'about '}{text.duration(left)} left"
    return line


def _poll(job_key: str, what: str, key: str, timed_from: float) -> None:
    job = services.job(job_key)
    if job is None or job.state not in RUNNING or job.left(services.watcher()):
        st.rerun()
        return
    job.watch(services.watcher())
    seen = f"_parts_{key}"
    parts = len(job.partial())
    if parts != st.session_state.get(seen, parts):
        st.session_state[seen] = parts
        st.rerun()
    st.session_state[seen] = parts
    line = _line(job, what, timed_from)
    with st.container(key=f"job_{job.id}"):  # the same name wherever the same job is watched
        bar, stop = st.columns([6, 1], vertical_alignment="center")
    bar.progress(min(1.0, max(0.0, job.fraction)), text=text.plain(line, limit=160))
    # A callback, because a click that arrives just when a region does must not be lost to the rerun.
    stop.button("Cancel", key=f"cancel_{key}", width="stretch", on_click=_cancel, args=(job,))


def _cancel(job: Job) -> None:
    job.cancel(services.watcher())


def follow(job: Job, *, what: str) -> None:
    """One quiet line on work nobody waits for. It never changes the rest of the page."""
    if job.state in RUNNING:
        _follow(job.key, what)
    else:
        st.caption(_state(job, what), width="content")


@st.fragment(run_every=2)
def _follow(job_key: str, what: str) -> None:
    job = services.job(job_key)
    if job is None:
        return
    job.watch(services.watcher())
    st.caption(_state(job, what), width="content")


def _state(job: Job, what: str) -> str:
    if job.state in RUNNING:
        return f"{what}: being computed"
    return f"{what}: ready" if job.state == "done" else f"{what}: {job.state}"
