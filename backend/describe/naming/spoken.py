"""Words that the texts of a group hold more often than other texts of its labels."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.describe.naming.reference import Reference, Rows, refer
from backend.describe.naming.saying import cut, listed
from backend.describe.naming.traits import Trait, measured, telling
from backend.describe.presence import Presence
from backend.describe.tokens import tokenize
from backend.describe.words import index_words

READ = 2_000
"""Characters of a text that words are read from, its first."""
OF_MEMBERS, OF_OTHERS = 4_000, 4_000
"""Texts that are read: of all groups together the first members, and of what they are compared with."""
FEWEST = 4
"""Members that hold a word, for it to be said."""
MANIFOLD = 4.0
"""A word is so many times as frequent in a group as elsewhere."""
MAX_WORDS, MIN_GAIN = 3, 1.15
"""So many words are said at most; each makes what is said so many times as telling."""
LOOKED_AT = 12
"""The most telling words, from which those are taken."""

_ENGLISH = """
    a an the this that these those i me my mine we us our you your he him his she her hers it its
    they them their who whom whose which what when where while as at by for from in into of off on
    onto or out over than then there here to up with within about after before during through under
    between and if so such is am are was were be been being do does did done has have had having
    will would can could may might shall should i'm i've i'd i'll it's that's you're they're we're
    he's she's there's also just one ones some any each both other another own same
"""
_SMALL = frozenset(_ENGLISH.split())
"""English words that say little by themselves; those that deny or judge are none of them."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U0001f300-\U0001faff\U00020000-\U0003ffff]"
)
"""Signs of scripts that set no blanks between words, and emoji."""


@dataclass(frozen=True, eq=False)
class Words:
    """Texts as far as they were read, to compare groups in their words.

    Attributes
    ----------
    place : int array of shape (n,)
        Place of each text among those read, -1 for the others.
    read : int array
        Rows of the texts that were read.
    others : int array
        Rows that groups are compared with.
    n_members : int
        Members read of one group, its first.
    words : list of str
    presence : Presence
        Which of the texts read hold which words.
    """

    place: NDArray[np.int64] = field(repr=False)
    read: Rows = field(repr=False)
    others: Rows = field(repr=False)
    n_members: int
    words: list[str] = field(repr=False)
    presence: Presence = field(repr=False)

    @property
    def searched(self) -> int:
        return len(self.words)

    def reference(self, members: Rows, labels: NDArray[np.int64] | None) -> Reference:
        """The members whose texts were read beside other such texts of their labels."""
        return refer(members[: self.n_members], labels, self.others)

    def traits(self, reference: Reference, least: float, lead: float) -> Iterator[Trait]:
        """The words of which any is held by the most telling share: one to three of them."""
        if not len(reference.rest):
            return
        own = np.zeros(len(self.read))
        own[self.place[reference.members]] = 1
        base = np.zeros(len(self.read))
        base[self.place[reference.rest]] = reference.weights
        held = self.presence.sums(own)
        shares, bases = held / len(reference.members), np.minimum(self.presence.sums(base), 1.0)
        scores = np.round(telling(shares, bases), 9)
        fit = (held >= FEWEST) & (shares >= MANIFOLD * bases) & (scores > 0)
        words = self.words
        order = sorted(
            np.flatnonzero(fit).tolist(),
            key=lambda code: (-scores[code], -len(words[code]), words[code]),
        )[:LOOKED_AT]
        if not order:
            return
        holders = {code: self._holders(code) for code in order}
        said = order[:1]
        found = self._trait(said, holders, reference)
        while len(said) < MAX_WORDS:
            more = [code for code in order if code not in said]
            traits = [self._trait([*said, code], holders, reference) for code in more]
            best = max(traits, key=lambda trait: trait.telling, default=found)
            if best.telling < MIN_GAIN * found.telling or best.share < MANIFOLD * best.base:
                break
            said.append(more[traits.index(best)])
            found = best
        if found.share >= least and found.share - found.base >= lead:
            yield found

    def _holders(self, code: int) -> NDArray[np.bool_]:
        holds = np.zeros(len(self.read), dtype=bool)
        holds[self.presence.holders(code)] = True
        return holds

    def _trait(
        self, codes: list[int], holders: dict[int, NDArray[np.bool_]], reference: Reference
    ) -> Trait:
        words = [self.words[code] for code in codes]
        holds = np.logical_or.reduce([holders[code] for code in codes])

        def among(rows: Rows) -> float:
            places = self.place[rows]
            places = places[places >= 0]
            return float(holds[places].mean()) if len(places) else float("nan")

        return measured(
            lambda limit: listed([f"“{cut(word, limit)}”" for word in words]),
            self,
            reference,
            lambda rows: holds[self.place[rows]],
            0.0,
            among=among,
            plainly=True,
            searched=float(len(self.words)) ** (len(words) - 1),
        )


def read_words(
    texts: NDArray[np.object_],
    members: Sequence[Rows],
    labels: NDArray[np.int64] | None,
    ids: NDArray[np.object_] | None,
) -> Words | None:
    """Read the texts of all groups, and a sample of those they are compared with; None without words.

    Which texts are drawn depends on texts and ids alone, not on their order.
    """
    n_members = max(50, OF_MEMBERS // len(members))
    others = _sample(texts, members, labels, ids)
    read = np.unique(np.concatenate([*(rows[:n_members] for rows in members), others]))
    held = [words_of(texts[row]) for row in read.tolist()]
    if not any(held):
        return None
    index = index_words(held, lambda words, row: words)
    place = np.full(len(texts), -1, dtype=np.int64)
    place[read] = np.arange(len(read))
    return Words(place, read, others, n_members, list(index.tokens), index.presence[1])


def words_of(text: Any) -> list[str]:
    """Each word of a text's beginning once, lower case, without numbers and small English words."""
    if not isinstance(text, str):
        return []
    shown = unicodedata.normalize("NFC", text[:READ]).lower().replace("’", "'")
    if _UNSPACED.search(shown) is None:
        words = _WORD.findall(shown)
    else:
        words = [word for word in tokenize(shown) if not any(sign.isdecimal() for sign in word)]
    return [word for word in dict.fromkeys(words) if word not in _SMALL]


def _sample(
    texts: NDArray[np.object_],
    members: Sequence[Rows],
    labels: NDArray[np.int64] | None,
    ids: NDArray[np.object_] | None,
) -> Rows:
    """Rows to compare with: of every label that a group has as many, drawn by a hash of the text."""
    strata = np.zeros(len(texts), dtype=np.int64) if labels is None else labels
    wanted = np.unique(np.concatenate([strata[rows] for rows in members]))
    each = max(20, OF_OTHERS // len(wanted))
    drawn: list[Rows] = []
    for label in wanted.tolist():
        rows = np.flatnonzero(strata == label)
        if len(rows) > each:
            marks = np.array([_mark(texts, ids, row) for row in rows.tolist()])
            rows = rows[marks <= np.partition(marks, each - 1)[each - 1]]
        drawn.append(rows)
    return np.sort(np.concatenate(drawn))


def _mark(texts: NDArray[np.object_], ids: NDArray[np.object_] | None, row: int) -> int:
    said = f"{texts[row]}\0{'' if ids is None else ids[row]}"
    return zlib.crc32(said.encode("utf-8", "replace"))
