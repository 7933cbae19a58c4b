"""The command that lists regions, within and across labels."""

from __future__ import annotations

import io
from argparse import Namespace

import numpy as np

from backend.bundle import Bundle
from backend.cli.bundles import column_map, find_bundle
from backend.cli.report import Report, StderrProgress, aligned, check_target, plain, write_file
from backend.core.errors import InputError


def regions(options: Namespace) -> Report:
    """List regions where the model fails, with the evidence from examples that did not find them."""
    if options.out is not None:
        check_target(options.out)
    bundle = find_bundle(
        options.bundle,
        home=options.home,
        columns=column_map(options.map),
        layer=options.layer,
    )
    from backend.spotlight import find_regions, region_arrays, region_facts  # loads torch

    found = find_regions(
        bundle.embeddings,
        bundle.losses,
        labels=bundle.label_names,
        groups=_column(bundle, options.groups),
        n_regions=options.regions,
        seed=options.seed,
        device=options.device,
        progress=StderrProgress(),
    )
    facts = region_facts(found, bundle.losses)
    if options.out is not None:
        sink = io.BytesIO()
        arrays = {"scopes": np.array(found.scopes), "ids": bundle.ids, **region_arrays(found)}
        np.savez(sink, **arrays)  # type: ignore[arg-type]
        write_file(options.out, sink.getvalue())
    data = {
        "bundle": bundle.digest,
        "name": bundle.name,
        "layer": bundle.layer,
        "base_loss": found.mean_loss,
        "notes": list(found.notes),
        "out": None if options.out is None else str(options.out),
        "regions": facts,
    }
    header = ["region", "looked for", "members", "member loss", "held-out loss", "error", "p"]
    table = [
        [
            at,
            one["scope"],
            one["n_members"],
            one["member_loss"],
            one["held_out_loss"],
            one["held_out_error"],
            one["p_value"],
        ]
        for at, one in enumerate(facts, start=1)
    ]
    parts = [f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}"]
    parts.append(aligned(table, header) if table else "No region was found.")
    parts += found.notes
    if facts:
        parts.append(
            f"Held-out losses are cut at {found.loss_cap:.4g}; the mean of all is then "
            f"{facts[0]['held_out_base']:.4g}."
        )
    if options.out is not None:
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))


def _column(bundle: Bundle, name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    if name not in bundle.examples:
        known = ", ".join(map(str, bundle.examples.columns))
        raise InputError(f"--groups must name a column: got {name!r}. There are: {known}.")
    return np.asarray(bundle.examples[name].to_numpy())
