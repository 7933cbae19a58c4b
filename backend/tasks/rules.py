"""Rules that take longer than a page may wait: their pieces, worked out in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.core.errors import InputError
from backend.core.progress import Progress
from backend.rules.syntax import MAX_LENGTH
from backend.tasks.checks import check_layer, chosen_layer
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

MAX_PIECES = 20_000


def _check(options: Options) -> None:
    check_layer(options)
    pieces = options["pieces"]
    if not isinstance(pieces, list | tuple) or len(pieces) > MAX_PIECES:
        raise InputError(f"pieces must be a list of at most {MAX_PIECES:,} rules.")
    for one in pieces:
        if not isinstance(one, str) or len(one) > 2 * MAX_LENGTH:
            raise InputError(f"a piece must be a rule: got {str(one)[:80]!r}.")


def run_rules(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """What each piece of ``backend.rules.left_to_worker`` comes to, in their order."""
    from backend.rules.kept import Budget
    from backend.rules.pieces import work_out

    chosen = chosen_layer("rules", bundle, options)
    pieces, at = list(options["pieces"]), 0

    def done(count: int) -> None:
        nonlocal at
        at = count
        look()

    def look() -> None:
        progress(at / max(1, len(pieces)), f"clause {at + 1} of {len(pieces)}")

    answers = work_out(pieces, chosen, Budget(report=look), done)
    return {f"piece-{k}": answer for k, answer in enumerate(answers)}, {"pieces": len(pieces)}


TASK = Task(
    "backend.tasks.rules:run_rules",
    version=1,
    defaults={"pieces": [], "layer": ""},
    check=_check,
    lane=lambda options: "quick",
)
