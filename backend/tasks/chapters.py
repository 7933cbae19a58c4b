"""Chapters of the report beyond the regions: the cause, words, a repair, as their pages show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.wording import number, p_value, percent
from backend.tasks.changes import tell_changes, tell_later

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.cache import Entry
    from backend.report import Chapter
    from backend.store import Store

LISTED = 8
"""Training examples of each end that are told."""
LINES = 12
"""Contexts that are told."""


@dataclass(frozen=True)
class ChapterRow:
    """A chapter: the task whose result it tells, what a page calls it, and what tells it."""

    task: str
    title: str
    tell: Callable[[Bundle, Entry, Mapping[str, Any]], Chapter]


def asked_chapters(
    bundle: Bundle,
    store: Store,
    *,
    cause: str | None = None,
    words: bool = False,
    lists: Sequence[str] = (),
    model: str | None = None,
    repair: str | None = None,
    strength: float = 0.5,
    before: str | None = None,
    known: Iterable[str] = (),
    home: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Chapters of a report for whoever has no page open: option ``chapters`` of the task ``report``.

    Parameters
    ----------
    bundle : Bundle
    store : Store
    cause, repair : str, optional
        Rules: whose examples training examples are looked for, and which are to count more.
    words : bool
        Whether words and columns that failures have more often are told.
    lists : sequence of str
        Lists of candidates (``backend.repair.LISTS``) for an image-text model, of which ``model`` is
        taken, by default the first that is installed.
    strength : float
        Of the repair, above 0; tried beside those of the page.
    before : str, optional
        Digest of an older run.
    known, home
        As for ``before_after_options``.

    Raises
    ------
    InputError
        If a rule cannot be read or means nobody, no model is installed, or an option is none.
    """
    from backend.imagetext.models import model_state, offered_models
    from backend.repair.gain import STRENGTHS
    from backend.report import Origins
    from backend.report.suggest import set_aside
    from backend.tasks.encoded import reads_of
    from backend.tasks.linked import before_after_options
    from backend.tasks.repair import has_training_part, repair_options

    found: dict[str, dict[str, Any]] = {}
    if cause is not None:
        rows = _meant(bundle, store, cause)
        found["cause"] = {"options": {"question": "rows", "rows": rows.tolist()}, "about": cause}
    if words:
        found["words"] = {"options": {}, "about": ""}
    if lists:
        offered = offered_models(reads_of(bundle))
        ready = [name for name, why in offered.items() if not why]
        if model is None and not ready:
            raise InputError(
                " ".join(offered.values()) or "The bundle has neither pictures nor texts to name."
            )
        chosen = model or ready[0]
        options = {"model": chosen, "state": model_state(chosen), "lists": list(lists)}
        found["named"] = {"options": options, "about": ""}
    if repair is not None:
        rows = _meant(bundle, store, repair)
        source = {"kind": "rule", "rule": repair}
        used = set_aside(bundle, source, rows, Origins(bundle, store))
        options = repair_options(bundle, rows, used) | {
            "train": has_training_part(bundle),
            "strengths": sorted({*STRENGTHS, strength}),
        }
        found["repair"] = {"options": options, "about": repair, "strength": strength}
    if before is not None:
        options = before_after_options(bundle, before, store, known, home=home)
        found["before_after"] = {"options": options, "about": ""}
    return found


def _meant(bundle: Bundle, store: Store, rule: str) -> NDArray[np.int64]:
    """Rows that a rule means, largest loss first."""
    from backend.core.groups import by_loss
    from backend.rules import evaluate

    mask = evaluate(rule, bundle, store.tags(bundle))
    if not mask.any():
        raise InputError(f"the rule {rule[:80]!r} means no example of '{bundle.name}'.")
    return by_loss(mask, bundle.losses)


def agreement_words(meta: Mapping[str, Any]) -> str:
    """Whether a ranking of training examples repeats, as a sentence; of the task ``attribution``."""
    found = meta["agreement"]
    if found is None and meta["method"] == "influence":
        return (
            "Without a projection, so nothing of the ranking is due to one; a group of a single example has "
            "no halves to compare."
        )
    if found is None or found["correlation"] is None:
        return "Whether the ranking repeats cannot be said: a group has a single example."
    what = (
        "Two projections of the gradients, each half of the stored one,"
        if found["of"] == "projections"
        else "Two random halves of the examples"
    )
    return (
        f"{what} rank the training examples with a correlation of {number(found['correlation'])}; of the "
        f"{found['top']} most harmful they share {percent(found['harmful'])}, of the most helpful "
        f"{percent(found['helpful'])}."
    )


def mostly_chance(meta: Mapping[str, Any]) -> bool:
    """Whether two projections agree so little that which examples come first is mostly chance."""
    from backend.attribution.agreement import LEAST

    found = meta["agreement"] or {}
    correlation = found.get("correlation")
    return found.get("of") == "projections" and (correlation is None or correlation < LEAST)


def _cause(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    from backend.bundle.training import training_of
    from backend.report import Chapter
    from backend.tasks.attribution import METHODS
    from backend.tasks.removal import training_labels

    meta = made.meta
    told = [
        f"Asked: {asked['about']}. {METHODS[meta['method']]}. {' '.join(meta['how'])}",
        agreement_words(meta),
        *meta["notes"],
    ]
    training = training_of(bundle)
    if training is None or mostly_chance(meta):
        told.append("Which training examples come first is mostly chance, so none are listed.")
        return Chapter("Cause: training examples", tuple(told))
    told.append(
        "A score says what a training example does to the margin of these examples: below 0 it harms. "
        "It is a forecast of retraining without it, which was not done here."
    )
    labels, scores = training_labels(training), made["scores"]
    order = np.argsort(scores, kind="stable")
    tables = []
    for title, rows in (("Most harmful", order[:LISTED]), ("Most helpful", order[::-1][:LISTED])):
        frame = pd.DataFrame({"training example": [str(training.ids[row]) for row in rows]})
        if labels is not None:
            frame["label"] = [str(labels[row]) for row in rows]
        frame["score"] = [float(scores[row]) for row in rows]
        tables.append((title, frame))
    return Chapter("Cause: training examples", tuple(told), tuple(tables))


def _words(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    from backend.report import Chapter

    lines = made.meta["contexts"]
    how = (
        f"{made.meta['looked_at']:,} words of texts, values and ranges of columns were compared. Half of the "
        "failures found these, the other half tests them against right examples of the same label."
    )
    return Chapter("In words: columns and texts", (how, _said(lines)), _contexts(lines))


def _named(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    from backend.imagetext import MODELS
    from backend.report import Chapter

    lines, read = made.meta["lines"], made.meta["encoded"]
    how = (
        f"Every example took the nearest candidate by {MODELS[made.meta['options']['model']].title}; "
        f"{read['n']:,} of {read['of']:,} were read. Failures that are not kept aside chose the most frequent "
        "contexts of their class; those kept aside test them against right examples of the class. Weak "
        "picks are hardly nearer to it than to the next candidate, or the model is not sure what it saw."
    )
    return Chapter("In words: contexts of a list", (how, _said(lines)), _contexts(lines))


def _said(lines: list[dict[str, Any]]) -> str:
    """How many contexts explain failures; that none does, where none does."""
    from backend.repair.contrast import EXPLAINS

    explaining = sum(one["verdict"] == EXPLAINS for one in lines)
    if not explaining:
        return "None of them is shown to explain failures."
    return f"{explaining} of {len(lines)} are more frequent among held-out failures than among right examples."


def _contexts(lines: list[dict[str, Any]]) -> tuple[tuple[str, pd.DataFrame], ...]:
    """The first contexts with what held-out examples say of each."""
    found = []
    for one in lines[:LINES]:
        line = {
            "label": one["label"] or "any label",
            "context": one["context"],
            "held-out failures say": one["verdict"],
            "of failures": percent(one["wrong_share"]),
            "of right ones": percent(one["right_share"]),
            "held-out failures": one["n_wrong"],
            "adjusted p": p_value(one["p_adjusted"], None),
        }
        if "n_weak" in one:
            line["weak picks"] = f"{one['n_weak']:,} of {one['count']:,}"
            line["taken for"] = ", ".join(
                f"{cell['prediction']} ({cell['count']:,})" for cell in one["cells"][:3]
            )
        found.append(line)
    return (("", pd.DataFrame(found)),) if found else ()


def _repair(bundle: Bundle, made: Entry, asked: Mapping[str, Any]) -> Chapter:
    from backend.repair.gain import MEANING, SEEDS
    from backend.repair.tally import GROUP
    from backend.report import Chapter
    from backend.tasks.repair import gain_words, strength_lines

    strength = float(asked["strength"])
    said = gain_words(made, strength)
    verdict = MEANING[made.meta["verdicts"][f"{strength:g}"]]
    paid = " The others pay for it." if said["harm"] else ""
    sizes, seeds = made.meta["sizes"], int(asked["options"].get("seeds", SEEDS))
    counts = str(asked["about"]) if asked["options"].get("debug") else GROUP
    told = [
        f"Asked: {asked['about']} counts ×{strength:g} more in refitting the last layer. {verdict}{paid}",
        f"Against the plain refit {said['refit']}, against as many random rows {said['random']}; the others "
        f"{said['others']}.",
        f"About {sizes['refit']:,} examples refit and {sizes['measured']:,} others measure, in each of "
        f"{seeds} splits. Examples that were wrong before can only come out better: what a plain "
        "refit repairs is no merit of the group.",
    ]
    return Chapter(
        "Repair: the last layer refitted",
        tuple(told),
        (("Right, with 95\u00a0% intervals over splits", strength_lines(made, strength, counts)),),
    )


CHAPTERS = {
    "cause": ChapterRow("attribution", "Cause", _cause),
    "words": ChapterRow("contexts", "Words and columns", _words),
    "named": ChapterRow("named", "Contexts of a list", _named),
    "repair": ChapterRow("repair", "Repair", _repair),
    "before_after": ChapterRow("before_after", "Before and after", tell_changes),
    "after": ChapterRow("before_after", "Before and after a new run", tell_later),
}
