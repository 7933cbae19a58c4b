"""The task "repair": what counting a group more in refitting the last layer would buy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.parts import bundle_aside, group_codes
from backend.core.progress import Progress, share_of
from backend.core.sampling import random_rows
from backend.core.wording import DASH, percent, percent_range
from backend.tasks.checks import (
    check_count,
    check_layer,
    check_number,
    chosen_layer,
    needs_bundle,
)
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.bundle import Bundle, BundleInfo
    from backend.cache import Entry

MOST_ROWS = 60_000
"""Examples of a bundle that take part; of more, all members of the group and others by lot."""
MOST_TRAIN = 100_000
"""Training examples that refit; of more, a sample."""
MOST_GROUPS = 1_000
"""Values of a column of which the worst is told."""
HOW = "repaired: "
"""How a bundle that a repair made says how it was made."""
REFITTED = "refitted: the last layer"
"""How its control says so."""
VARIATIONS = "variations"
"""Stands for Gaussian variations of the group where another bundle's digest could."""
MADE = "made: "
"""How a bundle of examples that were made for a repair says so."""
FEWEST_MEASURED = 10
"""Members that no loss has chosen, from which on only such are measured."""


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


def run_repaired(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Keep a new bundle with the answers of the repaired head; ``meta["digest"]`` names it.

    Beside it the plain refit of the same halves is kept, ``meta["control"]``: what refitting alone
    changes, against which the repair is held when it is compared with this bundle.

    It has the same examples, embeddings, labels and columns; predictions, probabilities and losses are
    those of ``repaired_outputs``; populations ``before`` and ``repaired`` hold both models' answers, and
    ``made_from`` the digest of this bundle and how it was made. What belongs to the old model alone
    (gradients, attribution, confidence over training, the training part) is left out.
    """
    from backend.bundle import UNCHANGED
    from backend.repair import repaired_outputs

    whole = needs_bundle("repaired", bundle)
    bundle = whole.at_layer(options["layer"])
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    if bundle.n > MOST_ROWS:
        raise InputError(
            f"a repaired bundle can be kept of at most {MOST_ROWS:,} examples: this one has "
            f"{bundle.n:,}. Refit the head in your own code, and import what it says."
        )
    together = options["groups"]
    embeddings = np.asarray(bundle.embeddings, np.float32)
    train = training_part(bundle) if options["train"] else None

    def answers(strength: float, low: float, high: float) -> NDArray[np.float64]:
        return repaired_outputs(
            embeddings,
            class_codes(bundle.label_codes),
            np.asarray(options["members"], np.int64),
            strength=strength,
            n_classes=len(bundle.class_names or ()),
            train=train,
            together=None if together is None else group_codes(bundle, together),
            key=bundle.content,
            progress=share_of(progress, low, high),
        )

    log_p = answers(options["strength"], 0.0, 0.35)
    plain = answers(0.0, 0.35, 0.7)
    told = options["what"][:200]
    strength = f"{options['strength']:g}"
    progress(0.7, "writing the bundles")
    control = _keep_refit(
        (whole, bundle, plain),
        (f"{whole.name[:80]}, plain refit", f"{REFITTED}, nothing counting more, beside {told}"),
        UNCHANGED,
        options["owner"],
        share_of(progress, 0.7, 0.85),
    )
    kept = _keep_refit(
        (whole, bundle, log_p),
        (
            f"{whole.name[:80]}, repaired ×{strength}",
            f"{HOW}{told} counts x{strength} in refitting the last layer",
        ),
        control.digest,
        options["owner"],
        share_of(progress, 0.85, 1.0),
    )
    return {}, {"digest": kept.digest, "name": kept.name, "control": control.digest}


def _keep_refit(
    said: tuple[Bundle, Bundle, NDArray[np.float64]],
    called: tuple[str, str],
    beside: str,
    owner: str,
    progress: Progress,
) -> Bundle:
    """Import what a refitted head says of a bundle, under a name and with how it was made."""
    import tempfile
    from pathlib import Path

    from backend.bundle import import_bundle, write_bundle

    whole, bundle, log_p = said
    names = np.asarray(bundle.class_names, dtype=np.str_)
    labels, after = class_codes(bundle.label_codes), names[log_p.argmax(axis=1)]
    given = whole.fields()
    held = ("embeddings", "layers", "examples", "images")
    fields: dict[str, Any] = {name: given[name] for name in held if name in given}
    fields |= {
        "labels": names[labels],
        "predictions": after,
        "probabilities": np.exp(log_p).astype(np.float32),
        "losses": -log_p[np.arange(len(labels)), labels],
        "classes": tuple(names.tolist()),
        "populations": {
            "before": names[class_codes(bundle.prediction_codes)][None],
            "repaired": after[None],
        },
        "made_from": np.array([bundle.digest, called[1], beside]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write_bundle(Path(folder) / "repaired.zip", **fields)
        return import_bundle(path, name=called[0], owner=owner, progress=progress)


def origin_of(bundle: Bundle) -> tuple[str, str] | None:
    """Digest of the bundle that this one was made from, and how; None where it does not say."""
    told = bundle.extras.get("made_from")
    if told is None or not len(told):
        return None
    return str(told[0]), str(told[1]) if len(told) > 1 else ""


def repair_needs(bundle: Bundle) -> str:
    """Why nothing can be repaired here; "" where it can."""
    if bundle.label_codes is None or bundle.prediction_codes is None:
        return (
            "A repair refits the last layer and counts what comes out right: it needs labels and "
            "predictions that are classes, beside the embeddings."
        )
    if len(np.unique(class_codes(bundle.label_codes))) < 2:
        return "A repair needs two classes or more among the labels: there is one."
    return ""


def has_training_part(bundle: Bundle) -> bool:
    """Whether the training set is there to refit on: its embeddings and labels, of this layer."""
    return (
        not bundle.layer
        and {"embeddings", "labels"} <= set(bundle.train)
        and bundle.class_names is not None
    )


def training_part(bundle: Bundle) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings and label codes of the training set; a sample of a large one.

    Raises
    ------
    InputError
        If it is not there, or a label is none of the bundle's classes.
    """
    from backend.bundle.losses import codes_of

    if not has_training_part(bundle) or bundle.class_names is None:
        raise InputError(
            "to refit on the training set a bundle needs train/embeddings and train/labels: this one "
            "does not have both, for this layer."
        )
    given = bundle.train["labels"]
    codes, unknown = codes_of(given, bundle.class_names)
    if unknown is not None:
        raise InputError(
            f"train/labels must be classes of the bundle: {str(given[unknown])[:60]!r} is none."
        )
    embeddings = bundle.train["embeddings"]
    rows = np.sort(random_rows(len(embeddings), MOST_TRAIN))
    return np.asarray(embeddings[rows], np.float32), np.asarray(codes[rows], np.int64)


def worst_codes(bundle: Bundle, name: str) -> NDArray[np.int64]:
    """A column as groups, from 0; those of numbers are ranges."""
    from backend.tasks.populations import category_column

    codes, values = pd.factorize(category_column(bundle, name).astype(str))
    if len(values) > MOST_GROUPS:
        raise InputError(f"worst_of must name a column of groups: {name!r} has {len(values):,}.")
    return codes.astype(np.int64)


def worst_label(bundle: Bundle) -> NDArray[np.int64]:
    """The label that fails most among the rows that are not kept aside: all its rows.

    Kept-aside rows then measure it, so that it was not chosen by what measures it.
    """
    labels, wrong = class_codes(bundle.label_codes), ~np.asarray(bundle.correct)
    looked = ~bundle_aside(bundle)
    counts = np.bincount(labels[looked])
    rates = np.bincount(labels[looked], weights=wrong[looked]) / np.maximum(counts, 1)
    rates[counts < min(FEWEST_MEASURED, counts.max())] = -1
    return np.flatnonzero(labels == int(rates.argmax()))


def repair_frames(kept: Entry) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``table`` and ``gains`` of a result; undefined numbers are NaN."""
    frames = []
    for name in ("table", "gains"):
        frame = pd.DataFrame(kept.meta[name])
        numbers = [one for one in frame if one not in ("arm", "part", "against")]
        frames.append(frame.astype(dict.fromkeys(numbers, float)))
    return frames[0], frames[1]


def changed_rows(kept: Entry, strength: float) -> dict[str, NDArray[np.int64]]:
    """Examples that come out otherwise when the group counts more, beside the plain refit.

    Returns
    -------
    dict
        ``repaired``: wrong in most splits of the plain refit, right in most when the group counts
        more; ``broken``: the other way round. Largest change first, ties by row.
    """
    from backend.repair.tally import REFIT, TARGETED

    arms = [tuple(arm) for arm in kept.meta["arms"]]
    after = kept["right"][arms.index((TARGETED, strength))].astype(np.float64)
    base = kept["right"][arms.index((REFIT, 0.0))].astype(np.float64)
    change = np.nan_to_num(after - base)
    order = np.argsort(-np.abs(change), kind="stable")
    up = (base < 0.5) & (after > 0.5)
    down = (base > 0.5) & (after < 0.5)
    return {"repaired": order[up[order]], "broken": order[down[order]]}


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


def strength_lines(kept: Entry, strength: float, counts: str = "the group") -> pd.DataFrame:
    """The arms of a result at one strength, with what they get right as text.

    ``counts`` says what counted more. Columns: ``what``, then one per part (``PARTS`` of
    ``backend.repair.gain``): "63 % (58 to 68 %)".
    """
    from backend.repair.tally import ARMS, PARTS, TARGETED

    table = repair_frames(kept)[0]
    lines = []
    for arm in ARMS:
        own = table[(table["arm"] == arm) & table["strength"].isin([0.0, strength])]
        if own.empty:
            continue
        cells = {
            str(
                one["part"]
            ): f"{percent(one['accuracy'])} ({percent_range(one['low'], one['high'])})"
            for _, one in own.iterrows()
        }
        what = f"{counts} counts more" if arm == TARGETED else arm
        lines.append({"what": what, **{part: cells.get(part, DASH) for part in PARTS}})
    return pd.DataFrame(lines, columns=["what", *PARTS])


def gain_words(kept: Entry, strength: float) -> dict[str, str]:
    """What the group and the others gain at one strength, in percentage points with intervals.

    Returns
    -------
    dict
        ``refit`` and ``random``, of the group against these; ``others``, of the others against the
        plain refit; ``harm``: "yes" where the interval of the others lies below 0, else "".
    """
    from backend.repair.tally import GROUP, RANDOM, REFIT, REST

    gains = repair_frames(kept)[1]
    gains = gains[gains["strength"] == strength]

    def of(part: str, against: str) -> pd.Series:
        return gains[(gains["part"] == part) & (gains["against"] == against)].iloc[0]

    others = of(REST, REFIT)
    return {
        "refit": _points(of(GROUP, REFIT)),
        "random": _points(of(GROUP, RANDOM)),
        "others": _points(others),
        "harm": "yes" if others["high"] < 0 else "",
    }


def _points(line: pd.Series) -> str:
    """A change of accuracy: +14.2 points (7.4 to 21.0)."""
    if not np.isfinite(line["gain"]):
        return DASH
    words = f"{100 * line['gain']:+.1f} points".replace("-", "\u2212")
    if not np.isfinite(line["low"]):
        return f"{words} (too few to give an interval)"
    low, high = (f"{100 * line[end]:.1f}".replace("-", "\u2212") for end in ("low", "high"))
    return f"{words} ({low} to {high})"


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


def debug_bundles(bundle: Bundle, known: Iterable[BundleInfo]) -> dict[str, str]:
    """Digest and name of the imported bundles whose embeddings have this one's dimensions.

    Those that were made for a repair of this one come first; those that hold its examples with other
    answers, as a repair keeps them, are left out.
    """
    from backend.bundle import made_from

    made, others = {}, {}
    for one in known:
        if one.d != bundle.d or one.digest == bundle.digest:
            continue
        origin = made_from(one.digest)
        how = origin[1] if len(origin) > 1 else ""
        if how.startswith(MADE) and origin[0] == bundle.digest:
            made[one.digest] = one.name
        elif not how.startswith((HOW, REFITTED)):
            others[one.digest] = one.name
    return made | others


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


def class_codes(codes: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Codes of classes that a task stands on.

    Raises
    ------
    InputError
        If there are none.
    """
    if codes is None:
        raise InputError("labels and predictions must be classes.")
    return codes


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of a frame for JSON, None where a number is undefined."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in one.items()} for one in plain.to_dict("records")]


def _check_repair(options: Options) -> None:
    check_layer(options)
    for name in ("members", "used", "strengths"):
        if not isinstance(options[name], list | tuple):
            raise InputError(f"{name} must be a list: got {type(options[name]).__name__}.")
    if not options["members"]:
        raise InputError("members must name at least one row: got none.")
    for name in ("members", "used"):
        for row in options[name]:
            check_count(f"a row of {name}", row, 0, 2**40)
    if not 1 <= len(options["strengths"]) <= 12:
        raise InputError(f"strengths must be 1 to 12 numbers: got {len(options['strengths'])}.")
    for strength in options["strengths"]:
        check_number("a strength", strength, above=0)
    _check_kinds(options, ("aside", "train"), ("groups", "worst_of"))
    if not isinstance(options["debug"], str):
        raise InputError(f"debug must be text: got {options['debug']!r}.")
    check_count("seeds", options["seeds"], 2, 20)


def _check_kinds(options: Options, truths: tuple[str, ...], columns: tuple[str, ...]) -> None:
    for name in truths:
        if not isinstance(options[name], bool):
            raise InputError(f"{name} must be true or false: got {options[name]!r}.")
    for name in columns:
        if options[name] is not None and not isinstance(options[name], str):
            raise InputError(f"{name} must name a column or be None: got {options[name]!r}.")


def _check_repaired(options: Options) -> None:
    check_layer(options)
    if not isinstance(options["members"], list | tuple) or not options["members"]:
        raise InputError("members must be a list of at least one row.")
    for row in options["members"]:
        check_count("a row of members", row, 0, 2**40)
    check_number("strength", options["strength"], above=0)
    _check_kinds(options, ("train",), ("groups",))
    for name in ("of", "what", "owner"):
        if not isinstance(options[name], str):
            raise InputError(f"{name} must be text: got {options[name]!r}.")


TASK = Task(
    "backend.tasks.repair:run_repair",
    version=3,
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
REPAIRED = Task(
    "backend.tasks.repair:run_repaired",
    version=2,
    defaults={
        "of": "",
        "members": [],
        "groups": None,
        "train": False,
        "strength": 0.5,
        "what": "a group",
        "owner": "",
        "layer": "",
    },
    check=_check_repaired,
    # What it makes can be deleted: a finished one is done again, and finds the bundle if it is there.
    source=lambda options: str(options["of"]),
)
