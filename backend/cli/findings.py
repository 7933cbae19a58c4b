"""Commands that say what was found: a report, and hypotheses that are tested and kept."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backend.bundle import Bundle, list_bundles
from backend.cache import Cache
from backend.cli.bundles import digest_named, find_bundle
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    listed,
    plain,
    shown,
    taken_out,
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
from backend.spotlight.options import usual_size
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
    taken_out(bundle, "the report", options)
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
        from backend.cli.region_files import read_regions

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
        searched = {
            "spotlights": {
                "n_spotlights": options.spotlights,
                "seed": options.seed,
                "size": _size(options.size, bundle),
            }
        }
    chapters = _chapters(bundle, options)
    asked = complete_options("report", {**searched, "layer": options.layer, "chapters": chapters})
    return report_contents(bundle, asked, StderrProgress(), home=options.home)


def _chapters(bundle: Bundle, options: Namespace) -> dict[str, Any]:
    """What the options ask to be told beyond regions."""
    from backend.tasks.chapters import asked_chapters

    before = None if options.before is None else digest_named(options.before, options.home)
    store = Store(home=options.home)
    try:
        return asked_chapters(
            bundle,
            store,
            cause=options.cause,
            words=options.words,
            lists=options.contexts or (),
            repair=options.repair,
            strength=options.strength,
            before=before,
            known=[one.digest for one in list_bundles(options.home)],
            home=options.home,
        )
    finally:
        store.close()


def _size(given: float | None, bundle: Bundle) -> float:
    return usual_size(bundle.has_images) if given is None else given


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
        taken_out(bundle, "the hypotheses", options)
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
    """Groups of several methods in one table, with what examples kept aside say of each.

    With an older run named, all groups of both runs with their changes instead.
    """
    if options.before is not None:
        from backend.cli.runs import compare_runs

        return compare_runs(options)
    from backend.tasks import complete_options
    from backend.tasks.kept import kept_result
    from backend.tasks.methods import (
        HOW,
        comparison_table,
        fewer_groups,
        george_options,
        named_rows,
    )

    if options.out:
        check_target(options.out)
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    asked = complete_options(
        "methods",
        {
            **({"methods": options.methods} if options.methods else {}),
            "n_groups": options.groups,
            "size": _size(options.size, bundle),
            "seed": options.seed,
            "layer": options.layer,
            "george": george_options(options.reduction, options.max_k, options.overcluster),
        },
    )
    meta = kept_result(
        "methods", bundle, asked, progress=StderrProgress(), cache=Cache(options.home)
    ).meta
    store = Store(home=options.home)
    try:
        rows = named_rows(meta, store.region_names(bundle))
    finally:
        store.close()
    data: dict[str, Any] = {
        "bundle": bundle.digest,
        "base_loss": meta["base_loss"],
        "n_aside": meta["n_aside"],
        "table": [_told_of(row) for row in rows],
        "fewer": fewer_groups(meta),
        "skipped": meta["skipped"],
    }
    shown_rows = comparison_table(rows).drop(columns="note")
    parts = [
        f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}; "
        f"{meta['n_aside']:,} kept aside",
        aligned(shown_rows.itertuples(index=False), list(shown_rows.columns)),
        HOW,
    ]
    notes = sorted({(row["method"], row["note"]) for row in rows if row["note"]})
    notes += fewer_groups(meta).items()
    if notes:
        parts.append("\n".join(f"{method}: {note}" for method, note in notes))
    if meta["skipped"]:
        parts.append("\n".join(f"Left out: {name}. {why}" for name, why in meta["skipped"].items()))
    if options.out:
        table = pd.DataFrame([_flat(row) for row in rows])
        text = table.map(lambda cell: neutralise(cell) if isinstance(cell, str) else cell)
        write_file(options.out, text.to_csv(index=False, lineterminator="\n").encode())
        taken_out(bundle, "the comparison of methods", options)
        data["out"] = str(options.out)
        parts.append(f"Written to {options.out}.")
    return Report(plain(data), "\n\n".join(parts))


_RENAMED = {"size": "total_weight", "mean_loss": "weighted_loss", "ratio": "weighted_ratio"}
"""Columns of the task's table -> what they are called beside those of other commands."""
_UNSAID = ("held_out_loss", "held_out_ratio", "rediscovered", "small")


def _told_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a comparison as JSON, under the names that other commands have."""
    return {_RENAMED.get(name, name): row[name] for name in row if name not in _UNSAID}


_MEASURED = (
    *("n", "n_groups", "loss", "loss_low", "loss_high", "loss_base", "loss_label"),
    *("error", "error_low", "error_high", "error_base", "error_label"),
)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a comparison for a CSV: what was measured in columns of its own."""
    effect = row["effect"] or {}
    said = ("method", "group", "kind", "members")
    told = ("multiple", "p", "verdict", "folded_into", "note")
    return (
        {name: row[name] for name in said}
        | {"kept_aside" if name == "n" else name: effect.get(name) for name in _MEASURED}
        | {name: row[name] for name in told}
    )
