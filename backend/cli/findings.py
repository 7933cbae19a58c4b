"""Commands that say what was found: a report, and hypotheses that are tested and kept."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backend.bundle import Bundle
from backend.cli.bundles import find_bundle
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    listed,
    plain,
    shown,
    write_file,
)
from backend.core.groups import weighted_group
from backend.export.cells import neutralise
from backend.report import (
    delete_hypothesis,
    evaluate,
    gather,
    hypotheses,
    hypotheses_csv,
    hypotheses_json,
    keep_hypothesis,
    model_card_section,
    render_report,
)
from backend.store import Store


def report(options: Namespace) -> Report:
    """Write a report as HTML, and perhaps a section of a model card."""
    for path in filter(None, (options.out, options.markdown)):
        check_target(path)
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    regions, assessment = _regions(bundle, options)
    store = Store(home=options.home)
    try:
        contents = gather(bundle, store=store, regions=regions, assessment=assessment)
    finally:
        store.close()
    write_file(options.out, render_report(contents))
    data: dict[str, Any] = {
        "out": str(options.out),
        "markdown": options.markdown,
        "bundle": bundle.digest,
        "regions": [
            {
                "region": one.number,
                "name": one.name,
                "members": one.group.n_members,
                "weighted_loss": one.group.weighted_loss,
                "verdict": one.claim.get("verdict"),
            }
            for one in contents.regions
        ],
        "hypotheses": len(contents.cards),
    }
    written = [f"Written to {options.out}"]
    if options.markdown:
        write_file(options.markdown, model_card_section(contents).encode())
        written.append(f"and {options.markdown}")
    table = aligned(
        [list(one.values()) for one in data["regions"]],
        ["region", "what they share", "members", "weighted loss", "verdict"],
    )
    return Report(plain(data), f"{table}\n\n{' '.join(written)}.")


def _regions(bundle: Bundle, options: Namespace) -> tuple[Any, Any]:
    """The regions of a file, or of a search made now with the claim of each."""
    if options.regions:
        from backend.cli.regions import read_regions

        weights, rows = read_regions(bundle, options.regions)
        losses = bundle.losses
        pairs = zip(rows, weights, strict=True)
        return [weighted_group("region", row, weight, losses) for row, weight in pairs], None
    from backend.spotlight import assess_spotlights, find_spotlights  # loads torch

    progress = StderrProgress()
    asked = {"size": options.size, "n_spotlights": options.spotlights, "seed": options.seed}
    found = find_spotlights(
        bundle.embeddings,
        bundle.losses,
        progress=lambda fraction, told: progress(0.4 * fraction, told),
        **asked,
    )
    assessment = assess_spotlights(
        bundle.embeddings,
        bundle.losses,
        labels=bundle.label_codes,
        n_permutations=0,
        n_bootstrap=0,
        found=found,
        progress=lambda fraction, told: progress(0.4 + 0.6 * fraction, told),
        **asked,
    )
    return found, assessment


def hypothesis(options: Namespace) -> Report:
    """Test a hypothesis and keep its card; list, export or delete cards."""
    if options.out:
        check_target(options.out)
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    store = Store(home=options.home)
    try:
        if options.delete:
            delete_hypothesis(bundle, store, options.delete, author=options.author)
        tested = _tested(bundle, store, options) if options.rule is not None else None
        return _told(bundle, store, options, tested)
    finally:
        store.close()


def _tested(bundle: Bundle, store: Store, options: Namespace) -> Any:
    used = source = None
    if options.used is not None:
        used = np.flatnonzero(evaluate(options.used, bundle, store.tags(bundle)))
        source = {"kind": "rule", "rule": options.used}
    verdict, event = keep_hypothesis(
        bundle,
        store,
        options.sentence or options.rule,
        options.rule,
        source=source,
        author=options.author,
        used_rows=used,
        groups=options.groups,
        seed=options.seed,
        null=options.null,
        alternative=options.alternative,
    )
    return {"key": event.payload["key"], **verdict.to_dict()}


def _told(bundle: Bundle, store: Store, options: Namespace, tested: Any) -> Report:
    table = hypotheses(bundle, store)
    data: dict[str, Any] = {"bundle": bundle.digest, "hypotheses": table, "tested": tested}
    parts = []
    if tested is not None:
        card = table[table["key"] == tested["key"]].iloc[0]
        names = (
            "n_matching",
            "n_other",
            "matching_loss",
            "other_loss",
            "difference",
            "low",
            "high",
        )
        facts = [(name.replace("_", " "), tested[name]) for name in names]
        facts += [("p", tested["p"]), ("p, adjusted", card["p_adjusted"])]
        facts += [("tests in this bundle", int(card["tests"])), ("key", tested["key"])]
        parts.append(f"{tested['verdict'].capitalize()}. {tested['reason']}\n\n{listed(facts)}")
    elif table.empty:
        parts.append("No hypothesis is written down yet. Write one: hypothesis BUNDLE --rule RULE")
    else:
        columns = ["sentence", "verdict_adjusted", "n_matching", "difference", "low", "high"]
        columns += ["p", "p_adjusted", "key"]
        rows = [[shown(cell) for cell in row] for row in table[columns].itertuples(index=False)]
        parts.append(aligned(rows, [name.replace("_", " ") for name in columns]))
    if options.out:
        as_json = Path(options.out).suffix.lower() == ".json"
        write_file(options.out, (hypotheses_json if as_json else hypotheses_csv)(bundle, store))
        data["out"] = str(options.out)
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))


def check_combination(options: Namespace) -> str | None:
    """What is wrong with the options of ``hypothesis`` together; None when nothing is."""
    if options.rule is None:
        for name in ("sentence", "used", "groups"):
            if getattr(options, name) is not None:
                return f"--{name} goes with --rule"
    if options.rule is not None and options.delete is not None:
        return "--delete does not go with --rule"
    return None


def compare(options: Namespace) -> Report:
    """Groups of several methods in one table, each tested on the half that did not make it."""
    from backend.tasks import complete_options, run_methods

    if options.out:
        check_target(options.out)
    asked = complete_options(
        "methods",
        {
            **({"methods": options.methods} if options.methods else {}),
            "n_groups": options.groups,
            "size": options.size,
            "seed": options.seed,
            "layer": options.layer,
        },
    )
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    _, meta = run_methods(bundle, asked, StderrProgress(), lambda arrays, meta: None)
    table = pd.DataFrame(meta["table"])
    data: dict[str, Any] = {
        "bundle": bundle.digest,
        "base_loss": meta["base_loss"],
        "table": table,
        "skipped": meta["skipped"],
    }
    names = ["method", "group", "size", "mean_loss", "ratio", "held_out_loss", "rediscovered", "p"]
    parts = [
        f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}",
        aligned(table[names].itertuples(index=False), [name.replace("_", " ") for name in names]),
    ]
    notes = sorted({(row["method"], row["note"]) for row in meta["table"] if row["note"]})
    if notes:
        parts.append("\n".join(f"{method}: {note}" for method, note in notes))
    if meta["skipped"]:
        parts.append("\n".join(f"Left out: {name}. {why}" for name, why in meta["skipped"].items()))
    if options.out:
        text = table.map(lambda cell: neutralise(cell) if isinstance(cell, str) else cell)
        write_file(options.out, text.to_csv(index=False, lineterminator="\n").encode())
        data["out"] = str(options.out)
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))
