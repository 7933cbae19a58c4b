"""Training examples to leave out, by a rule over their scores, as files that can be made again.

Nothing is deleted anywhere: what leaves are two lists of ids, and a manifest that says how they came
about.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.attribution import Removal, mean_alignment, remove_harmful
from backend.attribution.removal import removal_of
from backend.bundle.training import Training, training_of
from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.describe import bin_column
from backend.export.cells import neutralise
from backend.tasks.attribution import TASK, run_attribution
from backend.tasks.task import Options, completed, no_parts

if TYPE_CHECKING:
    from backend.bundle import Bundle

KINDS = ("sign", "number", "subpopulations")
REMOVED, KEPT, MANIFEST = "remove.csv", "keep.csv", "manifest.json"
FORMAT = "errorscope training removal 1"
_MANY = 8
_LABEL = "label"


@dataclass(frozen=True)
class RemovalRule:
    """Which training examples to leave out.

    Attributes
    ----------
    kind : {"sign", "number", "subpopulations"}
        All with a score below 0; the ``number`` with the lowest; or all of some ``cells``.
    number : int
        Of the second kind.
    column : str
        Of the third kind: the column of the training examples that makes cells with the label; ""
        for the label alone.
    cells : tuple of (str, str)
        Label and value of each cell; the value is "" without a column.
    """

    kind: str = "sign"
    number: int = 0
    column: str = ""
    cells: tuple[tuple[str, str], ...] = ()


def training_labels(training: Training) -> NDArray[np.object_] | None:
    """Names of the labels of the training examples (n_train,); None without."""
    codes = training.label_codes
    if codes is None or training.class_names is None:
        return None
    return np.asarray(training.class_names, dtype=object)[codes]


def training_categories(training: Training, column: str) -> NDArray[np.object_]:
    """A column of the training examples as categories, numbers of many values cut into ranges."""
    if column not in training.columns:
        raise InputError(f"there is no column {column!r} of the training examples.")
    values = pd.Series(np.asarray(training.columns[column]))
    if values.dtype.kind in "iuf" and values.nunique() > _MANY:
        return np.asarray(bin_column(values), dtype=object)
    return np.asarray([str(one) for one in values.tolist()], dtype=object)


def grouping_of_training(training: Training) -> list[str]:
    """Columns that make subpopulations: more than one value, and no text of many."""
    found = []
    for name, column in training.columns.items():
        values = len(np.unique(column))
        if values > 1 and (column.dtype.kind in "iuf" or values <= 60):
            found.append(name)
    return found


def subpopulations(training: Training, scores: NDArray[Any], column: str = "") -> pd.DataFrame:
    """``mean_alignment`` of label x column, or of the column, or the label, alone."""
    labels = training_labels(training)
    kinds = training_categories(training, column) if column else None
    if labels is None:
        labels, kinds = (np.full(training.n, "all", object) if kinds is None else kinds), None
    return mean_alignment(scores, labels, kinds)


def removal_by(training: Training, scores: NDArray[Any], rule: RemovalRule) -> Removal:
    """The training examples that a rule leaves out, and what that takes from each class.

    Raises
    ------
    InputError
        If the rule is none, or would empty a class.
    """
    check_choice("rule", rule.kind, KINDS)
    labels = training_labels(training)
    if rule.kind == "sign":
        return remove_harmful(scores, labels=labels)
    if rule.kind == "number":
        return remove_harmful(scores, rule.number, labels=labels)
    own = labels if labels is not None else np.full(training.n, "all", object)
    kinds = training_categories(training, rule.column) if rule.column else np.full(training.n, "")
    chosen = set(rule.cells)
    inside = [pair in chosen for pair in zip(own.tolist(), kinds.tolist(), strict=True)]
    rows = np.flatnonzero(inside)
    order = np.argsort(np.asarray(scores)[rows], kind="stable")
    return removal_of(rows[order], training.n, labels)


def removal_files(
    bundle: Bundle, scores: NDArray[Any], options: Options, rule: RemovalRule
) -> dict[str, bytes]:
    """``remove.csv``, ``keep.csv`` and ``manifest.json`` of a rule.

    The lists hold ``row``, ``id``, ``label`` and ``score`` of the training examples, the first in the
    order of removal. Cells that a spreadsheet could run have an apostrophe in front. The manifest
    names the bundle, the question that the scores answer, the rule and the sums of both lists.
    """
    training = training_of(bundle)
    if training is None:
        raise InputError("the bundle has no training examples.")
    removal = removal_by(training, scores, rule)
    files = {
        REMOVED: _listed(training, scores, removal.rows),
        KEPT: _listed(training, scores, np.flatnonzero(removal.keep)),
    }
    content = {
        "format": FORMAT,
        "bundle": {"digest": bundle.content, "name": bundle.name},
        "task": {"version": TASK.version, "options": options},
        "rule": asdict(rule),
        "n_train": training.n,
        "removed": len(removal.rows),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return {**files, MANIFEST: json.dumps(content, indent=1, ensure_ascii=False).encode()}


def replay_removal(
    manifest: bytes, bundle: Bundle, *, progress: Progress = ignore_progress
) -> dict[str, bytes]:
    """The files of a manifest, made again from the bundle.

    Raises
    ------
    InputError
        If it is no manifest of a removal, is of another bundle or version, or the lists come out
        otherwise.
    """
    content = _read(manifest)
    if content["bundle"]["digest"] != bundle.content:
        raise InputError(
            f"the manifest is of bundle {content['bundle']['digest'][:12]}, this is "
            f"{bundle.digest[:12]}. Import that one."
        )
    if content["task"]["version"] != TASK.version:
        raise InputError(
            f"the scores of the manifest are of version {content['task']['version']}, this program "
            f"computes version {TASK.version}. Replay it with the program it came from."
        )
    options = completed("attribution", TASK, content["task"]["options"])
    given = content["rule"]
    cells = tuple((str(label), str(value)) for label, value in given["cells"])
    rule = RemovalRule(str(given["kind"]), int(given["number"]), str(given["column"]), cells)
    arrays, _ = run_attribution(bundle, options, progress, no_parts)
    files = removal_files(bundle, arrays["scores"], options, rule)
    if _read(files[MANIFEST])["sha256"] != content["sha256"]:
        raise InputError(
            "the lists come out otherwise than the manifest says: it was changed, or this machine "
            "rounds differently where two scores are as good as equal."
        )
    return files


def _read(manifest: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(manifest)
        known = content["format"] == FORMAT
        str(content["bundle"]["digest"]), int(content["task"]["version"])
        dict(content["task"]["options"]), dict(content["sha256"])
        [(a, b) for a, b in content["rule"]["cells"]]
        content["rule"]["kind"], int(content["rule"]["number"]), content["rule"]["column"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"this is no manifest of a removal ({type(error).__name__}).") from error
    if not known:
        raise InputError(f"this is no manifest of a removal: its format is {content['format']!r}.")
    return dict(content)


def _listed(training: Training, scores: NDArray[Any], rows: NDArray[np.int64]) -> bytes:
    labels = training_labels(training)
    held = io.StringIO()
    write = csv.writer(held, lineterminator="\n")
    write.writerow(["row", "id", _LABEL, "score"])
    for row in rows.tolist():
        label = "" if labels is None else neutralise(str(labels[row]))
        write.writerow([row, neutralise(str(training.ids[row])), label, f"{scores[row]:.6g}"])
    return held.getvalue().encode()
