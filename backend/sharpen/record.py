"""The record of a sharpened group: all that its ranking follows from, beside the bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.content import content_key
from backend.core.errors import InputError
from backend.sharpen.answers import ANSWERS, Tally, tally
from backend.sharpen.learner import LATEST, RECIPES, principal_parts
from backend.sharpen.sharpen import Sharpened, ranking, sharpen
from backend.sharpen.start import start_ranking

KIND = "sharpened"
VERSION = LATEST
"""Raised whenever the same answers give another ranking; see ``RECIPES``."""
_QUESTIONS = 1
MOST_ANSWERS = 100_000

Parts = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Given:
    """One answer as it is kept: of which example, by whom, when, drawn with which chance."""

    example: str
    answer: str
    chance: float | None
    author: str
    author_key: str
    time: str = ""


@dataclass(frozen=True)
class Record:
    """Where a sharpened group comes from, as it stands in the source of its tag.

    Attributes
    ----------
    name : str
        Of the group that the answers started from.
    start : tuple of str
        Examples of that group (``start_members``), or the first of its ranking, in order.
    answers : tuple of Given
        The earliest first.
    cut : int
        How many of the ranking are members.
    layer : str
    seed : int
    source : mapping
        Of the group that the answers started from.
    version : int
    question : str
        Key of the question in the log.
    told : mapping
        What was shown when the group was kept: ``expected``, ``low``, ``high``, ``drawn``.
    versions : mapping
        Of the libraries that made the ranking.
    ranked : bool
        Whether ``start`` is a ranking.
    """

    name: str
    start: tuple[str, ...]
    answers: tuple[Given, ...]
    cut: int
    layer: str = ""
    seed: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION
    question: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    ranked: bool = False

    def to_source(self) -> dict[str, Any]:
        """As it is stored with a tag; ``from_source`` reads it."""
        return {
            "kind": KIND,
            "question": self.question,
            "name": self.name,
            "from": dict(self.source),
            "start": list(self.start),
            "ranked": self.ranked,
            "layer": self.layer,
            "seed": self.seed,
            "version": self.version,
            "versions": dict(self.versions),
            "answers": [
                {
                    "id": one.example,
                    "answer": one.answer,
                    "chance": one.chance,
                    "author": one.author,
                    "author_key": one.author_key,
                    "time": one.time,
                }
                for one in self.answers
            ],
            "cut": self.cut,
            "told": dict(self.told),
        }

    @classmethod
    def from_source(cls, source: Mapping[str, Any], *, told: str = "a sharpened group") -> Record:
        """What ``to_source`` gave, checked: a manifest may come from anybody.

        Raises
        ------
        InputError
            If a part is missing or cannot be used, or another version made the ranking.
        """
        if source.get("kind") != KIND:
            raise InputError(f"{told} must be of kind '{KIND}': got {source.get('kind')!r:.60}.")
        version = _whole(source, "version", told)
        if version not in RECIPES:
            raise InputError(
                f"{told} was ranked by version {version} of the method, this is {VERSION}. "
                "Install the Errorscope version that wrote it."
            )
        start, given = source.get("start"), source.get("answers")
        named = isinstance(start, list) and all(isinstance(one, str) for one in start)
        if not isinstance(start, list) or not named or not 0 < len(set(start)) == len(start):
            raise InputError(
                f"{told} must name the examples it started from, each once, under 'start'."
            )
        if not isinstance(given, list) or len(given) > MOST_ANSWERS:
            raise InputError(f"{told} must hold a list of at most {MOST_ANSWERS:,} 'answers'.")
        return cls(
            str(source.get("name", "")),
            tuple(start),
            tuple(_given(one, f"answer {place} of {told}") for place, one in enumerate(given)),
            _whole(source, "cut", told),
            str(source.get("layer", "")),
            _whole(source, "seed", told),
            _mapping(source.get("from")),
            version,
            str(source.get("question", "")),
            _mapping(source.get("told")),
            _mapping(source.get("versions")),
            source.get("ranked") is True,
        )

    def start_rows(self, bundle: Any) -> NDArray[np.int64]:
        """Rows of the examples it started from.

        Raises
        ------
        InputError
            If the bundle lacks one.
        """
        return _places(bundle, self.start)

    def tally(self, bundle: Any) -> Tally:
        """The answers as rows of the bundle, the majority of each."""
        rows = _places(bundle, [one.example for one in self.answers])
        return tally(
            (int(row), one.author_key, one.answer, one.chance)
            for row, one in zip(rows, self.answers, strict=True)
        )


def evaluate(record: Record, bundle: Any, parts: Parts | None = None) -> tuple[Sharpened, Tally]:
    """The ranking that a record describes, on its bundle; the same wherever it is made.

    Parameters
    ----------
    record : Record
    bundle : Bundle
        Of any layer: the record names its own.
    parts : tuple of arrays, optional
        ``principal_parts`` of that layer with the record's seed and version.
    """
    if parts is None:
        embeddings = bundle.at_layer(record.layer).embeddings
        parts = principal_parts(embeddings, seed=record.seed, version=record.version)
    told = record.tally(bundle)
    start = start_ranking(parts, record.start_rows(bundle), ranked=record.ranked)
    labels = bundle.label_codes
    ranked = rank(parts, start, told, labels=labels, seed=record.seed, version=record.version)
    return ranked, told


def rank(
    parts: Parts,
    start: NDArray[np.float64],
    told: Tally,
    *,
    labels: Any,
    seed: int,
    version: int = LATEST,
) -> Sharpened:
    """``sharpen`` for answers that were counted by ``tally``."""
    return sharpen(
        None,
        start,
        told.rows,
        told.answers,
        skipped=told.passed,
        chances=told.chances,
        labels=labels,
        seed=seed,
        parts=parts,
        version=version,
    )


def members_of(scores: NDArray[np.float64], cut: int) -> NDArray[np.int64]:
    """Rows of the first ``cut`` of a ranking, the highest score first."""
    return ranking(scores)[: max(0, cut)]


def question_key(start: Sequence[str], layer: str, seed: int, *, ranked: bool = False) -> str:
    """The key of a question: the same wherever answers start from the same examples."""
    return content_key("sharpen", _QUESTIONS, list(start) if ranked else sorted(start), layer, seed)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a ranking is made with."""
    import scipy
    import sklearn

    return {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__}


def _places(bundle: Any, ids: Sequence[str]) -> NDArray[np.int64]:
    if not len(ids):
        return np.zeros(0, np.int64)
    places: NDArray[np.int64] = bundle.places(list(ids))
    if (places < 0).any():
        raise InputError(
            f"every example of a sharpened group must be in bundle '{bundle.name}': "
            f"{ids[int(np.argmax(places < 0))][:80]!r} is not. Is it the bundle that was sharpened?"
        )
    return places


def _given(one: Any, told: str) -> Given:
    if not isinstance(one, Mapping) or not isinstance(one.get("id"), str):
        raise InputError(f"{told} must be an object with an 'id'.")
    if one.get("answer") not in ANSWERS:
        raise InputError(
            f"{told} must be one of {', '.join(ANSWERS)}: got {str(one.get('answer'))[:40]!r}."
        )
    chance = one.get("chance")
    known = isinstance(chance, int | float) and not isinstance(chance, bool)
    if chance is not None and not (known and math.isfinite(chance) and 0 < chance <= 1):
        raise InputError(f"{told} must have a chance in (0, 1], or null: got {str(chance)[:40]}.")
    author = str(one.get("author", ""))
    return Given(
        one["id"],
        str(one["answer"]),
        None if chance is None else float(chance),
        author,
        str(one.get("author_key", author)),
        str(one.get("time", "")),
    )


def _whole(source: Mapping[str, Any], name: str, told: str) -> int:
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        raise InputError(
            f"'{name}' of {told} must be a whole number from 0: got {str(value)[:40]!r}."
        )
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
