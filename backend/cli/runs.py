"""Commands about two runs of one evaluation set: linking them, and what changed from one to the other."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from typing import Any

from backend.bundle import list_bundles, open_bundle, shared_rows
from backend.cache import Cache
from backend.cli.bundles import digest_named
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    plain,
    taken_out,
    write_file,
)
from backend.core.errors import InputError
from backend.export.cells import neutralise
from backend.store import Store


def link(options: Namespace) -> Report:
    """Link a bundle to an older run, or take that back; without an older one, list its links."""
    from backend.tasks.linked import linked_runs

    bundle = open_bundle(digest_named(options.bundle, options.home), options.home)
    data: dict[str, Any] = {"bundle": bundle.digest}
    parts = []
    with contextlib.closing(Store(home=options.home)) as store:
        if options.older is not None:
            older = open_bundle(digest_named(options.older, options.home), options.home)
            if options.undo:
                store.unlink_runs(bundle, older, name=older.name, author=options.author)
                parts.append(f"{bundle.name} is no longer linked to {older.name}.")
            else:
                shared = shared_rows(older, bundle)
                store.link_runs(
                    bundle,
                    older,
                    name=older.name,
                    unchanged=options.unchanged,
                    author=options.author,
                )
                data["shared"], data["notes"] = len(shared.before), shared.notes
                parts.append(
                    f"{bundle.name} is linked to {older.name}: {len(shared.before):,} examples in both."
                )
                parts += shared.notes
        links = linked_runs(bundle, store)
    data["links"] = [vars(one) for one in links]
    rows = [
        [one.older[:12], one.name, one.unchanged, one.author, one.time[:16] or None]
        for one in links
    ]
    header = ["older run", "name", "another seed only", "by", "when"]
    parts.append(aligned(rows, header) if rows else "It is linked to no older run.")
    return Report(plain(data), "\n".join(parts))


def compare_runs(options: Namespace) -> Report:
    """Every group of a bundle and an older run with its change, as the page "Before and after" has it."""
    from backend.tasks import complete_options
    from backend.tasks.changes import change_cells, change_table
    from backend.tasks.kept import kept_result
    from backend.tasks.linked import before_after_options, linked_runs

    if options.out:
        check_target(options.out)
    bundle = open_bundle(digest_named(options.bundle, options.home), options.home)
    control = None
    if options.control is not None:
        control = digest_named(options.control, options.home) if options.control else ""
    with contextlib.closing(Store(home=options.home)) as store:
        if options.before:
            before = digest_named(options.before, options.home)
        else:
            links = linked_runs(bundle, store)
            if not links:
                raise InputError(
                    f"'{bundle.name}' is linked to no older run. Name one: compare BUNDLE --before OLDER, "
                    "or link it: link BUNDLE OLDER."
                )
            before = links[0].older
        known = [info.digest for info in list_bundles(options.home)]
        asked = before_after_options(bundle, before, store, known, control, options.home)
    kept = kept_result(
        "before_after",
        bundle,
        complete_options("before_after", asked),
        progress=StderrProgress(),
        cache=Cache(options.home),
        home=options.home,
    )
    table, cells = change_table(kept), change_cells(kept)
    data: dict[str, Any] = {
        "bundle": bundle.digest,
        **{name: asked[name] for name in ("before", "control")},
        **{name: kept.meta[name] for name in ("n", "notes", "sentence")},
        "table": table,
        "failed": bundle.ids[kept["failed"]],
        "repaired": bundle.ids[kept["repaired"]],
    }
    parts = [
        kept.meta["sentence"],
        aligned(cells.itertuples(index=False), list(cells.columns)),
        *kept.meta["notes"],
    ]
    if options.out:
        text = table.map(lambda cell: neutralise(cell) if isinstance(cell, str) else cell)
        write_file(options.out, text.to_csv(index=False, lineterminator="\n").encode())
        taken_out(bundle, "what changed since an older run", options)
        data["out"] = str(options.out)
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))
