"""The task "before_after": every group of two runs on the same examples, with its change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.before_after import (
    AFTER,
    BEFORE,
    BETTER,
    WORSE,
    PairedChange,
    change_verdicts,
    changes_of_seeds,
    common_direction,
    paired_change,
    usual_direction,
)
from backend.cache import Cache
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.core.progress import Progress, share_of
from backend.core.wording import number, percent
from backend.store import Store
from backend.tasks.changes import EVERYTHING, change_words
from backend.tasks.checks import needs_bundle
from backend.tasks.compared_groups import (
    LABEL,
    REGION_AFTER,
    REGION_BEFORE,
    ComparedGroup,
    asked_groups,
    found_regions,
    plain_groups,
    tagged_groups,
)
from backend.tasks.table import TASKS
from backend.tasks.task import Arrays, Meta, Options, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

Rows = NDArray[np.int64]
NUMBERS = (
    *("n", "error_before", "error_after", "failed", "repaired"),
    *("error_change", "error_low", "error_high"),
    *("loss_before", "loss_after", "loss_change", "loss_low", "loss_high", "p"),
)


def run_before_after(
    bundle: Bundle | None,
    options: Options,
    progress: Progress,
    part: WritePart,
    *,
    home: str | None = None,
) -> tuple[Arrays, Meta]:
    """Compare a bundle with an older one, group by group.

    Options
    -------
    before : str
        Digest of the older run.
    control : str
        Digest of the control, the run before made anew with nothing changed; "" for none.
    log : int
        ``seq`` of the event up to which tags, names and hypotheses count; 0 for all there are.

    Returns
    -------
    arrays, meta
        ``members`` and ``measured``: rows of this bundle, group after group, which end at
        ``member_ends`` and ``measured_ends``; ``failed`` and ``repaired``: rows that are newly wrong
        and newly right, largest change of the loss first. ``meta["table"]`` are records, the surest to
        be worse first; ``change_table`` reads them.
    """
    from backend.bundle import open_bundle

    after = needs_bundle("before_after", bundle).at_layer("")
    began = time.perf_counter()
    progress(0.0, "Matching the examples")
    runs = _Runs.matched(
        open_bundle(options["before"], home),
        after,
        open_bundle(options["control"], home) if options["control"] else None,
    )
    cache = Cache(home)
    store = Store(home=home, until=options["log"] or None)
    try:
        groups = [*plain_groups(after)]
        for place, (of, run) in enumerate(((BEFORE, runs.before), (AFTER, after))):
            step = share_of(progress, 0.05 + 0.4 * place, 0.45 + 0.4 * place)
            groups += found_regions(run, of, store, cache, step)
        progress(0.85, "Comparing every group")
        known = set()
        for of, run in ((BEFORE, runs.before), (AFTER, after)):
            for one in [*tagged_groups(run, of, store), *asked_groups(run, of, store)]:
                same = (one.kind, one.name, runs.places(one, one.members).tobytes())
                if same not in known:  # carried over, and told once
                    known.add(same)
                    groups.append(one)
    finally:
        store.close()
    lines, members, measured, together = _compared(runs, groups)
    failed, repaired = runs.newly()
    progress(1.0, "Comparing every group")
    return {
        "members": np.concatenate(members),
        "member_ends": np.cumsum([len(one) for one in members]),
        "measured": np.concatenate(measured),
        "measured_ends": np.cumsum([len(one) for one in measured]),
        "failed": failed,
        "repaired": repaired,
    }, {
        "version": TASKS["before_after"].version,
        "options": options,
        "before": runs.before.name,
        "control": "" if runs.control is None else runs.control.name,
        "n": len(runs.rows[AFTER]),
        "errors": runs.wrong is not None,
        "notes": list(runs.notes),
        "together": together,
        "sentence": _sentence(runs, lines, len(failed), len(repaired)),
        "table": lines,
        "seconds": time.perf_counter() - began,
    }


@dataclass(frozen=True)
class _Runs:
    """Two runs or three, and the rows of each that are the same examples, in one order."""

    before: Bundle
    after: Bundle
    control: Bundle | None
    rows: dict[str, Rows]
    at: dict[str, Rows]
    losses: dict[str, NDArray[np.float64]]
    wrong: dict[str, NDArray[np.bool_]] | None
    labels: NDArray[np.int64]
    notes: tuple[str, ...]

    @classmethod
    def matched(cls, before: Bundle, after: Bundle, control: Bundle | None) -> _Runs:
        from backend.bundle import shared_rows

        shared = shared_rows(before, after)
        rows = {BEFORE: shared.before, AFTER: shared.after}
        notes = list(shared.notes)
        if control is not None:
            third = shared_rows(before, control)
            place = np.full(before.n, -1)
            place[third.before] = third.after
            held = place[rows[BEFORE]] >= 0
            if not held.any():
                raise InputError("the control shares no example with the two runs.")
            if not held.all():
                notes.append(
                    f"The control has {int(held.sum()):,} of these examples; only they are compared."
                )
            rows = {name: own[held] for name, own in rows.items()}
            rows["control"] = place[rows[BEFORE]]
        runs = {BEFORE: before, AFTER: after} | ({} if control is None else {"control": control})
        correct = {name: run.correct for name, run in runs.items()}
        answered = {name: own for name, own in correct.items() if own is not None}
        if 0 < len(answered) < len(runs):
            notes.append("Labels and predictions are not in every run: only losses are compared.")
        at = {}
        for name in (BEFORE, AFTER):
            at[name] = np.full(runs[name].n, -1)
            at[name][rows[name]] = np.arange(len(rows[name]))
        return cls(
            before,
            after,
            control,
            rows,
            at,
            {name: run.losses[rows[name]] for name, run in runs.items()},
            None
            if len(answered) < len(runs)
            else {name: ~own[rows[name]] for name, own in answered.items()},
            np.zeros(len(rows[AFTER]), np.int64)
            if after.label_codes is None
            else after.label_codes[rows[AFTER]],
            tuple(notes),
        )

    def places(self, group: ComparedGroup, rows: Rows) -> Rows:
        """Where rows of the group's own run stand among the shared examples, ascending."""
        found = self.at[group.of][rows]
        return np.sort(found[found >= 0])

    def change(
        self, first: str, second: str, at: Rows, group: ComparedGroup, together: float = 0.0
    ) -> PairedChange:
        groups = None if group.groups is None else group.groups[self.rows[group.of][at]]
        answers: dict[str, Any] = {}
        if self.wrong is not None:
            answers = {
                "wrong_before": self.wrong[first][at],
                "wrong_after": self.wrong[second][at],
                "labels": self.labels[at],
            }
            if together and "control" in self.wrong:
                was, anew = self.wrong[BEFORE], self.wrong["control"]
                answers["most_together"] = changes_of_seeds(was, anew, self.labels, at)
        return paired_change(
            self.losses[first][at],
            self.losses[second][at],
            groups=groups,
            together=together,
            **answers,
        )

    def newly(self) -> tuple[Rows, Rows]:
        """Rows of this run that are newly wrong and newly right, largest change of the loss first."""
        if self.wrong is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        apart = self.losses[AFTER] - self.losses[BEFORE]
        was, now = self.wrong[BEFORE], self.wrong[AFTER]
        found = []
        for mask in (now & ~was, was & ~now):
            at = np.flatnonzero(mask)
            at = at[np.argsort(-np.abs(apart[at]), kind="stable")]
            found.append(self.rows[AFTER][at])
        return found[0], found[1]


def _compared(
    runs: _Runs, groups: list[ComparedGroup]
) -> tuple[list[dict[str, Any]], list[Rows], list[Rows], float]:
    """Records of the table with members and measured rows of each, the surest to be worse first."""
    inside = [runs.places(one, one.members) for one in groups]
    looked = [runs.places(one, one.measured) for one in groups]
    both = list(zip(groups, looked, strict=True))
    beside = control = None
    if runs.control is not None:
        control = [runs.change(BEFORE, "control", at, one) for one, at in both]
        together = common_direction(_of_labels(groups, control))
        beside = [runs.change("control", AFTER, at, one, together) for one, at in both]
    else:
        plain = [runs.change(BEFORE, AFTER, at, one) for one, at in both if one.kind == LABEL]
        together = float(np.nan_to_num(usual_direction(plain)))
    changes = [runs.change(BEFORE, AFTER, at, one, together) for one, at in both]
    found_by = [one.of if one.chosen else "" for one in groups]
    verdicts, adjusted = change_verdicts(changes, beside, found_by=found_by)
    nearest = _nearest(groups, inside)
    lines = []
    for at, (group, change) in enumerate(zip(groups, changes, strict=True)):
        numbers = change.to_dict()
        line: dict[str, Any] = {
            "kind": group.kind,
            "name": group.name,
            "of": group.of,
            "chosen": group.chosen,
            "members": len(inside[at]),
            **{name: numbers[name] for name in NUMBERS},
            "p_adjusted": None if np.isnan(adjusted[at]) else adjusted[at],
            "verdict": verdicts[at],
            "nearest": nearest[at][0],
            "shared": nearest[at][1],
        }
        for name, other in (("control", control), ("beside", beside)):
            if other is not None:
                line |= _shorter(name, other[at], runs.wrong is not None)
        lines.append(line)
    what = "error" if runs.wrong is not None else "loss"
    order = sorted(range(len(lines)), key=lambda at: _order(lines[at], what))
    rows = runs.rows[AFTER]
    return (
        [lines[at] for at in order],
        [rows[inside[at]] for at in order],
        [rows[looked[at]] for at in order],
        together,
    )


def _of_labels(
    groups: Sequence[ComparedGroup], changes: Sequence[PairedChange]
) -> list[PairedChange]:
    """Changes of the labels, by which it is told how far seeds move one; of what nobody chose without labels."""
    both = list(zip(groups, changes, strict=True))
    labels = [change for one, change in both if one.kind == LABEL]
    return labels or [change for one, change in both if not one.chosen]


def _sentence(runs: _Runs, lines: Sequence[Mapping[str, Any]], failed: int, repaired: int) -> str:
    """What changed in all, in two sentences."""
    what = "error" if runs.wrong is not None else "loss"
    whole = next(line for line in lines if line["kind"] == EVERYTHING)
    value = percent if runs.wrong is not None else number
    said = (
        f"From {value(whole[f'{what}_before'])} {'wrong' if what == 'error' else 'mean loss'} to "
        f"{value(whole[f'{what}_after'])} on {whole['n']:,} examples, "
        f"{change_words(whole, what, errors=what == 'error')}"
    )
    if runs.wrong is not None:
        said += f": {failed:,} fail newly, {repaired:,} are repaired"
    counts = {one: sum(line["verdict"] == one for line in lines) for one in (WORSE, BETTER)}
    beside = "" if runs.control is None else ", measured beside the run before made anew"
    return (
        f"{said}. Of {counted(len(lines), 'group')} {counts[WORSE]:,} got worse and "
        f"{counts[BETTER]:,} better{beside}."
    )


def _order(line: dict[str, Any], what: str) -> tuple[Any, ...]:
    """Everything first, then by the lower end of the change, the largest first; undefined ones last."""
    low = line[f"{what}_low"]
    return line["kind"] != EVERYTHING, low is None, -(low or 0.0)


def _shorter(name: str, change: PairedChange, errors: bool) -> dict[str, Any]:
    """Change, interval and p of another pair of runs, as columns that begin with a name."""
    told = change.to_dict()
    what = "error" if errors else "loss"
    ends = {f"{name}_{one}": told[f"{what}_{one}"] for one in ("change", "low", "high")}
    return ends | {f"{name}_p": told["p"]}


def _nearest(groups: list[ComparedGroup], inside: list[Rows]) -> list[tuple[str, float | None]]:
    """Of each region the one of the other run that holds most of it, and the share held."""
    others = {REGION_BEFORE: REGION_AFTER, REGION_AFTER: REGION_BEFORE}
    found: list[tuple[str, float | None]] = []
    for group, rows in zip(groups, inside, strict=True):
        best: tuple[str, float | None] = ("", None)
        for other, held in zip(groups, inside, strict=True):
            if group.kind in others and other.kind == others[group.kind] and len(rows):
                share = float(np.isin(rows, held).mean())
                if share > (best[1] or 0.0):
                    best = other.name, share
        found.append(best)
    return found
