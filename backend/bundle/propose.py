"""Which arrays and columns of an upload could be a field, going by their shape and type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backend.bundle.entry import FoundField
from backend.bundle.names import canonical_column, canonical_field

MATRICES = ("embeddings", "probabilities", "logits")
NUMBERS = ("losses", "targets")


def could_be(field: str, found: Sequence[FoundField]) -> list[str]:
    """Names of what could be a field, likely ones first: by name, then in file order.

    Embeddings, probabilities and logits are tables of numbers with a row per example; losses and
    targets are one number a row; labels, predictions and columns of the examples one value a row.
    A list in a column may be any. Nothing is told from names that a shape contradicts.

    Examples
    --------
    >>> found = [FoundField("a.npz", "h", (9, 4), "float32"), FoundField("a.npz", "ce", (9,), "float64")]
    >>> could_be("embeddings", found), could_be("losses", found)
    (['h'], ['ce'])
    """
    lengths = Counter(one.shape[0] for one in found if one.shape)
    n = lengths.most_common(1)[0][0] if lengths else 0
    fitting = [one for one in found if _fits(field, one, n)]
    known = canonical_field(field) or canonical_column(field)
    named = [
        one for one in fitting if known in (canonical_field(one.name), canonical_column(one.name))
    ]
    return [one.name for one in [*named, *(one for one in fitting if one not in named)]]


def only_one(field: str, found: Sequence[FoundField]) -> str | None:
    """The one array of two axes that could be this field, where no name says so; else None."""
    names = could_be(field, found)
    called = any(canonical_field(one.name) == field for one in found)
    return names[0] if len(names) == 1 and not called else None


def _fits(field: str, one: FoundField, n: int) -> bool:
    number = one.dtype.startswith(("float", "int", "uint", "bfloat", "F", "I", "U", "BF"))
    if field in MATRICES:
        return one.shape is None or (number and len(one.shape) == 2 and one.shape[0] == n)
    if field == "classes":
        return one.shape is not None and len(one.shape) == 1 and one.shape[0] <= n
    flat = one.shape is not None and (len(one.shape) == 1 or one.shape[1:] == (1,))
    if field == "image":
        return one.shape is None or one.shape[0] == n
    return flat and one.shape is not None and one.shape[0] == n and (number or field not in NUMBERS)
