"""The task "named": failures in the words of an image-text model, tested on the examples kept aside."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backend.core.parts import bundle_aside
from backend.core.progress import Progress, share_of
from backend.report.origin import NAMED as BY_CONTEXTS
from backend.tasks.checks import needs_bundle
from backend.tasks.encoded import NAMED, failing_classes
from backend.tasks.kept import kept_result
from backend.tasks.repair import records
from backend.tasks.task import Arrays, Meta, Options, WritePart

if TYPE_CHECKING:
    from backend.bundle import Bundle
    from backend.repair import Axis

MOST_CLASSES = 50
"""Classes that are named, those with most failures."""
ALIKE = 0.95
"""Candidates whose texts are nearer to an earlier one say the same."""
OWN, ASKED = "own", "asked"
"""Axes that are no list of ours."""


def run_named(
    bundle: Bundle | None, options: Options, progress: Progress, part: WritePart
) -> tuple[Arrays, Meta]:
    """Contexts that failures take most often, tested on the examples kept aside.

    ``meta["lines"]`` are the lines of ``NamedFailures.table``, those that explain something first, with
    ``cells``; arrays ``rows``, ``similarity``, ``margin`` and ``weak`` hold the members of all lines one
    after another, ``starts`` (lines + 1,) where each begins.
    """
    from backend.cache import Cache
    from backend.imagetext import MODELS, open_model
    from backend.repair import name_failures
    from backend.repair.contrast import ALIKE as NOTHING
    from backend.repair.contrast import EXPLAINS, NOT_SHOWN, TOO_FEW

    bundle = needs_bundle("named", bundle)
    began = time.perf_counter()
    classes = failing_classes(bundle, MOST_CLASSES)
    wanted = {name: options[name] for name in ("model", "state", "most")}
    encoded = kept_result(
        "encoded", bundle, wanted, progress=share_of(progress, 0.0, 0.8), cache=Cache()
    )
    row = MODELS[options["model"]]
    rows = np.array(encoded["rows"])
    labels = np.asarray(bundle.label_names)[rows]
    among = np.flatnonzero(np.isin(labels, list(classes)))
    rows, labels = rows[among], labels[among]
    progress(0.8, "reading the candidates")
    model = open_model(options["model"])
    axes = _axes(options, sorted(classes), row.template, lambda texts: model.texts(texts).vectors)
    progress(0.95, "comparing failures with right examples")
    found = name_failures(
        np.array(encoded["vectors"])[among],
        labels,
        np.asarray(bundle.prediction_names)[rows],
        bundle_aside(bundle)[rows],
        axes,
        k=options["k"],
        sure=np.array(encoded["sure"])[among],
        least_sure=row.least_sure,
        most_alike=ALIKE,
    )
    lines = records(found.table.drop(columns="examples"))
    order = (EXPLAINS, NOT_SHOWN, NOTHING, TOO_FEW)
    ranked = sorted(
        range(len(lines)),
        key=lambda at: (order.index(lines[at]["verdict"]), -lines[at]["explained"], at),
    )
    members = [found.members[at] for at in ranked]
    every = (
        pd.concat(members)
        if members
        else pd.DataFrame(columns=["row", "similarity", "margin", "weak"])
    )
    return {
        "starts": np.cumsum([0, *(len(one) for one in members)]),
        "rows": rows[every["row"].to_numpy(np.int64)],
        "similarity": every["similarity"].to_numpy(np.float32),
        "margin": every["margin"].to_numpy(np.float32),
        "weak": every["weak"].to_numpy(bool),
    }, {
        "version": NAMED.version,
        "options": options,
        "lines": [{**lines[at], "cells": records(found.cells[at])} for at in ranked],
        "dropped": [list(one) for one in found.dropped],
        "classes": len(classes),
        "encoded": dict(encoded.meta),
        "seconds": time.perf_counter() - began,
    }


def _axes(options: Options, labels: list[str], template: str, read: Any) -> dict[str, Axis]:
    """The lists that were asked for, every context as a sentence of its class."""
    from backend.repair import LISTS, Axis, own_list

    given: dict[str, Mapping[str, Any]] = {}
    for name in options["lists"]:
        given[name] = dict.fromkeys(labels, LISTS[name].texts)
    own = own_list(options["own"])
    if own:
        given[OWN] = dict.fromkeys(labels, own)
    if options["asked"]:
        known = {label: tuple(options["asked"].get(label, ())) for label in labels}
        pooled = tuple(dict.fromkeys(one for texts in known.values() for one in texts))
        given[ASKED] = {label: known[label] or pooled for label in labels}
    sentences = {
        (label, text): sentence(template, label, text)
        for contexts in given.values()
        for label, texts in contexts.items()
        for text in texts
    }
    different = list(dict.fromkeys(sentences.values()))
    place = {one: at for at, one in enumerate(different)}
    vectors = read(different)
    return {
        name: Axis(
            contexts,
            {
                label: vectors[[place[sentences[label, text]] for text in texts]]
                for label, texts in contexts.items()
            },
        )
        for name, contexts in given.items()
    }


def sentence(template: str, label: str, context: str) -> str:
    """The sentence that a class and a context become; a class that is a number says nothing.

    Examples
    --------
    >>> sentence("a photo of a {label} {context}", "Ankle boot", "in the snow")
    'a photo of a ankle boot in the snow'
    >>> sentence("a photo of a {label} {context}", "7", "in the snow")
    'a photo of a thing in the snow'
    """
    named = any(sign.isalpha() for sign in label)
    return template.format(label=label.lower() if named else "thing", context=context)


def context_source(result: Any, line: Mapping[str, Any]) -> dict[str, Any]:
    """What the source of a tag on a context says of how it was found: without the rows kept aside."""
    return {
        "kind": "method",
        "method": BY_CONTEXTS,
        "version": result.meta["version"],
        "kept_aside": True,
        "groups": None,
        "name": f"{line['label']}: {line['context']}",
        "model": result.meta["options"]["model"],
        "axis": line["axis"],
        "label": line["label"],
        "context": line["context"],
    }


def context_members(result: Any, at: int) -> pd.DataFrame:
    """The members of a line of ``run_named``: ``row``, ``similarity``, ``margin``, ``weak``."""
    own = slice(int(result["starts"][at]), int(result["starts"][at + 1]))
    return pd.DataFrame(
        {
            "row": np.array(result["rows"][own]),
            "similarity": np.array(result["similarity"][own]),
            "margin": np.array(result["margin"][own]),
            "weak": np.array(result["weak"][own]),
        }
    )
