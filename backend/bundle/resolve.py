"""Which array of an upload is which field of a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle.entry import UploadEntry, text_of
from backend.bundle.faults import Faults
from backend.bundle.names import (
    ATTRIBUTION,
    COLUMNS,
    EXTRAS,
    NOTES,
    PER_ROW,
    SYNONYMS,
    canonical_column,
    canonical_field,
    name_problem,
    split_group,
)


@dataclass
class Resolved:
    """Entries by what they are.

    ``fields`` holds array fields by name, ``columns`` the meaningful columns, ``attributes`` the
    others, ``groups`` nested fields such as ``groups["populations"]["int8"]``. ``ids`` are all
    id columns: separate files may each carry one; ``chosen`` the fields that the caller mapped,
    ``denied`` those that nothing in the upload is. ``codes`` says how class codes are read, if the
    caller said so.
    """

    fields: dict[str, UploadEntry] = field(default_factory=dict)
    columns: dict[str, UploadEntry] = field(default_factory=dict)
    attributes: dict[str, UploadEntry] = field(default_factory=dict)
    groups: dict[str, dict[str, UploadEntry]] = field(
        default_factory=lambda: {
            "populations": {},
            "layers": {},
            "train": {},
            "msp": {},
            "stress": {},
            "images": {},
        }
    )
    ids: list[UploadEntry] = field(default_factory=list)
    others: list[UploadEntry] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    codes: str = ""
    notes: list[str] = field(default_factory=list)


def resolve(
    entries: list[UploadEntry], columns: Mapping[str, str] | None, faults: Faults, file: str
) -> Resolved:
    """Give every entry its place; ``columns={field: name in the file}`` goes first.

    A field that both an array and a table column answer to is the array; the column stays an
    attribute, and a note says so.
    """
    result = Resolved()
    left = list(entries)
    for wanted, theirs in (columns or {}).items():
        if not theirs:
            _deny(wanted, result, faults, file)
            continue
        if wanted == "codes":
            result.codes = theirs
            if theirs not in ("names", "positions"):
                advice = "Choose names or positions."
                faults.add(file, wanted, None, f"codes cannot be read as {theirs!r}.", advice)
            continue
        entry = next((entry for entry in entries if entry.name == theirs), None)
        if entry is None:
            names = ", ".join(entry.name for entry in entries[:20])
            faults.add(
                file,
                theirs,
                None,
                f"no column or array has this name, chosen as {wanted}.",
                f"Choose one of: {names}.",
            )
        elif not _place_as(entry, wanted, result):
            nested = ("populations/NAME", "layers/NAME", "msp/NAME", "train/FIELD")
            fields = ", ".join([*SYNONYMS, *COLUMNS, *nested])
            faults.add(
                file, wanted, None, "this is not a field of a bundle.", f"Choose one of: {fields}."
            )
        left = [other for other in left if other is not entry]
    for entry in sorted(left, key=_precedence):
        _place(entry, result, faults)
    _names_as_labels(result)
    if "embeddings" not in result.fields and "embeddings" not in result.denied:
        embeddings_of_columns(result)
    return result


def _deny(wanted: str, result: Resolved, faults: Faults, file: str) -> None:
    """Nothing in the upload is this field, whatever it is called."""
    name = canonical_field(wanted) or canonical_column(wanted)
    if name is None:
        advice = f"Choose one of: {', '.join([*SYNONYMS, *COLUMNS])}."
        faults.add(file, wanted, None, "this is not a field of a bundle.", advice)
    else:
        result.denied.add(name)


def _names_as_labels(result: Resolved) -> None:
    """A column of names that is called ``target`` holds the labels of a classification."""
    entry = result.fields.get("targets")
    said = result.chosen | result.denied
    unsaid = "labels" not in result.fields and "targets" not in said and "labels" not in said
    if entry is not None and entry.cells and entry.dtype == "str" and unsaid:
        result.fields["labels"] = result.fields.pop("targets")
        result.notes.append(
            f"labels: column '{entry.name}' of {entry.file}, which holds names and not numbers."
        )


def _precedence(entry: UploadEntry) -> tuple[bool, bool]:
    """Arrays before columns, exact names before their synonyms; else in file order."""
    name = split_group(entry.name)[1].strip().lower()
    is_column = entry.cells or entry.name.lower().startswith("examples/")
    return is_column, name not in SYNONYMS and name not in COLUMNS


def _place_as(entry: UploadEntry, wanted: str, result: Resolved) -> bool:
    group, name = split_group(wanted)
    if group == "examples":
        if not canonical_column(name):  # said to be a column like any other
            result.attributes[name] = entry
            return bool(name.strip())
        group = ""
    if group:
        if name_problem(name) or group == "images":
            return False
        result.groups[group][canonical_field(name) or name if group == "train" else name] = entry
    elif field_name := canonical_field(name):
        result.fields[field_name] = entry
        result.chosen.add(field_name)
    elif column := canonical_column(name):
        if column == "id":
            result.ids.append(entry)
        result.columns[column] = entry
    else:
        return False
    return True


MOST_NOTES = 100
"""Notes of one upload that are taken, and characters of each: ten lines of text."""
MOST_NOTE_LETTERS = 1000


def _notes(entry: UploadEntry, result: Resolved) -> None:
    """Take sentences that whoever collected the bundle left, for people to read."""
    if len(entry.shape or ()) != 1 or entry.dtype != "str" or (entry.shape or (0,))[0] > MOST_NOTES:
        result.others.append(entry)
        return
    for note in text_of(entry.load(), entry.file, entry.field):
        told = "".join(letter for letter in str(note) if letter.isprintable())
        result.notes.append(told[:MOST_NOTE_LETTERS])


def _place(entry: UploadEntry, result: Resolved, faults: Faults) -> None:
    if entry.name == NOTES and not entry.cells:
        _notes(entry, result)
        return
    inner = entry.name.removeprefix(ATTRIBUTION)
    if inner != entry.name and canonical_field(inner) in EXTRAS:
        entry = replace(entry, name=inner)
    group, name = split_group(entry.name)
    column = entry.cells
    if column and group and (not entry.lists or group not in ("layers", "msp")):
        _place_attribute(entry, entry.name, result, faults)  # it happens to be called so
        return
    if group == "examples":
        group, column = "", True
    if group in ("populations", "layers", "train", "msp", "stress"):
        _place_nested(entry, group, name, result, faults)
    elif group == "images":
        result.groups["images"][name.lower()] = entry
    elif {canonical_field(name), canonical_column(name)} & result.denied:
        if canonical_column(name):  # else it would be that column of the examples
            result.notes.append(f"column '{name}' of {entry.file} is kept as '{name} (column)'.")
            name = f"{name} (column)"
        if column:
            _place_attribute(entry, name, result, faults)
        else:
            result.others.append(replace(entry, name=name))
    elif (field_name := canonical_field(name)) and entry.cells and _is_no_field(entry, field_name):
        result.notes.append(
            f"column '{name}' of {entry.file} is kept as an attribute: one {entry.dtype} a row "
            f"cannot be {field_name}."
        )
        _place_attribute(entry, name, result, faults)
    elif field_name:
        if field_name not in result.fields:
            result.fields[field_name] = entry
        elif column:
            taken = result.fields[field_name]
            result.notes.append(
                f"column '{name}' of {entry.file} is kept as an attribute; "
                f"{field_name} come from '{taken.name}' of {taken.file}."
            )
            _place_attribute(entry, name, result, faults)
        elif field_name in result.chosen:
            result.others.append(replace(entry, name=name))
        else:
            _twice(entry, result.fields[field_name], faults)
    elif meaning := canonical_column(name):
        if meaning == "id":
            result.ids.append(entry)
        if meaning not in result.columns:
            result.columns[meaning] = entry
        elif meaning != "id":
            _place_attribute(entry, name, result, faults)
    elif column:
        _place_attribute(entry, name, result, faults)
    else:
        result.others.append(replace(entry, name=name))


def _is_no_field(entry: UploadEntry, field_name: str) -> bool:
    """Whether a table's column has one value a row where that field has a vector or a list."""
    if entry.lists:
        return False
    if field_name in ("probabilities", "logits"):
        return entry.dtype != "str"  # a list may be written as text
    return field_name not in ("embeddings", *PER_ROW)


def _place_nested(
    entry: UploadEntry, group: str, name: str, result: Resolved, faults: Faults
) -> None:
    if problem := name_problem(name):
        faults.add(
            entry.file,
            entry.name,
            None,
            f"{problem}.",
            f"Give it a short plain name, such as {group}/baseline.",
        )
        return
    key = (canonical_field(name) or name) if group == "train" else name
    if key in result.groups[group]:
        _twice(entry, result.groups[group][key], faults)
    else:
        result.groups[group][key] = entry


def _place_attribute(entry: UploadEntry, name: str, result: Resolved, faults: Faults) -> None:
    if not name.strip():
        result.notes.append(f"{entry.file}: a column without a name was left out.")
    elif name in result.attributes:
        _twice(entry, result.attributes[name], faults)
    else:
        result.attributes[name] = entry


STEMS = (
    "",
    "embedding",
    "embeddings",
    "emb",
    "e",
    "dim",
    "d",
    "feature",
    "features",
    "feat",
    "f",
    "x",
    "v",
    "z",
    "h",
    "pc",
    "pca",
    "vec",
    "vector",
    "hidden",
    "latent",
)
"""What columns of one dimension each are called, before their number."""

_NUMBERED = re.compile(r"(.*?)[ _.\-\[]*([0-9]+)\]?")
NUMBERS = (
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "float16",
    "float32",
    "float64",
)


def embeddings_of_columns(result: Resolved) -> None:
    """Take numbered columns of numbers as the embeddings, one a dimension, where they are plain.

    ``e0`` to ``e7`` or ``dim_1`` to ``dim_8``, without a gap; one such row of columns only.
    """
    found = {
        stem: names
        for stem, names in numbered(result.attributes).items()
        if stem.lower() in STEMS and len(names) > 1
    }
    if len(found) != 1:
        return
    (names,) = found.values()
    entries = [result.attributes.pop(name) for name in names]
    n = (entries[0].shape or (0,))[0]

    def load() -> NDArray[Any]:
        columns = [entry.load() for entry in entries]
        kinds = {column.dtype for column in columns}
        return np.stack(columns, axis=1).astype(kinds.pop() if len(kinds) == 1 else np.float64)

    result.fields["embeddings"] = UploadEntry(
        entries[0].file, f"{names[0]} to {names[-1]}", (n, len(names)), entries[0].dtype, load
    )
    result.notes.append(
        f"embeddings: columns '{names[0]}' to '{names[-1]}' of {entries[0].file}, one a dimension."
    )


def numbered(attributes: Mapping[str, UploadEntry]) -> dict[str, list[str]]:
    """Columns of numbers that are called alike but for a number, from 0 or 1 without a gap."""
    stems: dict[str, dict[int, str]] = {}
    for name, entry in attributes.items():
        match = _NUMBERED.fullmatch(name.strip())
        if match and entry.cells and not entry.lists and entry.dtype in NUMBERS:
            stems.setdefault(match[1], {})[int(match[2])] = name
    return {
        stem: [names[k] for k in sorted(names)]
        for stem, names in stems.items()
        if sorted(names) in (list(range(len(names))), list(range(1, len(names) + 1)))
    }


def _twice(entry: UploadEntry, other: UploadEntry, faults: Faults) -> None:
    faults.add(
        entry.file,
        entry.name,
        None,
        f"the field is given twice, also as '{other.name}' of {other.file}.",
        "Remove one of them.",
    )
