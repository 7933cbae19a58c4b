"""Which words a group's documents share: tokenizing in any script, and the token table."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable
from typing import Any

import pandas as pd

from backend.core.errors import InputError
from backend.describe.comparison import compare_with
from backend.describe.words import SMOOTHING, index_words

PICTURES = {"So", "Sk"}  # emoji and their skin tones: words of a kind; "Sm", "Sc" are not


def tokenize(text: str) -> list[str]:
    """Words of a text in any script, in order, lower case.

    Words are found by ICU's rules (Unicode Standard Annex 29, with dictionaries where a script
    sets no blanks: Chinese, Japanese, Thai, Lao, Khmer, Burmese). "don't" and "3.14" are one word,
    "e-mail" two. Emoji are kept as words; punctuation and blanks are not. The text is normalized
    (NFC) first, so that the same word typed in two ways is one word.

    Examples
    --------
    >>> tokenize("Don't panic: 3.14!")
    ["don't", 'panic', '3.14']
    >>> tokenize("私は東京に")
    ['私', 'は', '東京', 'に']
    """
    from icu4py.breakers import WordBreaker  # 40 MB of tables, loaded when text is first read

    text = unicodedata.normalize("NFC", text).lower()
    return [word for word in WordBreaker(text, "root") if _is_word(word)]


def _is_word(segment: str) -> bool:
    if segment[0].isalnum():
        return True
    return any(sign.isalnum() or unicodedata.category(sign) in PICTURES for sign in segment)


def token_table(
    documents: Iterable[Any],
    weights: Any,
    *,
    smoothing: float = SMOOTHING,
    top: int | None = 20,
    exclude: Iterable[Hashable] = (),
    length: int = 1,
    min_count: int = 1,
    members: Any = None,
    baseline: str = "all",
    labels: Any = None,
) -> pd.DataFrame:
    """Tokens that are more frequent in a weighted group than in all documents.

    A document counts once per token, however often it repeats it. With normalized weights
    ``w_i``, ``f(t)`` the share of documents that hold ``t`` and ``g(t)`` the weight of those, the
    ratio is ``(s + g) / (s + f)`` with ``s = smoothing``.

    Parameters
    ----------
    documents : n documents
        Each a string, read with ``tokenize``, or an iterable of hashable tokens, taken as they
        are. A missing text (None, NaN) is a document without tokens.
    weights : array of shape (n,)
        Not negative, with a positive sum. 0 and 1 describe a group with a sharp border.
    smoothing : float
        Not negative; keeps the ratios of rare tokens small.
    top : int or None
        Rows returned; None for all.
    exclude : iterable of tokens
        Left out of the table, for instance the special tokens of a language model.
    length : int
        2 or 3 for pairs or triples of neighbouring tokens, their texts joined by a blank.
    min_count : int
        Documents that must hold a pair or triple to be looked at.
    members, baseline, labels
        Whom p-values count, and what the group is compared with; see ``compare_with``.

    Returns
    -------
    DataFrame
        ``token``, ``ratio``, ``group_share`` (g) and ``base_share`` (f), both in [0, 1], ``count``
        (documents of all that hold it), ``group_count`` (members that do), ``small`` (fewer than
        30 documents hold it), ``p`` (as many members or more by chance: Fisher's exact test,
        one-sided) and ``p_adjusted`` (Benjamini-Hochberg over every token looked at, shown or not;
        ``attrs["looked_at"]`` is their number). Highest ratio first; ties (to 12 decimals) by
        higher count, then by the token's text.

    Raises
    ------
    InputError
        If lengths differ, weights are negative or sum to zero, no document holds a token, or an
        option is out of range.

    References
    ----------
    d'Eon et al., The Spotlight, 2021, arXiv:2107.00758, sections 3.3 to 3.5.
    """
    if top is not None and top < 1:
        raise InputError(f"top must be 1 or more, or None for all: got {top}.")
    if length not in (1, 2, 3):
        raise InputError(f"length must be 1, 2 or 3: got {length}.")
    if isinstance(documents, str):
        raise InputError("documents must be one per weight: got a single string. Put it in a list.")
    documents = list(documents)
    comparison = compare_with(
        weights,
        members=members,
        baseline=baseline,
        labels=labels,
        n=len(documents),
        of="document",
    )
    index = index_words(documents, tokens_of, max_length=length, min_count=min_count)
    if length not in index.presence:
        raise InputError(
            f"documents hold {index.n_words:,} words: too many to look at their neighbours."
        )
    found = index.compare(comparison, length=length, smoothing=smoothing, top=top, exclude=exclude)
    found.table.attrs["looked_at"] = found.looked_at
    return found.table


def tokens_of(document: Any, row: int) -> Iterable[Hashable]:
    """The tokens of one document, which stands in this row."""
    if isinstance(document, str):
        return tokenize(document)
    if (
        document is None
        or document is pd.NA
        or (isinstance(document, float) and document != document)
    ):
        return ()
    if isinstance(document, bytes) or not isinstance(document, Iterable):
        raise InputError(
            f"documents must be strings or iterables of tokens: row {row} is "
            f"{type(document).__name__} {document!r}."
        )
    return document
