"""The report as a section of a model card, in Markdown that says what was meant and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from backend.core.wording import effect_cells, effect_names, one_line
from backend.report.contents import ReportContents
from backend.report.html import clean, interval, number, percent
from backend.store import KnownRegion

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~=$^'\"])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", "/": "&#47;"}


def escape(value: Any) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no link made out of an address.

    Examples
    --------
    >>> escape("[x](javascript:alert) <b>")
    '\\[x\\]\\(javascript&#58;alert\\) &lt;b&gt;'
    """
    text = one_line(clean(value))
    marked = _MARKS.sub(r"\\\1", text)
    # After the marks: the sign # of an entity must stay as it is.
    return "".join(_ENTITIES.get(sign, sign) for sign in marked)


def model_card_section(contents: ReportContents, *, level: int = 2) -> str:
    """Regions, hypotheses and limits as Markdown (CommonMark with tables).

    Parameters
    ----------
    contents : ReportContents
        From ``gather``.
    level : int
        Of the heading, 1 to 5.
    """
    bundle = contents.bundle
    top, below = "#" * level, "#" * (level + 1)
    accuracy = f", accuracy {percent(bundle.accuracy)}" if bundle.accuracy is not None else ""
    lines = [
        f"{top} Where the model fails together",
        "",
        f"{escape(bundle.name)}: {number(bundle.n)} examples, mean loss "
        f"{number(bundle.base_loss)}{accuracy}. Digest `{bundle.content[:16]}`, written "
        f"{contents.written} by Errorscope {escape(contents.versions['errorscope'])}.",
        "",
        f"{below} Regions",
        "",
    ]
    if contents.regions:
        claimed = any(region.claim for region in contents.regions)
        effects = [region.effect for region in contents.regions if region.effect]
        if effects:
            lines += _measured(contents, effect_names(effects), claimed)
        else:
            header = ["#", "What its members share", "Members", "Weighted loss", "Weighted × base"]
            header += (
                ["Held-out × base", "95\u00a0% interval", "p", "p, adjusted", "Verdict"]
                if claimed
                else []
            )
            lines += _table(header, (_region(region, claimed) for region in contents.regions))
    else:
        lines.append("No regions were searched.")
    for chapter in contents.chapters:
        lines += ["", f"{below} {escape(chapter.title)}"]
        for sentence in chapter.sentences:
            lines += ["", escape(sentence)]
        for caption, table in chapter.tables:
            cells = (
                [escape(number(cell)) for cell in row] for row in table.itertuples(index=False)
            )
            lines += ["", *([escape(caption), ""] if caption else [])]
            lines += _table([escape(name) for name in table.columns], cells)
    if contents.known:
        lines += ["", f"{below} Set aside", ""]
        if contents.options.get("known"):
            searched = f"Searched with {contents.options['known']}: p is about what was left."
            lines += [searched, ""]
        header = ["Region", "Members", "Why", "Note", "Who", "When"]
        lines += _table(header, (_set_aside(one) for one in contents.known))
    lines += ["", f"{below} Hypotheses", ""]
    if len(contents.cards):
        header = ["Hypothesis", "Verdict", "Matching", "Others", "Difference", "Interval"]
        rows = (
            [
                escape(card["sentence"]),
                escape(card["verdict_adjusted"]),
                number(card["n_matching"]),
                number(card["n_other"]),
                number(card["difference"]),
                interval(card["low"], card["high"]),
                number(card["p"]),
                number(card["p_adjusted"]),
            ]
            for card in contents.cards.to_dict("records")
        )
        lines += _table([*header, "p", "p, adjusted"], rows)
    else:
        lines.append("No hypothesis was written down.")
    lines += ["", f"{below} What is not claimed", ""]
    lines += [f"- {sentence}" for sentence in contents.limits]
    return "\n".join(lines) + "\n"


def _measured(contents: ReportContents, measured: tuple[str, str], claimed: bool) -> list[str]:
    """Regions with what examples kept aside say of each; a line below, with that of its label."""
    header = ["#", "Name", "Members", "Kept aside", f"{measured[0].capitalize()} of these"]
    header += [measured[1].capitalize(), "× others", *(["p", "Verdict"] if claimed else [])]
    rows, below = [], []
    for region in contents.regions:
        if region.effect is None:
            continue
        cells = [str(region.number), escape(region.name), number(region.group.n_members)]
        cells += [number(region.effect.n), *map(escape, effect_cells(region.effect))]
        if claimed:
            cells += [escape(region.claim["p_words"]), escape(region.claim["verdict"])]
            below.append(f"{region.number}\\. {escape(region.claim['sentence'])}")
        rows.append(cells)
    quote = (
        "The numbers from Kept aside on are the ones to quote, with their 95\u00a0% interval: they are "
        "of examples that had no part in finding the region."
    )
    explained = str(contents.assessed.get("explained") or "")
    below += [escape(explained)] if explained else []
    return [*_table(header, rows), "", quote, *(line for one in below for line in ("", one))]


def _set_aside(one: KnownRegion) -> list[str]:
    cells = [one.name, number(len(one.ids)), one.reason, one.note, one.author, one.time[:10]]
    return [escape(cell) for cell in cells]


def _region(region: Any, claimed: bool) -> list[str]:
    group, claim = region.group, region.claim
    cells = [
        str(region.number),
        escape(region.name),
        number(group.n_members) + (" (small)" if group.small else ""),
        number(group.weighted_loss),
        number(group.ratio),
    ]
    if claimed:
        held = claim.get("held_out_lift") or {}
        cells += [
            number(held.get("value")),
            interval(held.get("low"), held.get("high")),
            number(claim.get("p_value")),
            number(claim.get("p_adjusted")),
            escape(claim.get("verdict", "–")),
        ]
    return cells


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
