"""Prompts for a generator of pictures or texts, written out from the contexts of failures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from backend.core.arrays import check_choice
from backend.core.errors import InputError

PER_FAILURE = 5
"""Examples for each failure that chose a context, the paper's number."""
COUNTING = ("failure", "context")
TEMPLATES = {"pictures": "A photo of a {label}", "texts": "A text of the kind {label}"}
TARGETED, RANDOM = "targeted", "random"
"""Sets of prompts: of the contexts, and as many of the class alone beside them."""


def prompt_lines(
    lines: Iterable[Mapping[str, Any]],
    *,
    reads: str = "pictures",
    examples: int = PER_FAILURE,
    per: str = "failure",
) -> pd.DataFrame:
    """What to ask a generator for, and how often.

    Parameters
    ----------
    lines : iterable of mapping
        Contexts with ``label``, ``context`` and ``count``, the failures that chose it: lines of
        ``NamedFailures.table`` or ``PickedContexts.table``.
    reads : {"pictures", "texts"}
        What is to be made.
    examples : int
        How many for each failure, or for each context, from 1.
    per : {"failure", "context"}
        The paper has both: five for each failure in its section 3.2, as many for each context of a class
        in 5.3.1.

    Returns
    -------
    DataFrame
        ``set`` ("targeted", then for each class as many "random" ones, its name alone), ``label``,
        ``context`` ("" of random ones), ``prompt`` and ``examples``. A context that several lines of
        one class have is asked for once, with the failures of all of them.

    Raises
    ------
    InputError
        If an option cannot be used.

    References
    ----------
    Chegini, Feizi 2023, arXiv:2312.05464, section 3.2.

    Examples
    --------
    >>> table = prompt_lines([{"label": "Wallet", "context": "in a jungle", "count": 2}])
    >>> table[["prompt", "examples"]].to_numpy().tolist()
    [['A photo of a wallet in a jungle', 10], ['A photo of a wallet', 10]]
    """
    check_choice("per", per, COUNTING)
    check_choice("reads", reads, tuple(TEMPLATES))
    if examples < 1:
        raise InputError(f"examples must be 1 or more: got {examples}.")
    counts: dict[tuple[str, str], int] = {}
    for one in lines:
        key = (str(one["label"]), str(one["context"]))
        counts[key] = counts.get(key, 0) + int(one["count"])
    targeted, of_class = [], dict.fromkeys((label for label, _ in counts), 0)
    for (label, context), count in counts.items():
        size = examples * (count if per == "failure" else 1)
        of_class[label] += size
        targeted.append((TARGETED, label, context, f"{_named(reads, label)} {context}", size))
    random = [(RANDOM, label, "", _named(reads, label), size) for label, size in of_class.items()]
    return pd.DataFrame(
        [*targeted, *random], columns=["set", "label", "context", "prompt", "examples"]
    )


def _named(reads: str, label: str) -> str:
    said = label.lower() if any(sign.isalpha() for sign in label) else f"thing, {label}"
    return TEMPLATES[reads].format(label=said)
