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
from backend.core.wording import (
    KEPT_ASIDE,
    MEMBERS,
    MULTIPLE,
    WEIGHTED,
    P,
    effect_cells,
    effect_names,
)
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
from backend.report.contents import ReportContents
from backend.store import Store


def report(options: Namespace) -> Report:
    """Write a report as HTML, and perhaps a section of a model card."""
    for path in filter(None, (options.out, options.markdown)):
        check_target(path)
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    contents = _contents(bundle, options)
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
                "member_loss": one.group.member_loss,
                "effect": None if one.effect is None else one.effect.to_dict(),
                "p": one.claim.get("p", one.claim.get("p_value")),
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
        [
            [
                one.number,
                one.name,
                one.group.n_members,
                *((one.effect.n, *effect_cells(one.effect)) if one.effect else ()),
                *(() if one.effect else (one.group.weighted_loss,)),
                one.claim.get("p_words", one.claim.get("p_value")),
                one.claim.get("verdict"),
            ]
            for one in contents.regions
        ],
        ["region", "name", MEMBERS, *_measured(contents), P, "verdict"],
    )
    return Report(plain(data), f"{table}\n\n{' '.join(written)}.")


def _measured(contents: ReportContents) -> list[str]:
    """Names of the columns between members and p."""
    effects = [one.effect for one in contents.regions if one.effect]
    return [KEPT_ASIDE, *effect_names(effects), MULTIPLE] if effects else [WEIGHTED]


def _contents(bundle: Bundle, options: Namespace) -> ReportContents:
    """What the report says: of the regions of a file, or of what the page would search."""
    from backend.tasks import complete_options
    from backend.tasks.report import claims_of_regions, report_contents

    if options.regions:
        from backend.cli.regions import read_regions

        file = read_regions(bundle, options.regions)
        told = bool(file.meta.get("regions"))
        store = Store(home=options.home)
        try:
            return gather(
                bundle,
                store=store,
                regions=file,
                assessment=claims_of_regions(file.meta) if told else None,
            )
        finally:
            store.close()
    if options.spotlights is None:
        searched: dict[str, Any] = {"regions": {"seed": options.seed}}
    else:
        size = {} if options.size is None else {"size": options.size}
        searched = {
            "spotlights": {"n_spotlights": options.spotlights, "seed": options.seed, **size}
        }
    asked = complete_options("report", {**searched, "layer": options.layer})
    return report_contents(bundle, asked, StderrProgress(), home=options.home)


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


_REFOUND = {
    "size": "total_weight",
    "mean_loss": "weighted_loss",
    "ratio": "weighted_ratio",
    "held_out_loss": "refound_loss",
    "held_out_ratio": "refound_ratio",
    "p": "refound_p",
}
"""Columns of the task's table -> what they are called beside those of other commands."""


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
    table = pd.DataFrame(meta["table"]).rename(columns=_REFOUND)
    data: dict[str, Any] = {
        "bundle": bundle.digest,
        "base_loss": meta["base_loss"],
        "table": table,
        "skipped": meta["skipped"],
    }
    names = ["method", "group", "total_weight", "weighted_loss", "weighted_ratio"]
    names += ["refound_loss", "rediscovered", "refound_p"]
    parts = [
        f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}",
        aligned(table[names].itertuples(index=False), [name.replace("_", " ") for name in names]),
        "Refound: each half of the examples is searched anew by the method, and the group that "
        "resembles this one most is tested on the other half. What the command regions prints is "
        "measured on examples kept aside, and its regions are found with all that is known.",
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
