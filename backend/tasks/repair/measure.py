"""The task "repair": what counting a group more in refitting the last layer would buy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import bundle_aside, group_codes
from backend.core.progress import Progress
from backend.core.sampling import random_rows
from backend.tasks.checks import check_count, check_layer, check_number, chosen_layer
from backend.tasks.repair.needs import (
    FEWEST_MEASURED,
    MOST_ROWS,
    check_kinds,
    check_rows,
    class_codes,
    records,
    repair_needs,
    training_part,
    worst_codes,
)
from backend.tasks.repair.origin import VARIATIONS
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle


def run_repair(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """What ``repair_group`` finds of rows ``members`` of a bundle.

    Arrays: ``right`` (arms, n) float32, in the order of ``meta["arms"]``. ``table`` and ``gains`` are
    records of the frames of ``GroupRepair``; ``verdicts`` has one per strength; ``chosen_by_loss``
    says that the members were chosen by how the model did and are measured all the same. With examples
    of another bundle ``made`` has how many, ``n``, and how many were left out.
    """
    from backend.repair import repair_group, repair_verdict

    bundle = chosen_layer("repair", bundle, options)
    began = time.perf_counter()
    progress(0.0, "reading the embeddings")
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    members = np.unique(np.asarray(options["members"], np.int64))
    if members[-1] >= bundle.n:
        raise InputError(f"members must be rows below {bundle.n}: got {members[-1]}.")
    imported = options["debug"] not in ("", VARIATIONS)
    measurable, by_loss = _measurable(bundle, options, members, imported=imported)
    debug, left_out = _debug(bundle, options["debug"])
    rows = np.arange(bundle.n)
    if bundle.n > MOST_ROWS:
        kept = random_rows(len(members), MOST_ROWS // 2, among=members)
        others = random_rows(bundle.n, MOST_ROWS - len(kept), among=np.setdiff1d(rows, members))
        rows = np.sort(np.concatenate([kept, others]))
    together = options["groups"]
    worst = options["worst_of"]
    found = repair_group(
        np.asarray(bundle.embeddings[rows], np.float32),
        class_codes(bundle.label_codes)[rows],
        np.flatnonzero(np.isin(rows, members)),
        predictions=class_codes(bundle.prediction_codes)[rows],
        train=training_part(bundle) if options["train"] else None,
        debug=debug,
        measurable=None if measurable is None else measurable[rows],
        together=None if together is None else group_codes(bundle, together)[rows],
        worst_of=None if worst is None else worst_codes(bundle, worst)[rows],
        strengths=options["strengths"],
        seeds=options["seeds"],
        key=bundle.content,
        progress=progress,
    )
    right = np.full((len(found.right), bundle.n), np.nan, np.float32)
    for line, held in zip(right, found.right.values(), strict=True):
        line[rows] = held
    return {"right": right}, {
        "version": TASK.version,
        "arms": [list(arm) for arm in found.right],
        "table": records(found.table),
        "gains": records(found.gains),
        "verdicts": {f"{one:g}": repair_verdict(found, one) for one in options["strengths"]},
        "sizes": {
            "rows": len(rows),
            "refit": found.n_refit,
            "counted": found.n_counted,
            "measured": found.n_measured,
            "balanced": found.n_balanced,
        },
        "chosen_by_loss": by_loss,
        "aside": measurable is not None,
        "made": None if not imported else {"n": len(debug[1]), "left_out": left_out},
        "outcomes": found.outcomes,
        "seconds": time.perf_counter() - began,
    }


def _debug(bundle: Bundle, asked: str) -> tuple[Any, int]:
    """What counts in place of the group: nothing else, its variations, or another bundle's examples.

    Examples that the bundle has itself are left out, and counted: they would be measured too.
    """
    from backend.bundle import open_bundle
    from backend.repair import vary_group

    if not asked:
        return None, 0
    if asked == VARIATIONS:
        return lambda x, y, seed: vary_group(x, y, seed=seed), 0
    other = open_bundle(asked)
    if other.d != bundle.d:
        raise InputError(
            f"the examples of '{other.name}' must have the {bundle.d} dimensions of this bundle's "
            f"embeddings: they have {other.d}. Take both from the same layer of one model."
        )
    if other.label_names is None or bundle.class_names is None:
        raise InputError(f"bundle '{other.name}' has no labels: what is to count needs them.")
    labels = np.asarray(other.label_names, dtype=np.str_)
    names = tuple(bundle.class_names)
    unknown = sorted(set(labels.tolist()) - set(names))
    if unknown:
        raise InputError(
            f"labels of '{other.name}' must be classes of this bundle: {unknown[0][:60]!r} is none."
        )
    place = {name: code for code, name in enumerate(names)}
    rows = np.sort(random_rows(other.n, MOST_ROWS))
    given = np.ascontiguousarray(other.embeddings[rows], np.float32)
    own = {one.tobytes() for one in np.ascontiguousarray(bundle.embeddings, np.float32)}
    new = np.array([one.tobytes() not in own for one in given], bool)
    if not new.any():
        raise InputError(
            f"'{other.name}' has the examples of this bundle: what measures a repair cannot be what it "
            "is made with. Take examples that were made or collected beside them."
        )
    codes = np.array([place[name] for name in labels[rows][new]], np.int64)
    return (given[new], codes), int((~new).sum())


def _measurable(
    bundle: Bundle, options: Options, members: NDArray[np.int64], *, imported: bool
) -> tuple[NDArray[np.bool_] | None, bool]:
    """Rows that may measure, None for all; and whether members chosen by losses measure, too.

    With examples of another bundle only rows kept aside may: the others may have had a part in them.
    """
    measurable = np.ones(bundle.n, bool)
    if options["aside"] or imported:
        measurable = bundle_aside(bundle, options["groups"])
    used = np.asarray(options["used"], np.int64)
    measurable[used[used < bundle.n]] = False
    if measurable.all():
        return None, False
    left = int(measurable[members].sum())
    if left >= FEWEST_MEASURED:
        return measurable, False
    if imported:
        raise InputError(
            f"made examples are measured on {FEWEST_MEASURED} members of the group that are kept aside, "
            f"or more: this group of {len(members):,} has {left}. Take a larger group."
        )
    return None, True


def repair_options(
    bundle: Bundle,
    members: NDArray[np.int64],
    used: NDArray[np.bool_] | None,
    groups: str | None = None,
) -> Options:
    """Options that say which group is repaired and which rows cannot measure it.

    Parameters
    ----------
    bundle : Bundle
    members : int array
        Rows of the group.
    used : bool array of shape (n,), or None
        Rows whose losses had a say in who is a member; None where no loss had.
    groups : str, optional
        A column whose rows of one value stay on one side.
    """
    options: Options = {"members": np.sort(members).tolist(), "groups": groups}
    if used is None:
        return options
    if np.array_equal(used, ~bundle_aside(bundle, groups)):
        return options | {"aside": True}
    return options | {"used": np.flatnonzero(used).tolist()}


def _check_repair(options: Options) -> None:
    check_layer(options)
    for name in ("members", "used"):
        check_rows(options, name)
    if not options["members"]:
        raise InputError("members must name at least one row: got none.")
    if not isinstance(options["strengths"], list | tuple):
        raise InputError(f"strengths must be a list: got {type(options['strengths']).__name__}.")
    if not 1 <= len(options["strengths"]) <= 12:
        raise InputError(f"strengths must be 1 to 12 numbers: got {len(options['strengths'])}.")
    for strength in options["strengths"]:
        check_number("a strength", strength, above=0)
    check_kinds(options, ("aside", "train"), ("groups", "worst_of"))
    if not isinstance(options["debug"], str):
        raise InputError(f"debug must be text: got {options['debug']!r}.")
    check_count("seeds", options["seeds"], 2, 20)


TASK = Task(
    "backend.tasks.repair.measure:run_repair",
    version=4,
    defaults={
        "members": [],
        "aside": False,
        "used": [],
        "groups": None,
        "worst_of": None,
        "train": False,
        "debug": "",
        "strengths": [0.1, 0.25, 0.5, 1.0, 2.0],
        "seeds": 5,
        "layer": "",
    },
    check=_check_repair,
)
