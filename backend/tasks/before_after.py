"""The task "before_after": every group of two runs on the same examples, with its change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.before_after import (
    AFTER,
    BEFORE,
    BETTER,
    WORSE,
    PairedChange,
    change_verdicts,
    common_direction,
    paired_change,
)
from backend.cache import Cache
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.core.progress import Progress, share_of
from backend.core.wording import DASH, number, p_value, percent
from backend.store import Store
from backend.tasks.checks import needs_bundle
from backend.tasks.compared_groups import (
    EVERYTHING,
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
    from backend.cache import Entry

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
        Digest of an unchanged retrain of it with another seed; "" for none.
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
    lines, members, measured = _compared(runs, groups)
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
        "sentence": _sentence(runs, lines, len(failed), len(repaired)),
        "table": lines,
        "seconds": time.perf_counter() - began,
    }


def change_table(kept: Entry) -> pd.DataFrame:
    """The table of a result, one line per group; undefined numbers are NaN.

    Columns: ``kind``, ``name``, ``of`` (whose run it is from), ``chosen`` (whether that run's errors
    chose it), ``members``; the numbers of ``PairedChange``; ``p_adjusted``, ``verdict``; with a control ``control_change``, ``control_low`` and ``control_high``
    (from the run before to the control), ``beside_change``, ``beside_low``, ``beside_high`` and
    ``beside_p`` (from the control to this run); of regions ``nearest``, the region of the other run
    that holds most of it, and ``shared``, the share of its members there.
    """
    table = pd.DataFrame(kept.meta["table"])
    texts = ("kind", "name", "of", "chosen", "verdict", "nearest")
    numbers = [one for one in table if one not in (*texts, "members", "n", "failed", "repaired")]
    return table.astype(dict.fromkeys(numbers, float))


def change_cells(kept: Entry) -> pd.DataFrame:
    """The same table as people read it, for reports and commands.

    Columns: ``group``, ``members``, ``kept aside`` (those measured), ``before``, ``after``,
    ``difference`` with its interval, ``newly failing``, ``repaired``, with a control ``another seed``
    and ``to that seed``, ``p adjusted`` and ``verdict``. Error rates where there are any, else mean
    losses.
    """
    table, errors = change_table(kept), bool(kept.meta["errors"])
    what = "error" if errors else "loss"
    value = percent if errors else number
    lines = []
    for line in table.to_dict("records"):
        cells = {
            "group": group_words(line),
            "members": line["members"],
            "kept aside": line["n"],
            "before": value(line[f"{what}_before"]),
            "after": value(line[f"{what}_after"]),
            "difference": change_words(line, what, errors=errors),
        }
        if errors:
            cells |= {"newly failing": line["failed"], "repaired": line["repaired"]}
        if "control_change" in line:
            cells["another seed"] = change_words(line, "control", errors=errors)
            cells["to that seed"] = change_words(line, "beside", errors=errors)
        lines.append(
            cells | {"p adjusted": p_value(line["p_adjusted"], None), "verdict": line["verdict"]}
        )
    return pd.DataFrame(lines)


def group_words(line: Mapping[str, Any]) -> str:
    """What a line of the table is about: ``label: Coat``, ``region before: 2 dark coats``."""
    return str(line["name"]) if line["kind"] == EVERYTHING else f"{line['kind']}: {line['name']}"


def change_words(line: Mapping[str, Any], what: str, *, errors: bool) -> str:
    """One difference of a line with its interval: points of error rates, or losses as they are."""
    value, low, high = (line[f"{what}_{one}"] for one in ("change", "low", "high"))
    if value is None or not np.isfinite(value):
        return DASH
    said = f"{100 * value:+.1f} points" if errors else f"{value:+.3g}"
    if low is not None and np.isfinite(low):
        ends = [f"{100 * end:.1f}" if errors else f"{end:.3g}" for end in (low, high)]
        said += f" ({ends[0]} to {ends[1]})"
    return said.replace("-", "\u2212")


def group_rows(kept: Entry, index: int) -> Rows:
    """Rows of this bundle that are members of one line's group."""
    start = int(kept["member_ends"][index - 1]) if index else 0
    return np.asarray(kept["members"][start : int(kept["member_ends"][index])])


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
        answers = {}
        if self.wrong is not None:
            answers = {
                "wrong_before": self.wrong[first][at],
                "wrong_after": self.wrong[second][at],
            }
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
) -> tuple[list[dict[str, Any]], list[Rows], list[Rows]]:
    """Records of the table with members and measured rows of each, the surest to be worse first."""
    inside = [runs.places(one, one.members) for one in groups]
    looked = [runs.places(one, one.measured) for one in groups]
    together, beside, control = 0.0, None, None
    if runs.control is not None:
        control = [
            runs.change(BEFORE, "control", at, one) for one, at in zip(groups, looked, strict=True)
        ]
        unchosen = (c for c, one in zip(control, groups, strict=True) if not one.chosen)
        together = common_direction(unchosen)
        beside = [
            runs.change("control", AFTER, at, one, together)
            for one, at in zip(groups, looked, strict=True)
        ]
    changes = [
        runs.change(BEFORE, AFTER, at, one, together)
        for one, at in zip(groups, looked, strict=True)
    ]
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
    )


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
    beside = "" if runs.control is None else ", measured beside another seed of the run before"
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
