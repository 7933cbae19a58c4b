"""The task "contexts": words and values that failures have more often than right examples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, share_of
from backend.tasks.checks import check_count, check_layer, chosen_layer
from backend.tasks.repair import records, repair_needs
from backend.tasks.task import Arrays, Meta, Options, Task, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle

LEAST_HOLDERS = 5
"""Texts that must hold a word before it is a candidate."""
LONGEST_TEXT = 4_000
"""Characters of a text that are read for words."""


def run_contexts(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Words and values that failures have more often than right examples of their label.

    ``meta["contexts"]`` are the lines of ``contrast_failures`` with ``rule`` (the context within its
    label), ``n`` (its examples), ``together`` and ``together_p`` (coherence of its failures beside
    that of random examples of its labels), what held-out failures show first; ``meta["absent"]``
    those of ``absent_combinations``.
    """
    from backend.repair import absent_combinations, coherence, contrast_failures
    from backend.repair.contrast import ALIKE, EXPLAINS, NOT_SHOWN, TOO_FEW
    from backend.rules.write import joined, value_rule

    bundle = chosen_layer("contexts", bundle, options)
    began = time.perf_counter()
    why = repair_needs(bundle)
    if why:
        raise InputError(why)
    labels, wrong = np.asarray(bundle.label_names), ~np.asarray(bundle.correct)
    candidates = dict(_candidates(bundle, share_of(progress, 0.0, 0.7)))
    progress(0.7, f"comparing {len(candidates):,} words and values")
    held = {rule: rows for rule, rows in candidates.items() if len(rows) < bundle.n}
    table = contrast_failures(held, labels, wrong, key=bundle.content, most=options["most"])
    lines = []
    for at, one in enumerate(records(table)):
        progress(0.8 + 0.15 * at / len(table), "whether their failures lie together")
        rows = candidates[one["context"]]
        within = value_rule("label", one["label"]) if one["label"] else None
        if one["label"]:
            rows = rows[labels[rows] == one["label"]]
        close = coherence(
            bundle.embeddings, rows[wrong[rows]], labels=bundle.label_codes, seed=options["seed"]
        )
        close_facts = {
            "together": close.value,
            "together_expected": close.expected,
            "together_p": close.p,
        }
        known = {
            name: None if np.isnan(value) else float(value) for name, value in close_facts.items()
        }
        lines.append({**one, **known, "rule": joined([within, one["context"]]), "n": len(rows)})
    order = (EXPLAINS, NOT_SHOWN, ALIKE, TOO_FEW)
    lines.sort(key=lambda one: (order.index(one["verdict"]), -one["explained"]))
    progress(0.95, "combinations that are absent")
    columns = _few_valued(bundle)
    absent = absent_combinations(columns, wrong) if len(columns) > 1 else pd.DataFrame()
    return {}, {
        "version": TASK.version,
        "contexts": lines,
        "absent": records(absent),
        "looked_at": len(held),
        "seconds": time.perf_counter() - began,
    }


def _candidates(bundle: Bundle, progress: Progress) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Rule of every candidate context with its rows: words of texts, values and ranges of columns."""
    from backend.describe import read_columns, tokenize
    from backend.rules import attribute_name
    from backend.rules.syntax import Contains, Name, Value, to_text
    from backend.rules.write import level_rule

    texts = [name for name in bundle.examples.columns if name == "text"]
    texts += [name for name in bundle.attributes if _is_text(bundle.examples[name])]
    for at, name in enumerate(texts):
        held: dict[str, list[int]] = {}
        for row, text in enumerate(bundle.examples[name].tolist()):
            if row % 200 == 0:
                progress((at + row / bundle.n) / (len(texts) + 1), f"words of {name}, {row:,} read")
            for word in set(tokenize(str(text)[:LONGEST_TEXT])):
                held.setdefault(word, []).append(row)
        field = name if name == "text" else attribute_name(bundle, name)
        for word, found in held.items():
            if len(found) >= LEAST_HOLDERS:
                yield to_text(Contains(Name(field), Value(word))), np.array(found, np.int64)
    for column in read_columns(bundle.examples):
        if column.name in texts:
            continue
        for code in range(len(column.levels)):
            rule = level_rule(attribute_name(bundle, column.name), column, code)
            rows = np.flatnonzero(column.codes == code)
            if rule is not None and len(rows) >= LEAST_HOLDERS:
                yield rule, rows


def _is_text(column: pd.Series) -> bool:
    """Whether a column holds sentences, captions or notes: words, most cells of several."""
    if column.dtype.kind in "biuf":
        return False
    cells = [str(one) for one in column.tolist()[:2_000] if one is not None and str(one)]
    return bool(cells) and float(np.mean([len(one.split()) > 2 for one in cells])) > 0.5


def _few_valued(bundle: Bundle) -> dict[str, Any]:
    """Columns of few values, with the label among them."""
    from backend.tasks.populations import category_column, grouping_columns

    names = grouping_columns(bundle).first[:8]
    columns: dict[str, Any] = {name: category_column(bundle, name) for name in names}
    return {"label": bundle.label_names, **columns}


def _check_contexts(options: Options) -> None:
    check_layer(options)
    check_count("most", options["most"], 1, 50)
    check_count("seed", options["seed"], 0, 2**32 - 1)


TASK = Task(
    "backend.tasks.contexts:run_contexts",
    version=3,
    defaults={"most": 5, "seed": 0, "layer": ""},
    check=_check_contexts,
)
