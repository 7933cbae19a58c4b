"""What must not be said in a name: ids, row numbers, file names, and levels that mean nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEW, MANY = 10, 50
"""Levels beyond which file names, and codes such as "u123", are taken for ids."""
UNIQUE, UNIQUE_NUMBERS = 0.5, 0.9
"""A column with more levels, or whole numbers, than this share of its values is near to unique."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NOTHING = _set(
    """other others else misc miscellaneous various rest none nothing null nil nan na n/a n.a. n/k
    unknown unk unspecified undefined undetermined undisclosed missing empty blank not-available
    not-applicable not-specified not-known not-reported not-given not-stated no-data no-answer
    prefer-not-to-say tbd default <na> nat ? - -- – — . #n/a <unk> [unk] <pad> [pad]"""
)
_IDS = _set(
    """id ids uid uids uuid uuids guid guids idx rowid rownum rownumber serial checksum digest
    timestamp unixtime epoch"""
)
"""A column whose name begins or ends with one of these holds ids, or moments in seconds."""
_FILES = _set("hash md5 sha sha1 sha256 filename filepath file path url uri link href")
_NAMED = _set(
    """user users item items customer customers session account patient subject participant movie
    film song track product book article document doc order invoice transaction visit device phone
    telephone zip zipcode postcode postal index row line record example sample key code no nr num
    number"""
)
"""Whole numbers, or codes, in a column that is called by these words alone stand for things."""
_LOSSES = _set("loss losses nll residual residuals xent cross-entropy per-example-loss")
_ANSWERS = _set(
    """correct incorrect wrong right error errors mistake failed failure fail hit miss prediction
    predictions predicted pred preds output answer answered guess"""
)
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CODE = re.compile(
    r"[^\W\d_]{0,8}[-_ #:.]?\d+|(?=.*\d)[0-9a-fA-F]{8,}|[0-9a-fA-F-]{32,36}|\{[0-9a-fA-F-]+\}"
)
_FILE = re.compile(r"(?i)\w+://.*|.*[/\\].*\.\w{1,5}|[^ ]*\.(?:[a-z]{3,4}|h5|py|js|7z|mp[34]|jp2)")


def says_nothing(level: str) -> bool:
    """Whether a level names no property: "other", "unknown", "nan", an empty text."""
    plain = level.strip().lower()
    return not plain or "-".join(re.split(r"[\s_]+", plain)) in _NOTHING


def names_answers(name: str) -> bool:
    """Whether a column's name says that it holds answers, or which of them are right."""
    return bool(set(_tokens(name)) & _ANSWERS)


def _tokens(name: str) -> list[str]:
    """Words of a column's name, lower case: "movieId" and "movie_id" are "movie", "id"."""
    return [token.lower() for token in _TOKENS.findall(name)]


def _called_ids(name: str) -> bool:
    tokens = _tokens(name)
    return bool(tokens) and bool({tokens[0], tokens[-1]} & _IDS)


def _called_things(name: str) -> bool:
    tokens = set(_tokens(name))
    return bool(tokens) and tokens <= _NAMED


def names_ids(name: str, levels: Sequence[str], n_present: int) -> bool:
    """Whether the levels of a column tell examples apart rather than say what they are.

    Parameters
    ----------
    name : str
    levels : sequence of str
        Distinct values, as texts.
    n_present : int
        Examples that have a value.
    """
    if _called_ids(name) or len(levels) > max(UNIQUE * n_present, 2) or _most(levels, _FILE):
        return True
    if len(levels) <= FEW:
        return False
    tokens = _tokens(name)
    if tokens and tokens[-1] in _FILES:
        return True
    return (len(levels) > MANY or _called_things(name)) and _most(levels, _CODE)


def _most(levels: Sequence[str], kind: re.Pattern[str]) -> bool:
    return sum(kind.fullmatch(level) is not None for level in levels) >= 0.9 * len(levels)


def counts_ids(name: str, distinct: NDArray[np.float64], n_present: int) -> bool:
    """Whether a column of numbers stands for things instead of measuring, or repeats the loss.

    Whole numbers that are near to unique are row numbers; measurements with digits may be unique.
    """
    if _called_ids(name) or "-".join(_tokens(name)) in _LOSSES:
        return True
    if (distinct != np.round(distinct)).any():
        return False
    return _called_things(name) or len(distinct) > max(UNIQUE_NUMBERS * n_present, FEW)
