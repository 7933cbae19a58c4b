"""The export command: flagged examples out, and an earlier export again from its manifest."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from backend.bundle import Bundle
from backend.bundle.training import Training, training_of
from backend.cli.bundles import find_bundle
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    note,
    plain,
    taken_out,
    write_file,
)
from backend.core.errors import InputError
from backend.export import Export, export_flagged, export_training, replay
from backend.export.manifest import MAX_BYTES
from backend.store import Store


def export(options: Namespace) -> Report:
    """Write the tagged examples, or replay a manifest."""
    for path in filter(None, (options.out, options.manifest)):
        check_target(path)
    if options.replay is not None:
        return _replay(options)
    bundle = find_bundle(options.bundle, home=options.home)
    store = Store(home=options.home)
    try:
        if options.training:
            made = export_training(_training(bundle), store, tags=options.tag)
        else:
            made = export_flagged(bundle, store, tags=options.tag, home=options.home)
    finally:
        store.close()
    examples = "training examples" if options.training else "examples"
    what = f"the tagged {examples}" + (" with their manifest" if options.manifest else "")
    written = _written(made, options)
    taken_out(bundle, what, options)
    return written


def _training(bundle: Bundle) -> Training:
    training = training_of(bundle)
    if training is None:
        raise InputError(f"bundle '{bundle.name}' says nothing of training examples.")
    return training


def _replay(options: Namespace) -> Report:
    path = Path(options.replay)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is too large for a manifest: {path.stat().st_size:,} bytes.")
    made = replay(
        path.read_bytes(), home=options.home, refit=options.refit, progress=StderrProgress()
    )
    written = _written(made, options)
    note(
        made.manifest["bundle"]["digest"],
        "exported",
        "the examples of a manifest",
        home=options.home,
    )
    return written


def _written(made: Export, options: Namespace) -> Report:
    write_file(options.out, made.csv)
    data: dict[str, Any] = {
        "out": str(options.out),
        "rows": len(made.rows),
        "sha256": made.manifest["csv"]["sha256"],
        "tags": made.rows["tag"].value_counts(sort=False).to_dict(),
    }
    if options.manifest:
        write_file(options.manifest, made.manifest_json)
        data["manifest"] = str(options.manifest)
    lines = [
        aligned(
            [[name, count] for name, count in data["tags"].items()],
            ["tag", "training examples" if made.manifest.get("of") else "examples"],
        ),
        f"{len(made.rows):,} rows written to {options.out}."
        + (f" Manifest: {options.manifest}." if options.manifest else ""),
    ]
    if made.identical is not None:
        data["identical"] = made.identical
        lines.append(
            "The file is identical to the one exported then, byte by byte."
            if made.identical
            else "The file differs from the one exported then: the manifest was changed, or "
            "another version of Errorscope wrote it."
        )
    if made.membership is not None:
        data["membership"] = made.membership
        table = made.membership
        header = [name.replace("_", " ") for name in table.columns]
        lines.append("Fitted again:\n" + aligned(table.itertuples(index=False), header))
    return Report(plain(data), "\n\n".join(lines))
