"""Class names, and whether labels, predictions and probabilities agree on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import check
from backend.bundle.contents import Contents
from backend.bundle.faults import Faults
from backend.bundle.limits import MAX_VALUE_LENGTH
from backend.bundle.losses import (
    all_whole,
    codes_of,
    cross_entropy_of_logits,
    cross_entropy_of_probabilities,
)
from backend.bundle.resolve import Resolved
from backend.bundle.upload import Upload
from backend.core.errors import Reading
from backend.core.wording import percent


def read_classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
    entry = place.fields.get("classes")
    if entry is None:
        if upload.classes is not None and _are_names(upload.classes):
            contents.classes = upload.classes
        elif upload.classes is not None:
            contents.notes.append(
                f"the class names in the metadata of {upload.file} were left out: one is empty, "
                f"occurs twice or has more than {MAX_VALUE_LENGTH} characters."
            )
        return
    names = check.column_text(entry, None, "classes", faults)
    if names is None:
        return
    seen: set[str] = set()
    for row, name in enumerate(names):
        if not name.strip() or name in seen:
            problem = "is empty" if not name.strip() else f"{name[:40]!r} occurs twice"
            faults.about(
                entry, f"the class name {problem}.", "Give each class a name of its own.", row=row
            )
            return
        seen.add(name)
    if not len(names):
        faults.about(entry, "classes are empty.", "Name every class.")
        return
    if check.short_enough(names, entry, "the class name", faults):
        contents.classes = tuple(names)


def _are_names(names: tuple[str, ...]) -> bool:
    sound = all(name.strip() and len(name) <= MAX_VALUE_LENGTH for name in names)
    return sound and len(set(names)) == len(names)


def check_classes(place: Resolved, contents: Contents, upload: Upload, faults: Faults) -> None:
    """Labels, predictions and populations must be classes; class counts must agree."""
    count = _check_class_count(place, contents, faults)
    if contents.classes is None and count is not None:
        contents.classes = _told_by_answers(contents, count)
    names = contents.classes
    if names is None and count is not None:
        names = tuple(str(code) for code in range(count))
    labels, predictions = contents.arrays.get("labels"), contents.arrays.get("predictions")
    if contents.classes is not None:
        settle_codes(contents, place, faults)
    if names is None:
        if labels is not None and predictions is not None:
            _check_same_words(place, contents, faults)
        return
    for name in (
        "labels",
        "predictions",
        *(k for k in contents.arrays if k.startswith("populations/")),
    ):
        values = contents.arrays.get(name)
        if values is None or values.dtype.kind == "f":
            continue
        group, _, inner = name.rpartition("/")
        entry = place.groups[group][inner] if group else place.fields[name]
        if values.dtype.kind == "U" and contents.classes is None:
            faults.add(
                upload.file,
                "classes",
                None,
                f"classes are missing: {entry.field} are names (such as {str(values.flat[0])[:40]!r}) and "
                "have to be matched with the columns of the probabilities.",
                "Add 'classes', the class names in column order (model.classes_ of scikit-learn).",
            )
            continue
        row = codes_of(values, names)[1]
        if row is not None:
            bad = values[row] if values.ndim == 1 else values[:, row].tolist()
            faults.about(
                entry,
                f"{str(bad)[:60]!r} is not one of the {len(names)} classes "
                f"({', '.join(names[:6])}{', ...' if len(names) > 6 else ''}).",
                "Correct the value, or add the class to 'classes'.",
                row=row,
            )


def _told_by_answers(contents: Contents, count: int) -> tuple[str, ...] | None:
    """Names of the columns, where every prediction is a name and that of its most probable column.

    None where one row says otherwise, or a column is nobody's prediction.
    """
    predictions = contents.arrays.get("predictions")
    scores = contents.arrays.get("logits", contents.arrays.get("probabilities"))
    if predictions is None or scores is None or predictions.dtype.kind != "U":
        return None
    columns = scores.argmax(axis=1)
    firsts = [np.flatnonzero(columns == column)[:1] for column in range(count)]
    if not all(map(len, firsts)):
        return None
    names = predictions[np.concatenate(firsts)]
    if len(set(names.tolist())) < count or not (names[columns] == predictions).all():
        return None
    contents.notes.append(
        f"classes: the {count} columns are named by the predictions, each of which is the most probable "
        "column of its row."
    )
    return tuple(map(str, names.tolist()))


def _check_class_count(place: Resolved, contents: Contents, faults: Faults) -> int | None:
    count = None if contents.classes is None else len(contents.classes)
    source = "classes"
    for name in ("probabilities", "logits"):
        array = contents.arrays.get(name)
        if array is None:
            continue
        if count is not None and array.shape[1] != count:
            entry = place.fields[name]
            faults.about(
                entry,
                f"{name} have {array.shape[1]} columns where {source} have {count}.",
                "Save one column per class, in the order of 'classes'.",
            )
            return None
        count, source = array.shape[1], name
    return count


def _check_same_words(place: Resolved, contents: Contents, faults: Faults) -> None:
    """Without classes, names can only be compared with names, and codes with codes."""
    labels, predictions = contents.arrays["labels"], contents.arrays["predictions"]
    if labels.dtype.kind == predictions.dtype.kind or predictions.dtype.kind == "f":
        return
    text, codes = ("labels", "predictions")
    if labels.dtype.kind != "U":
        text, codes = codes, text
    truths = place.fields[codes].dtype == "bool"
    if truths and _spell(codes, text, contents):
        return
    as_text = contents.arrays[codes].astype(np.str_)
    if np.isin(as_text, contents.arrays[text]).all():
        contents.arrays[codes] = as_text  # a text column in which these rows are all digits
        return
    entry = place.fields[codes]
    faults.about(
        entry,
        f"{codes} are {'true or false' if truths else f'numbers ({contents.arrays[codes][0]})'} "
        f"and {text} are names ({str(contents.arrays[text][0])[:40]!r}).",
        "Add 'classes', the class names in code order, or save both the same way.",
        row=0,
    )


def _spell(truths: str, text: str, contents: Contents) -> bool:
    """Write true and false as the names beside them are spelled, if those say nothing else."""
    names = np.unique(contents.arrays[text])
    found = {str(name).lower(): str(name) for name in names}
    if len(found) < len(names) or not found.keys() <= {"true", "false"}:
        return False
    both = np.array([found.get("false", "False"), found.get("true", "True")], dtype=np.str_)
    contents.arrays[truths] = both[contents.arrays[truths]]
    contents.written.pop(truths, None)
    return True


CODES = "codes"
"""What ``columns={"codes": "names"}`` or ``"positions"`` says: how whole numbers are read."""
BY_NAME, BY_PLACE = "names", "positions"


def settle_codes(contents: Contents, place: Resolved, faults: Faults) -> None:
    """Decide what whole numbers mean beside class names that are whole numbers themselves.

    With the names 0, 1, 10, 11, 2 (sorted as text) the code 2 is the class called 2, or the one at
    position 2. A reading that does not fit is out; where both fit, whoever imports it has the word,
    then losses, scores and names, then the order of the names. Where nothing tells it is asked. Codes that are positions become names, so that they are read one way
    ever after.
    """
    names = contents.classes
    if names is None or not all_whole(names) or names == tuple(map(str, range(len(names)))):
        return
    fields = {
        key: values
        for key, values in contents.arrays.items()
        if key in ("labels", "predictions") or key.startswith("populations/")
        if values.dtype.kind == "i" and values.size
    }
    numbers = [int(name) for name in names]
    if any(abs(number) >= 2**63 for number in numbers):
        return
    own = np.array(numbers, dtype=np.int64)
    by_name = {key: bool(np.isin(values, own).all()) for key, values in fields.items()}
    by_place = {
        key: bool(values.min() >= 0 and values.max() < len(names)) for key, values in fields.items()
    }
    both = {key: fields[key] for key in fields if by_name[key] and by_place[key]}
    positions = [key for key in fields if by_place[key] and not by_name[key]]
    same = numbers == list(range(len(names)))  # 00, 01, 02: a name is its position
    if same:
        positions += both
    elif both:
        reading = f"{place.codes} (as was said)" if place.codes else ""
        reading = reading or _reading(contents, names, both, bool(positions))
        if not reading and any(
            names[code] != str(code) for one in both.values() for code in one.flat
        ):
            _ask(names, both, place, faults)
            return
        reading = reading or "names, which say the same here"
        contents.notes.append(
            f"{' and '.join(both)}: the codes could be names of classes or positions among them; "
            f"read as {reading}. If that is wrong, save the class names in their place."
        )
        if reading.startswith("positions"):
            positions += both
    if place.codes and not both:
        contents.notes.append("class codes fit one way only, whatever was said of them.")
    if positions and not both and not same:
        contents.notes.append(
            f"{' and '.join(positions)}: the codes are positions among the classes "
            f"({names[0]}, {names[1]} ...), since they are no names of classes."
            if len(names) > 1
            else f"{' and '.join(positions)}: the code 0 is the class {names[0]}."
        )
    named = np.argsort(own, kind="stable")
    for key, values in fields.items():
        if key in positions:
            codes = values
        elif by_name[key] and any(
            str(number) != name for number, name in zip(numbers, names, strict=True)
        ):
            codes = named[np.searchsorted(own[named], values)]  # the class 007 may be coded 7
        else:
            continue
        contents.arrays[key] = np.asarray(names, dtype=np.str_)[codes]
        if key in contents.given:
            contents.given[key] = "str"


def _reading(
    contents: Contents, names: tuple[str, ...], both: Mapping[str, NDArray[Any]], others: bool
) -> str:
    """``names`` or ``positions``, and in brackets why; empty where nothing tells."""
    place_of = {int(name): code for code, name in enumerate(names)}
    labels = both.get("labels")
    arrays = contents.arrays
    scores = arrays.get("logits", arrays.get("probabilities"))
    if labels is not None and scores is not None and scores.shape[1] == len(names):
        rows = np.arange(len(labels))
        readings = {
            "names": np.array([place_of[code] for code in labels.tolist()]),
            "positions": labels,
        }
        measured = {}
        for said, codes in readings.items():
            if "logits" in arrays:
                losses = cross_entropy_of_logits(scores, codes)
            else:
                losses = cross_entropy_of_probabilities(scores, codes)[0]
            hits = scores.argmax(axis=1) == codes
            measured[said] = (losses, hits)
        if (given := arrays.get("losses")) is not None:
            off = {
                said: float(np.abs(losses - given)[np.isfinite(losses)].mean())
                for said, (losses, _) in measured.items()
            }
            best = min(off, key=lambda said: off[said])
            if off[best] < 0.5 * max(off.values()):
                return f"{best} (the losses that were given are those of this reading)"
        difference = measured["names"][0] - measured["positions"][0]
        difference = difference[np.isfinite(difference)]
        error = difference.std() / max(1, len(difference)) ** 0.5
        if len(difference) and abs(difference.mean()) > 3 * error > 0 and len(rows):
            best = "positions" if difference.mean() > 0 else "names"
            other = "names" if best == "positions" else "positions"
            return (
                f"{best} (mean loss {measured[best][0].mean():.3g} and accuracy "
                f"{percent(float(measured[best][1].mean()))}, as {other} {measured[other][0].mean():.3g} and "
                f"{percent(float(measured[other][1].mean()))})"
            )
    code, text = arrays.get("labels"), arrays.get("predictions")
    if code is not None and text is not None and {code.dtype.kind, text.dtype.kind} == {"i", "U"}:
        code, text = (code, text) if code.dtype.kind == "i" else (text, code)
        shares = {
            "names": float((code.astype(np.str_) == text).mean()),
            "positions": float(
                (np.asarray(names)[np.clip(code, 0, len(names) - 1)] == text).mean()
            ),
        }
        best = max(shares, key=lambda said: shares[said])
        if abs(shares["names"] - shares["positions"]) > 3 / len(code) ** 0.5:
            return f"{best} (labels and predictions then agree in {percent(float(shares[best]))} of the rows)"
    if others:
        return "positions (other codes of the same upload fit as positions only)"
    if list(names) == sorted(names) and list(map(int, names)) != sorted(map(int, names)):
        return "positions (the classes stand in the order of text, as folders are sorted)"
    return ""


def _ask(
    names: tuple[str, ...], both: Mapping[str, NDArray[Any]], place: Resolved, faults: Faults
) -> None:
    field = next(iter(both))
    group, _, inner = field.rpartition("/")
    entry = place.groups[group][inner] if group else place.fields[field]
    code = int(
        next((one for one in both[field].flat if names[one] != str(one)), both[field].flat[0])
    )
    faults.about(
        entry,
        f"the codes could be names of classes or positions among them, and nothing tells which: {code} "
        f"is the class called {code}, or the one at position {code}, called {names[code]}.",
        f"Say which: --map {CODES}={BY_NAME} or --map {CODES}={BY_PLACE}. Or save the names in their "
        "place.",
        readings=(
            Reading(f"{code} is the class called {code}", CODES, BY_NAME),
            Reading(f"{code} is position {code}: the class {names[code]}", CODES, BY_PLACE),
        ),
    )
