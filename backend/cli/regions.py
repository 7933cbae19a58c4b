"""Commands about failures: fit regions, and describe a group in words and shares."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backend.bundle import Bundle
from backend.cli.bundles import column_map, find_bundle
from backend.cli.region_files import read_regions
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    plain,
    taken_out,
    write_file,
)
from backend.core.counts import counts_of
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.groups import Group, sharp_group, weighted_group
from backend.core.wording import effect_words
from backend.describe import attribute_tables, describe_group, token_table
from backend.describe.naming.bundle import name_all_in_bundle
from backend.difficulty import high_loss
from backend.store import Store

if TYPE_CHECKING:
    from backend.spotlight import Spotlights


def fit(options: Namespace) -> Report | None:
    """Find regions with high losses and write them as ``.npz``."""
    from backend.cli.shared_fit import fit_together, search_options, started_together

    if started_together():
        shared = fit_together(options)
        return None if shared is None else _written(*shared, options)
    check_target(options.out)
    bundle = find_bundle(
        options.bundle,
        home=options.home,
        columns=column_map(options.map),
        layer=options.layer,
    )
    from backend.spotlight.find import search_spotlights  # loads torch

    found = search_spotlights(
        bundle.embeddings,
        bundle.losses,
        search_options(options, bundle),
        counts=counts_of(bundle, options.counts),
        device=options.device,
        progress=StderrProgress(),
    )
    return _written(bundle, found, options)


def _written(bundle: Bundle, found: Spotlights, options: Namespace) -> Report:
    """Write what was found, and say it."""
    from backend.spotlight import members

    counts = counts_of(bundle, options.counts)
    rows_of = [
        members(weights, float(total), counts)
        for weights, total in zip(found.weights, found.total_weights, strict=True)
    ]
    names = name_all_in_bundle(bundle, rows_of)
    sink = io.BytesIO()
    # What evaluates prepared regions again; others need their centers and precisions only.
    asked: dict[str, Any] = {"options": json.dumps(found.options)} if found.preparation else {}
    np.savez(
        sink,
        weights=found.weights,
        centers=found.centers,
        precisions=found.precisions,
        weighted_losses=found.weighted_losses,
        total_weights=found.total_weights,
        names=np.array(names, dtype=str),
        ids=bundle.ids,
        **asked,
    )
    write_file(options.out, sink.getvalue())
    taken_out(bundle, "the regions of a search", options)
    regions = []
    for index, (weights, rows) in enumerate(zip(found.weights, rows_of, strict=True)):
        group = weighted_group("region", rows, weights, bundle.losses)
        regions.append(
            {
                "region": index + 1,
                "members": group.n_members,
                "total_weight": float(found.total_weights[index]),
                "effective_size": group.effective_size,
                "weighted_loss": float(found.weighted_losses[index]),
                "member_loss": group.member_loss,
                "status": found.outcomes[index].status,
                "constraint": found.outcomes[index].constraint,
                "message": found.outcomes[index].message,
                "name": names[index],
                "words": _words(bundle, group),
            }
        )
    data = {
        "bundle": bundle.digest,
        "name": bundle.name,
        "layer": bundle.layer,
        "base_loss": bundle.base_loss,
        "out": str(options.out),
        "notes": list(found.notes),
        "regions": regions,
    }
    header = ["region", "members", "weighted loss", "member loss", "status", "name"]
    table = [
        [
            one["region"],
            one["members"],
            one["weighted_loss"],
            one["member_loss"],
            one["status"],
            one["name"],
        ]
        for one in regions
    ]
    notes = "".join(f"{note}\n" for note in found.notes)
    text = (
        f"{bundle.name}: {bundle.n:,} examples, mean loss {bundle.base_loss:.4g}\n{notes}\n"
        f"{aligned(table, header)}\n\nWritten to {options.out}."
    )
    return Report(plain(data), text)


def describe(options: Namespace) -> Report:
    """What the members of a group share: a phrase, words, attribute values."""
    bundle = find_bundle(options.bundle, home=options.home, columns=column_map(options.map))
    title, group, fact = _chosen(bundle, options)
    weights = group.weights
    tokens = None
    if bundle.has_text:
        tokens = token_table(bundle.examples["text"].tolist(), weights, top=options.top)
    tables = {
        one.name: one.table.head(options.top)
        for one in attribute_tables(_facts(bundle), weights, bundle.losses)
    }
    data = {
        "bundle": bundle.digest,
        "group": title,
        "number": fact.get("number"),
        "name": fact.get("name"),
        "members": group.n_members,
        "total_weight": fact.get("total_weight", group.total_weight),
        "effective_size": fact.get("effective_size", group.effective_size),
        "weighted_loss": fact.get("weighted_loss", group.weighted_loss),
        "member_loss": group.member_loss,
        "base_loss": group.base_loss,
        "small": group.small,
        "effect": fact.get("effect"),
        "p": fact.get("p"),
        "verdict": fact.get("verdict"),
        "words": _words(bundle, group),
        "tokens": tokens,
        "attributes": tables,
    }
    size = f"{group.n_members:,} examples" + (" (small: read with care)" if group.small else "")
    # Of a group with a sharp border there is one mean.
    soft = "" if fact else f"weighted loss {group.weighted_loss:.4g}, "
    parts = [
        f"{title} of {bundle.name}: {size}, {soft}mean loss "
        f"of the members {group.member_loss:.4g}, of everybody {group.base_loss:.4g}"
    ]
    if fact.get("effect"):
        from backend.cli.failures import said_of

        p, verdict = said_of(fact)
        parts.append(f"{effect_words(Effect.from_dict(fact['effect']))}. p {p}: {verdict}")
    if data["words"]:
        parts.append(f"They share: {data['words']}")
    if tokens is not None:
        parts.append(_shares("words", tokens))
    parts += [_shares(name, table) for name, table in tables.items()]
    if not data["words"] and tokens is None and not tables:
        parts.append("The bundle has neither text, labels nor attributes to describe them with.")
    return Report(plain(data), "\n\n".join(parts))


def _chosen(bundle: Bundle, options: Namespace) -> tuple[str, Group, Mapping[str, Any]]:
    """What a group is called, the group, and what its file says of it."""
    losses = bundle.losses
    if options.tag is not None:
        with_tags = Store(home=options.home)
        table = with_tags.tags(bundle)
        with_tags.close()
        ids = table.loc[table["tag"] == options.tag, "id"]
        rows = np.flatnonzero(bundle.examples["id"].isin(set(ids)))
        if not len(rows):
            known = ", ".join(sorted(set(table["tag"]))) or "none"
            raise InputError(f"no example carries the tag {options.tag!r}. The tags are: {known}.")
        return f"Tag '{options.tag}'", sharp_group("tag", rows, losses), {}
    if options.regions is not None:
        file = read_regions(bundle, options.regions)
        number, count = options.region, len(file["weights"])
        if not 1 <= number <= count:
            raise InputError(f"--region must be 1 to {count} for {options.regions}: got {number}.")
        rows = file["members"][number - 1]
        rows = rows[rows >= 0]
        fact = (file.meta.get("regions") or [{}] * count)[number - 1]
        if fact:
            title = f"Region {fact['number']}, {fact['name']},"
            return title, sharp_group("region", rows, losses), fact
        weights = file["weights"][number - 1]
        title = f"Region {number}"
        if "names" in file:
            title += f", {file['names'][number - 1]},"
        return title, weighted_group("region", rows, weights, losses), {}
    mask = high_loss(losses, quantile=options.quantile)
    return "The largest losses", sharp_group("high loss", mask, losses), {}


def _named(bundle: Bundle) -> dict[str, Any]:
    """Label and prediction of every example by name, as far as they are known."""
    given = (("label", bundle.label_names), ("prediction", bundle.prediction_names))
    return {what: names for what, names in given if names is not None}


def _facts(bundle: Bundle) -> pd.DataFrame:
    """Label and prediction, then the attributes; an attribute of the same name wins."""
    own = bundle.examples[bundle.attributes]
    named = {what: v for what, v in _named(bundle).items() if what not in own.columns}
    return pd.concat([pd.DataFrame(named, index=own.index), own], axis=1)


def _words(bundle: Bundle, group: Group) -> str:
    sharp = np.zeros(bundle.n)
    sharp[group.rows] = 1.0
    named = _named(bundle)
    if not named and not bundle.attributes and not bundle.has_text:
        return ""  # embeddings and losses alone
    return describe_group(
        sharp,
        labels=named.get("label"),
        predictions=named.get("prediction"),
        examples=bundle.examples,
    )


def _shares(title: str, table: pd.DataFrame) -> str:
    names = [name for name in table.columns if not table[name].isna().all()]
    return f"{title}\n" + aligned(
        table[names].itertuples(index=False), [name.replace("_", " ") for name in names]
    )
