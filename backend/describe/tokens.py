"""Which words a group's documents share: tokenizing in any script, and the token table."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.describe.shares import check_weights, rank_by_ratio, share_table

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
    smoothing: float = 0.005,
    top: int | None = 20,
    exclude: Iterable[Hashable] = (),
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

    Returns
    -------
    DataFrame
        ``token``, ``ratio``, ``group_share`` (g) and ``base_share`` (f), both in [0, 1], ``count``
        (documents of all that hold it). Highest ratio first; ties (to 12 decimals) by higher
        count, then by the token's text.

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
    if isinstance(documents, str):
        raise InputError("documents must be one per weight: got a single string. Put it in a list.")
    documents = list(documents)
    shares = check_weights(weights, len(documents), of="document")
    tokens: dict[Hashable, int] = {}
    rows: list[int] = []
    codes: list[int] = []
    for row, document in enumerate(documents):
        own = {tokens.setdefault(token, len(tokens)) for token in _tokens_of(document, row)}
        codes.extend(own)
        rows.extend([row] * len(own))
    if not tokens:
        raise InputError("documents hold no token: every one of them is empty.")
    table = share_table(_objects(tokens), np.array(codes), shares[np.array(rows)], len(documents))
    table = table.rename(columns={"value": "token"})
    table = rank_by_ratio(table, "token", smoothing)
    left_out = set(exclude)
    table = table[[token not in left_out for token in table["token"]]]
    return table.head(len(table) if top is None else top).reset_index(drop=True)


def _tokens_of(document: Any, row: int) -> Iterable[Hashable]:
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


def _objects(values: Iterable[Hashable]) -> NDArray[np.object_]:
    """One object per value, tuples included."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
