"""Commands about bundles: check, import, list; and finding the bundle a command names."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.bundle import (
    Bundle,
    import_bundle,
    list_bundles,
    open_bundle,
    read_bundle,
    rename_bundle,
    same_examples,
)
from backend.cli.report import Report, StderrProgress, aligned, listed, note, plain
from backend.core.errors import BundleError, Fault, InputError, StoreError
from backend.core.memory import (
    ADVICE,
    LIBRARY_BYTES,
    allowance,
    anonymous_bytes,
    bounded,
    needs_more,
)
from backend.store import Store


def find_bundle(
    named: str,
    *,
    home: str | None = None,
    columns: dict[str, str] | None = None,
    layer: str = "",
) -> Bundle:
    """The bundle that a command names: a path, or an imported one by digest or name.

    A path that exists wins, then the first digits of a digest, then a name. ``layer`` is the one whose embeddings are wanted, "" for its own.

    Raises
    ------
    BundleError
        If there is none, more than one is meant, or the upload has faults.
    InputError
        If it has no such layer.
    """
    return _found(named, home, columns).at_layer(layer)


def _found(named: str, home: str | None, columns: dict[str, str] | None) -> Bundle:
    if Path(named).exists():
        with _bounded(named):
            return read_bundle(named, columns=columns)
    return open_bundle(digest_named(named, home), home)


def digest_named(named: str, home: str | None) -> str:
    """The digest of the imported bundle that is meant, by its first digits or by its name.

    Raises
    ------
    BundleError
        If there is none, or more than one.
    """
    known = list_bundles(home)
    starts = [
        info
        for info in known
        if re.fullmatch("[0-9a-f]{4,64}", named) and info.digest.startswith(named)
    ]
    found = starts or [info for info in known if info.name == named.strip()]
    if len(found) == 1:
        return found[0].digest
    if found:
        digits = len(named) + 4 if starts else 12
        told = ", ".join(f"{info.digest[:digits]} ({info.created[:16]})" for info in found)
        are = "start so" if starts else "are called so"
        raise BundleError(
            Fault(
                named,
                "",
                None,
                f"{len(found)} imported bundles {are}: {told}.",
                "Give more digits." if starts else "Give the first digits of one of them.",
            )
        )
    told = ", ".join(f"{info.digest[:8]} ({info.name})" for info in known[:10]) or "none"
    raise BundleError(
        Fault(
            named,
            "",
            None,
            "this is neither a file or folder, nor the name or the first 4 or more digits of an "
            f"imported bundle. Imported: {told}.",
            "Check the path, or see: python -m backend list",
        )
    )


def column_map(pairs: list[str] | None) -> dict[str, str] | None:
    """``["losses=ce"]`` as ``{"losses": "ce"}``; ``prob=`` says that nothing is that field."""
    if not pairs:
        return None
    for pair in pairs:
        field, mark, _ = pair.partition("=")
        if not (field and mark):
            raise InputError(f"--map needs FIELD=COLUMN, for instance losses=ce: got {pair!r}.")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def check(options: Namespace) -> Report:
    """Read a bundle, or list its faults."""
    bundle = find_bundle(options.bundle, home=options.home, columns=column_map(options.map))
    return summary(bundle)


def import_one(options: Namespace) -> Report:
    """Keep a bundle in the home folder."""
    if not Path(options.bundle).exists():
        raise BundleError(
            Fault(options.bundle, "", None, "there is no such file or folder.", "Check the path.")
        )
    origin = None if options.tags_from is None else digest_named(options.tags_from, options.home)
    with _bounded(options.bundle):
        bundle = import_bundle(
            options.bundle,
            options.home,
            columns=column_map(options.map),
            name=options.name,
            progress=StderrProgress(),
        )
    note(bundle.digest, "imported", home=options.home)
    said = summary(bundle)
    data, lines = _offered(bundle, options) if origin is None else _carried(bundle, origin, options)
    return Report({**said.data, **data}, "\n\n".join([said.text, *lines]))


def _carried(bundle: Bundle, origin: str, options: Namespace) -> tuple[dict[str, Any], list[str]]:
    """Carry the tags of another bundle over, and say how many."""
    with contextlib.closing(Store(home=options.home)) as store:
        done = store.carry_tags(origin, bundle, bundle.ids.tolist(), author=options.author)
    return {"tags": plain(vars(done))}, [
        f"Tags of {origin[:12]}: {done.carried:,} carried over, each one tag on one example; "
        f"{done.known:,} there already; {done.missing:,} not found, since this bundle does not have "
        "their example. They are one step to undo."
    ]


def _offered(bundle: Bundle, options: Namespace) -> tuple[dict[str, Any], list[str]]:
    """The bundles of the same examples that have tags; a database that is out of reach has none."""
    known = [info.digest for info in list_bundles(options.home)]
    try:
        with contextlib.closing(Store(home=options.home)) as store:
            tagged = [one for one in known if one != bundle.digest and store.tag_counts(one)]
    except StoreError:
        return {"tags_offered": []}, []
    found = same_examples(bundle, tagged, options.home)
    return {"tags_offered": [one.digest for one in found]}, [
        f"{one.digest[:12]} ({one.name}) has {one.shared:,} of these examples, and tags. Carry them "
        f"over with: python -m backend import ... --tags-from {one.digest[:12]}"
        for one in found
    ]


def rename(options: Namespace) -> Report:
    """Call an imported bundle by another name."""
    digest = digest_named(options.bundle, options.home)
    name = rename_bundle(digest, options.name, options.home)
    note(digest, "renamed", name, home=options.home)
    return Report({"digest": digest, "name": name}, f"{digest[:12]} is called {name} now.")


@contextlib.contextmanager
def _bounded(named: str) -> Iterator[None]:
    """Hold this process to the memory that reading an upload may take, beside what it holds."""
    allowed = allowance(Path(named))

    def over() -> None:
        print(f"error: {named}: {needs_more(allowed)} {ADVICE}", file=sys.stderr, flush=True)
        os._exit(2)

    with bounded(allowed + LIBRARY_BYTES + (anonymous_bytes() or 0), over):
        yield


def list_all(options: Namespace) -> Report:
    """The imported bundles, newest first."""
    infos = list_bundles(options.home)
    rows = [
        [
            info.digest[:12],
            info.name,
            info.n,
            info.d,
            info.base_loss,
            info.accuracy,
            f"{info.size_bytes / 1e6:.1f} MB",
            info.created,
        ]
        for info in infos
    ]
    header = ["digest", "name", "examples", "dims", "mean loss", "accuracy", "size", "imported"]
    text = (
        aligned(rows, header)
        if rows
        else ("No bundle is imported yet. Import one: python -m backend import BUNDLE")
    )
    return Report({"bundles": [plain(vars(info)) for info in infos]}, text)


def summary(bundle: Bundle) -> Report:
    """What a bundle holds, what was assumed and what is missing."""
    data: dict[str, Any] = {
        "ok": True,
        "name": bundle.name,
        "digest": bundle.digest,
        "n": bundle.n,
        "d": bundle.d,
        "dtype": str(bundle.embeddings.dtype),
        "base_loss": bundle.base_loss,
        "accuracy": bundle.accuracy,
        "classes": None if bundle.class_names is None else len(bundle.class_names),
        "text": bundle.has_text,
        "images": bundle.has_images,
        "attributes": bundle.attributes,
        "populations": {name: len(rows) for name, rows in bundle.populations.items()},
        "layers": {name: int(array.shape[1]) for name, array in bundle.layers.items()},
        "notes": list(bundle.notes),
        "missing": [{"field": field, "effect": effect} for field, effect in bundle.missing()],
        "unused": bundle.unused(),
        "faults": [],
    }
    models = ", ".join(f"{name} ({count} models)" for name, count in data["populations"].items())
    layers = ", ".join(f"{name} ({d:,} dimensions)" for name, d in data["layers"].items())
    rows = [
        ("bundle", data["name"]),
        ("digest", data["digest"]),
        ("examples", f"{bundle.n:,} x {bundle.d:,} {data['dtype']}"),
        ("mean loss", data["base_loss"]),
        ("accuracy", data["accuracy"]),
        ("classes", data["classes"]),
        ("text", data["text"]),
        ("images", data["images"]),
        ("attributes", ", ".join(data["attributes"]) or None),
        ("populations", models or None),
        ("layers", layers or None),
    ]
    parts = [listed(rows)]
    if bundle.notes:
        parts.append("\n".join(bundle.notes))
    if data["missing"]:
        parts.append("Not given:\n" + aligned([[f"  {a}", b] for a, b in bundle.missing()]))
    if data["unused"]:
        needed = bundle.used_only_with()
        told = [f"{one} (needs {needed[one]})" if one in needed else one for one in data["unused"]]
        parts.append(f"Kept, for Python alone: {', '.join(told)}")
    return Report(plain(data), "\n\n".join(parts))
