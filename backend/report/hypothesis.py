"""Hypothesis cards: a sentence and a rule, tested, kept, counted.

A card is the payload of a ``hypothesis`` event: ``sentence``, ``rule`` (text; empty when the card
is about a set picked by hand), ``source`` (what it was read from) and ``verdict``
(``Verdict.to_dict()``). Every version of a card stays in the log. How many tests were made is
counted there, deleted and undone cards included: throwing a contradicted hypothesis away does not make
the next one more likely. Cards of earlier versions are read in the words of today
(``backend.rules.cards``).
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import pandas as pd

from backend.bundle import Bundle
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.export.cells import neutralise
from backend.report.origin import Origins
from backend.report.verdict import Verdict, adjusted, test_hypothesis
from backend.rules import Rule, to_text
from backend.rules.cards import CONTRADICTED, SUPPORTED, card_now
from backend.store import Event, Store, Who

NUMBERS = (
    "n",
    "n_matching",
    "n_other",
    "n_used",
    "matching_loss",
    "other_loss",
    "difference",
    "low",
    "high",
    "p",
    "matching_error",
    "other_error",
    "error_difference",
    "error_low",
    "error_high",
)
COLUMNS = (
    "key",
    "sentence",
    "rule",
    "verdict",
    "verdict_adjusted",
    "reason",
    *NUMBERS,
    "p_adjusted",
    "tests",
    "level",
    "alternative",
    "null",
    "groups",
    "seed",
    "author",
    "time",
    "source",
)


def keep_hypothesis(
    bundle: Bundle,
    store: Store,
    sentence: str,
    mask_or_rule: Any,
    *,
    source: dict[str, Any] | None = None,
    key: str | None = None,
    author: Who = "local",
    **options: Any,
) -> tuple[Verdict, Event]:
    """Test a hypothesis and write its card.

    Parameters
    ----------
    sentence : str
        What is believed, 1 to 1000 characters: "dark photos of dogs are hard".
    mask_or_rule : Rule, str or bool array of shape (n,)
        Tags of a rule are taken from the store, with what they were set on.
    source : dict, optional
        What it was read from, kept as it is: ``{"kind": "region", "key": ...}``.
    key : str, optional
        Card to replace; a new one is made without.
    options
        Of ``test_hypothesis``: ``used_rows``, ``groups``, ``seed``, ``level``, ``alternative``,
        ``null``, ``permutations``.
    """
    verdict = test_hypothesis(
        bundle, mask_or_rule, tags=store.tags(bundle), origins=Origins(bundle, store), **options
    )
    rule = mask_or_rule if isinstance(mask_or_rule, str) else ""
    if isinstance(mask_or_rule, Rule):
        rule = to_text(mask_or_rule)
    card = {
        "sentence": sentence,
        "rule": rule,
        "source": source,
        "verdict": verdict.to_dict(),
    }
    event = store.write_hypothesis(bundle, key or uuid.uuid4().hex, card, author=author)
    return verdict, event


def delete_hypothesis(bundle: Bundle, store: Store, key: str, *, author: Who = "local") -> Event:
    """Take a card away. Undo brings it back; its test stays counted."""
    if all(event.payload["key"] != key for event in store.hypotheses(bundle)):
        raise InputError(f"there is no hypothesis '{key}' in this bundle.")
    return store.write_hypothesis(bundle, key, None, author=author)


def hypotheses(bundle: Bundle, store: Store) -> pd.DataFrame:
    """All cards as they stand, the first written first.

    Returns
    -------
    DataFrame
        ``COLUMNS``: the card, the numbers of ``Verdict`` (NaN where undefined), ``tests``, the
        number of different tests ever made in this bundle that gave a p-value, ``p_adjusted``
        (Benjamini-Hochberg over those) and ``verdict_adjusted``, where a supported or contradicted
        card must also have an adjusted p of at most its level. Circular cards have no p-value: they
        count for nothing.
    """
    made: dict[str, float] = {}
    sources_of = Origins(bundle, store).sources
    for event in store.events(bundle, kind="hypothesis"):
        verdict = card_now(event.payload.get("card") or {}, sources_of).get("verdict") or {}
        if verdict.get("p") is not None:
            made[verdict["fingerprint"]] = verdict["p"]
    ps = dict(zip(made, adjusted(list(made.values())), strict=True))
    rows = []
    for event in store.hypotheses(bundle):
        card = card_now(event.payload["card"], sources_of)
        verdict = card.get("verdict") or {}
        p = ps.get(verdict.get("fingerprint", ""))
        said = verdict.get("verdict", "not tested")
        if said in (SUPPORTED, CONTRADICTED) and p is not None and p > verdict["level"]:
            said = f"not {said} among {counted(len(made), 'test')}"
        rows.append(
            {
                "key": event.payload["key"],
                "sentence": card["sentence"],
                "rule": card.get("rule", ""),
                "verdict": verdict.get("verdict", "not tested"),
                "verdict_adjusted": said,
                "reason": verdict.get("reason", ""),
                **{name: _number(verdict.get(name)) for name in NUMBERS},
                "p_adjusted": _number(p),
                "tests": len(made),
                **{n: verdict.get(n) for n in ("level", "alternative", "null", "groups", "seed")},
                "author": event.author,
                "time": event.time,
                "source": json.dumps(card["source"]) if card.get("source") else "",
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _number(value: Any) -> float:
    return float(value) if value is not None else float("nan")


def hypotheses_csv(bundle: Bundle, store: Store) -> bytes:
    """The cards as CSV (UTF-8, no index); text that a spreadsheet would run is made harmless."""
    table = hypotheses(bundle, store)
    text = [name for name in COLUMNS if name not in (*NUMBERS, "p_adjusted", "tests")]
    for name in text:
        table[name] = [
            "" if value is None or value is np.nan else neutralise(str(value))
            for value in table[name].astype(object)
        ]
    return table.to_csv(index=False, lineterminator="\n").encode()


def hypotheses_json(bundle: Bundle, store: Store) -> bytes:
    """The cards as JSON, whole verdicts included."""
    table = hypotheses(bundle, store).set_index("key")
    sources_of = Origins(bundle, store).sources
    cards = [
        {
            "key": event.payload["key"],
            **card_now(event.payload["card"], sources_of),
            "p_adjusted": _plain(table.at[event.payload["key"], "p_adjusted"]),
            "tests": int(table.at[event.payload["key"], "tests"]),
            "author": event.author,
            "time": event.time,
        }
        for event in store.hypotheses(bundle)
    ]
    held = {"format": "errorscope-hypotheses-1", "bundle": bundle.content, "hypotheses": cards}
    return (json.dumps(held, indent=2, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> float | None:
    return None if value != value else float(value)
