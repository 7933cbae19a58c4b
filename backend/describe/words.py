"""The words and n-grams of many documents, indexed once so that any group is compared at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.statistics import adjust_p
from backend.describe.comparison import Comparison
from backend.describe.presence import Presence
from backend.describe.shares import ranked, ratio_of

MIN_COUNT = 5
"""n-grams held by fewer documents are not looked at: there are millions, and they tell nothing."""
MAX_WORDS = 20_000_000
"""Words in all documents beyond which n-grams are left out; sorting them needs 60 bytes each."""


@dataclass(frozen=True)
class Compared:
    """The rows of a table that stand out most.

    Attributes
    ----------
    table : DataFrame
        One row per thing shown.
    codes : int array
        Code of the thing in each row.
    looked_at : int
        Rows that were compared, shown or not: adjusted p-values count all of them.
    told_apart : int
        How many of them, shown or not, have an adjusted p of at most 0.05.
    """

    table: pd.DataFrame
    codes: NDArray[np.intp]
    looked_at: int
    told_apart: int


SMOOTHING = 0.005
"""Added to both shares before they are divided: keeps the ratios of rare words small."""
LEVEL = 0.05
"""Adjusted p-values up to this one are counted as told apart from chance."""


def compare_things(
    presence: Presence,
    texts: Callable[[NDArray[np.intp]], Iterable[Any]],
    comparison: Comparison,
    *,
    name: str,
    smoothing: float,
    top: int | None = None,
    exclude: NDArray[np.bool_] | None = None,
    lacking: bool = False,
    by_p: bool = False,
) -> Compared:
    """The things a group holds more often than its baseline; with ``lacking`` less often.

    Columns: ``name``, ``ratio``, ``group_share``, ``base_share``, ``count``, ``group_count``,
    ``small``, ``p``, ``p_adjusted`` (Benjamini-Hochberg over all things looked at).
    Highest ratio first, with ``lacking`` lowest; p is of that side. ``by_p`` puts the lowest p first,
    and orders equal ones by ratio.
    """
    tally = presence.tally(comparison, lacking=lacking)
    codes = np.arange(len(tally))
    if exclude is not None:
        codes = codes[~exclude]
        tally = tally[~exclude]
    group, count = tally["group_share"].to_numpy(), tally["count"].to_numpy()
    ratio = ratio_of(group, tally["base_share"].to_numpy(), smoothing)
    height = np.where(np.isnan(ratio), -np.inf, -ratio) if lacking else ratio
    if by_p:
        order = np.lexsort((-count, -height, tally["p"].to_numpy()))[:top]
    else:
        order = ranked(
            height, group, count, lambda places: (str(one) for one in texts(codes[places])), top
        )
    adjusted = adjust_p(tally["p"].to_numpy())
    table = tally.assign(ratio=ratio, p_adjusted=adjusted).iloc[order]
    table.insert(0, name, pd.Series(list(texts(codes[order])), index=table.index, dtype=object))
    table.insert(1, "ratio", table.pop("ratio"))
    told = int((adjusted <= LEVEL).sum())
    return Compared(table.reset_index(drop=True), codes[order], len(codes), told)


@dataclass(frozen=True)
class WordIndex:
    """Which documents hold which tokens, pairs and triples of neighbouring tokens.

    Attributes
    ----------
    tokens : object array
        Every token that occurs.
    presence : dict of {length: Presence}
        1 for tokens, 2 and 3 for n-grams.
    parts : dict of {length: int array (n_grams, length)}
        The tokens of each n-gram.
    n_words : int
        Tokens in all documents, repetitions counted.
    """

    tokens: NDArray[np.object_]
    presence: Mapping[int, Presence]
    parts: Mapping[int, NDArray[np.int64]]
    n_words: int

    @property
    def n(self) -> int:
        """Documents."""
        return self.presence[1].n

    def texts(self, length: int, codes: NDArray[np.intp]) -> list[Any]:
        """The tokens with these codes, or the n-grams, joined by blanks."""
        if length == 1:
            return list(self.tokens[codes])
        return [" ".join(map(str, self.tokens[row])) for row in self.parts[length][codes]]

    def compare(
        self,
        comparison: Comparison,
        *,
        length: int = 1,
        smoothing: float = SMOOTHING,
        top: int | None = 20,
        exclude: Iterable[Hashable] = (),
        lacking: bool = False,
        by_p: bool = False,
    ) -> Compared:
        """The tokens or n-grams a group holds more often than its baseline; see ``token_table``.

        With ``lacking`` those that it holds less often; ``by_p`` orders by p before the ratio.
        """
        if top is not None and top < 1:
            raise InputError(f"top must be 1 or more, or None for all: got {top}.")
        if length not in self.presence:
            raise InputError(f"length must be one of {sorted(self.presence)}: got {length}.")
        left_out = set(exclude)
        mask = None
        if left_out:
            codes = np.arange(self.presence[length].n_things)
            mask = np.array([one in left_out for one in self.texts(length, codes)], dtype=bool)
        return compare_things(
            self.presence[length],
            lambda codes: self.texts(length, codes),
            comparison,
            name="token",
            smoothing=smoothing,
            top=top,
            exclude=mask,
            lacking=lacking,
            by_p=by_p,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As plain arrays; tokens must be text. ``from_arrays`` reads them."""
        words = [str(token).encode("utf-8", "surrogatepass") for token in self.tokens]
        made: dict[str, NDArray[Any]] = {
            "token_bytes": np.frombuffer(b"".join(words), dtype=np.uint8),
            "token_ends": np.cumsum([len(word) for word in words], dtype=np.int64),
            "n_words": np.array(self.n_words),
        }
        for length, presence in self.presence.items():
            made[f"starts_{length}"] = presence.starts
            made[f"codes_{length}"] = presence.codes.astype(np.int32)
            made[f"parts_{length}"] = self.parts[length].astype(np.int32)
        return made

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> WordIndex:
        """What ``to_arrays`` made; arrays may be memory-mapped."""
        held = np.asarray(arrays["token_bytes"]).tobytes()
        ends = np.asarray(arrays["token_ends"]).tolist()
        words = [
            held[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
        lengths = [length for length in (1, 2, 3) if f"starts_{length}" in arrays]
        parts = {length: np.asarray(arrays[f"parts_{length}"]) for length in lengths}
        presence = {
            length: Presence(
                np.asarray(arrays[f"starts_{length}"]),
                np.asarray(arrays[f"codes_{length}"]),
                len(parts[length]),
            )
            for length in lengths
        }
        return cls(object_array(words), presence, parts, int(arrays["n_words"]))


def index_words(
    documents: Iterable[Any],
    read: Callable[[Any, int], Iterable[Hashable]],
    *,
    max_length: int = 1,
    min_count: int = MIN_COUNT,
    progress: Progress = ignore_progress,
) -> WordIndex:
    """Index documents once.

    Parameters
    ----------
    documents : n documents
    read : callable
        ``read(document, row)`` gives the tokens in order.
    max_length : int
        1 for tokens alone, 2 or 3 for n-grams as well: that many neighbours inside one document.
    min_count : int
        Documents that must hold an n-gram.
    progress : Progress

    Raises
    ------
    InputError
        If no document holds a token.
    """
    documents = list(documents)
    known: dict[Hashable, int] = {}
    stream, lengths = array("i"), array("q")
    for row, document in enumerate(documents):
        before = len(stream)
        stream.extend([known.setdefault(token, len(known)) for token in read(document, row)])
        lengths.append(len(stream) - before)
        if row % 4096 == 0:
            progress(0.8 * row / len(documents), "Reading words")
    if not known:
        raise InputError("documents hold no token: every one of them is empty.")
    words = np.frombuffer(stream, dtype=np.int32)
    rows = np.repeat(np.arange(len(documents)), np.frombuffer(lengths, dtype=np.int64))
    presence = {1: _presence(rows, words, len(documents), len(known))}
    parts = {1: np.arange(len(known))[:, None]}
    grams, places = words.astype(np.int64), np.arange(len(words))
    for length in range(2, max_length + 1) if len(words) <= MAX_WORDS else ():
        progress(0.8 + 0.05 * length, "Reading neighbouring words")
        # A gram is a shorter one and the word after it; only frequent ones can grow frequent ones.
        going = places + length - 1 < len(words)
        grams, places = grams[going], places[going]
        inside = rows[places] == rows[places + length - 1]
        grams, places = grams[inside], places[inside]
        keys = grams * len(known) + words[places + length - 1]
        names, codes = np.unique(keys, return_inverse=True)
        held = _presence(rows[places], codes, len(documents), len(names))
        kept = held.count >= min_count
        number = np.cumsum(kept) - 1
        shorter, last = names[kept] // len(known), names[kept] % len(known)
        parts[length] = np.column_stack([parts[length - 1][shorter], last])
        stays = kept[codes]
        grams, places = number[codes[stays]], places[stays]
        presence[length] = _presence(rows[places], grams, len(documents), int(kept.sum()))
    progress(1.0, "Words read")
    return WordIndex(object_array(known), presence, parts, len(words))


def _presence(rows: NDArray[Any], codes: NDArray[Any], n_documents: int, n_things: int) -> Presence:
    """Occurrences, ordered by row, as sets."""
    pairs = np.unique(rows.astype(np.int64) * max(1, n_things) + codes)
    rows, codes = np.divmod(pairs, max(1, n_things))
    starts = np.searchsorted(rows, np.arange(n_documents + 1))
    return Presence(starts, codes.astype(np.int32), n_things)


def object_array(values: Iterable[Any]) -> NDArray[np.object_]:
    """One object per value, tuples included."""
    values = list(values)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
