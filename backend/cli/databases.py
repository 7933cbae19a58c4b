"""Moving what is stored to another database."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from backend.cli.report import Report, StderrProgress
from backend.core.plural import counted
from backend.store import move_database


def move(options: Namespace) -> Report:
    """Move tags, sharing and sign-ins to an empty database.

    Raises
    ------
    InputError
        If that holds something already, or is the one they are in.
    """
    moved = move_database(options.to, options.origin, options.home, progress=StderrProgress())
    rows = ", ".join(f"{name} {count:,}" for name, count in moved.rows.items())
    return Report(
        asdict(moved),
        f"{counted(sum(moved.rows.values()), 'row')} moved from {moved.origin} to {moved.target}, every value "
        f"compared ({rows}).\nName it in ERRORSCOPE_DATABASE and start the server. {moved.origin} was left as "
        "it was; what is written there from now on stays there.",
    )
