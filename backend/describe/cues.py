"""What texts look like from outside: their scripts, language, marks and lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import adjust_p
from backend.describe.comparison import Comparison
from backend.describe.presence import Presence
from backend.describe.summaries import summary_table
from backend.describe.tokens import tokenize
from backend.describe.words import LEVEL, Compared, compare_things, object_array

UNSURE = "unsure"
SURE = 0.8
"""Least probability with which a language is named."""
READ = 600
"""Characters of a text its language is told from."""

MARKS: dict[str, re.Pattern[str]] = {
    "link": re.compile(r"https?://|www\.", re.IGNORECASE),
    "HTML tag": re.compile(r"</?[a-zA-Z][^<>]{0,200}>"),
    "digit": re.compile(r"\d"),
    "question mark": re.compile(r"[?？؟]"),
    "exclamation mark": re.compile(r"[!！]"),
    "mention or hashtag": re.compile(r"(?<!\w)[@#]\w"),
    "several lines": re.compile(r"\S[^\n]*\n\s*\S"),
    "letter repeated": re.compile(r"([^\W\d_])\1\1"),
}
CAPITALS = "word in capitals"
_WORD = re.compile(r"[^\W\d_]{3,}")
MEASURES = ("words", "characters", "share of digits", "share of capitals")
SECTIONS = ("script", "language", "mark")


@dataclass(frozen=True)
class TextCues:
    """Cues of n texts.

    Attributes
    ----------
    names : dict of {section: tuple of str}
        For each of ``SECTIONS``, what can be held. A text holds every Unicode script it has a letter
        of, one language, and any number of marks.
    presence : dict of {section: Presence}
    measures : dict of {name: float64 array of shape (n,)}
        ``MEASURES``; shares are of all characters, NaN for an empty text.
    """

    names: Mapping[str, tuple[str, ...]]
    presence: Mapping[str, Presence]
    measures: Mapping[str, NDArray[np.float64]]

    def compare(
        self,
        section: str,
        comparison: Comparison,
        *,
        smoothing: float = 0.0,
        lacking: bool = False,
    ) -> Compared:
        """What a group holds more often than its baseline, of what occurs; ``value`` names it."""
        names = object_array(self.names[section])
        return compare_things(
            self.presence[section],
            lambda codes: names[codes],
            comparison,
            name="value",
            smoothing=smoothing,
            exclude=self.presence[section].count == 0,
            lacking=lacking,
        )

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """As plain arrays and JSON; ``from_arrays`` reads them."""
        arrays: dict[str, NDArray[Any]] = {}
        for section, presence in self.presence.items():
            arrays[f"cue_starts_{section}"] = presence.starts
            arrays[f"cue_codes_{section}"] = presence.codes.astype(np.int32)
        for at, name in enumerate(MEASURES):
            arrays[f"cue_measure_{at}"] = self.measures[name]
        return arrays, {section: list(names) for section, names in self.names.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], names: Mapping[str, Any]) -> TextCues:
        """What ``to_arrays`` made."""
        held = {section: tuple(names[section]) for section in SECTIONS}
        return cls(
            held,
            {
                section: Presence(
                    np.asarray(arrays[f"cue_starts_{section}"]),
                    np.asarray(arrays[f"cue_codes_{section}"]),
                    len(held[section]),
                )
                for section in SECTIONS
            },
            {name: np.asarray(arrays[f"cue_measure_{at}"]) for at, name in enumerate(MEASURES)},
        )


def text_cues(texts: Iterable[Any], *, progress: Progress = ignore_progress) -> TextCues:
    """Read the cues of texts.

    Parameters
    ----------
    texts : n strings
        What is not a string (None, NaN) is an empty text.
    progress : Progress

    Notes
    -----
    Scripts are those of the Unicode Standard (Annex 24), by letter; signs that several scripts
    share count for none. The language is that of py3langid (Lui, Baldwin, langid.py, ACL 2012
    demos), told from the first 600 characters; below a probability of 0.8, which is common for a
    handful of words, it is "unsure".
    """
    # Some 100 MB of tables, needed by the worker that reads texts only.
    from fontTools.unicodedata import script, script_name
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify
    held: dict[str, list[list[int]]] = {section: [] for section in SECTIONS}
    known: dict[str, dict[str, int]] = {"script": {}, "language": {}, "mark": {}}
    known["mark"] = {name: at for at, name in enumerate([*MARKS, CAPITALS])}
    scripts: dict[str, str] = {}
    shares = np.full((2, len(lines := list(texts))), np.nan)
    sizes = np.zeros((2, len(lines)))
    for row, given in enumerate(lines):
        text = given if isinstance(given, str) else ""
        signs = set(text)
        for sign in signs - scripts.keys():
            name = script_name(script(sign)) if sign.isalpha() else "Common"
            scripts[sign] = name.replace(" ", "_")  # "Ol_Chiki", as the Standard writes values
        own = sorted({scripts[sign] for sign in signs} - {"Common", "Inherited", "Unknown"})
        held["script"].append([known["script"].setdefault(s, len(known["script"])) for s in own])
        language, chance = identify(text[:READ]) if own else (UNSURE, 0.0)
        language = language if chance >= SURE else UNSURE
        held["language"].append([known["language"].setdefault(language, len(known["language"]))])
        marks = [at for at, mark in enumerate(MARKS.values()) if mark.search(text)]
        sizes[:, row] = len(tokenize(text)), len(text)
        if text:
            digits, capitals = sum(map(str.isdigit, text)), sum(map(str.isupper, text))
            shares[:, row] = digits / len(text), capitals / len(text)
            if capitals >= 3 and any(word.isupper() for word in _WORD.findall(text)):
                marks.append(len(MARKS))
        held["mark"].append(marks)
        if row % 1024 == 0:
            progress(row / len(lines), "Reading scripts and languages")
    presence = {
        section: Presence(
            np.concatenate([[0], np.cumsum([len(own) for own in rows])]),
            np.array([code for own in rows for code in own], dtype=np.int32),
            len(known[section]),
        )
        for section, rows in held.items()
    }
    values = (*sizes, *shares)
    return TextCues(
        {section: tuple(names) for section, names in known.items()},
        presence,
        dict(zip(MEASURES, values, strict=True)),
    )


def cue_tables(
    cues: TextCues, comparison: Comparison, *, lacking: bool = False
) -> tuple[dict[str, Compared], pd.DataFrame]:
    """Every section compared, adjusted over the rows of all of them; and the measures."""
    found = {section: cues.compare(section, comparison, lacking=lacking) for section in SECTIONS}
    adjusted = adjust_p(np.concatenate([one.table["p"].to_numpy() for one in found.values()]))
    ends = np.cumsum([len(one.table) for one in found.values()])
    tables = {
        section: Compared(
            one.table.assign(p_adjusted=part), one.codes, int(ends[-1]), int((part <= LEVEL).sum())
        )
        for (section, one), part in zip(found.items(), np.split(adjusted, ends[:-1]), strict=True)
    }
    return tables, summary_table(cues.measures, comparison)
