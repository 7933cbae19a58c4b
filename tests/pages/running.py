"""Pages run by Streamlit's AppTest: where the app is, and waiting for the work it asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from pages.components.shared import services

APP = str(Path(__file__).parents[2] / "app.py")
LONGEST_S = 400.0
_LOOK_S = 0.5


def ended(at: AppTest) -> AppTest:
    """Run the page again until no job is shown as running, and it did not break.

    A page runs for as long as a whole core lets it; run over and over, it would take that core from
    the workers it waits for. So it sleeps until one of them has ended its work, and looks in between.
    """
    deadline = time.monotonic() + LONGEST_S
    while at.get("progress") and time.monotonic() < deadline:
        while_it_works()
        at.run()
    assert not at.exception, [element.message for element in at.exception]
    assert not at.get("progress"), "a job did not end"
    return at


def while_it_works() -> None:
    """Sleep until a job has ended, at most half a second."""
    waiting = [job for job in list(services.jobs()._jobs.values()) if not job.ended]
    until = time.monotonic() + _LOOK_S
    while waiting and not any(job.ended for job in waiting) and time.monotonic() < until:
        time.sleep(0.01)


def texts(at: AppTest) -> str:
    """All that stands on the page, but tables and labels."""
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "header", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def components(at: AppTest, name: str) -> list[Any]:
    """What the page's components of this name were sent: ``map``, ``gallery``."""
    called = f"errorscope_{name}"
    return [one.proto for one in at.get("bidi_component") if one.proto.component_name == called]
