"""Which array of an upload is which field of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backend.bundle.entry import UploadEntry
from backend.bundle.faults import Faults
from backend.bundle.names import (
    COLUMNS,
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
    id columns: separate files may each carry one; ``chosen`` the fields that the caller mapped.
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
        if not theirs:  # a page leaves fields unmapped
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
    return result


def _precedence(entry: UploadEntry) -> tuple[bool, bool]:
    """Arrays before columns, exact names before their synonyms; else in file order."""
    name = split_group(entry.name)[1].strip().lower()
    is_column = entry.cells or entry.name.lower().startswith("examples/")
    return is_column, name not in SYNONYMS and name not in COLUMNS


def _place_as(entry: UploadEntry, wanted: str, result: Resolved) -> bool:
    group, name = split_group(wanted)
    if group == "examples":
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


def _place(entry: UploadEntry, result: Resolved, faults: Faults) -> None:
    group, name = split_group(entry.name)
    column = entry.cells
    if group == "examples":
        group, column = "", True
    if group == "layers" and column and entry.shape is not None and len(entry.shape) == 1:
        group, name = "", entry.name  # one number a row is a column that happens to be called so
    if group in ("populations", "layers", "train", "msp", "stress"):
        _place_nested(entry, group, name, result, faults)
    elif group == "images":
        result.groups["images"][name.lower()] = entry
    elif field_name := canonical_field(name):
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


def _twice(entry: UploadEntry, other: UploadEntry, faults: Faults) -> None:
    faults.add(
        entry.file,
        entry.name,
        None,
        f"the field is given twice, also as '{other.name}' of {other.file}.",
        "Remove one of them.",
    )
