"""The command that sharpens a region or tag by answers in a file."""

from __future__ import annotations

import io
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.cache import Cache
from backend.cli.bundles import find_bundle
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    plain,
    taken_out,
    write_file,
)
from backend.core.errors import InputError
from backend.export import neutralise, restore
from backend.sharpen import (
    ANSWERS,
    Tally,
    principal_parts,
    ranking,
    start_members,
    start_of_scores,
    start_ranking,
    tally,
)
from backend.sharpen.counting import FEWEST
from backend.sharpen.record import rank
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.kept import kept_result
from backend.tasks.regions import LISTED

MOST_BYTES = 2**26
SEED = 0


def sharpen(options: Namespace) -> Report:
    """Rank all examples by the answers, say how many members there are and whom to ask next."""
    check_target(options.out)
    bundle = find_bundle(options.bundle, home=options.home, layer=options.layer)
    told = _answers(bundle, options.answers) if options.answers else tally([])
    parts = principal_parts(bundle.embeddings, seed=SEED)
    if options.tag is None:
        start = start_ranking(parts, start_of_scores(_region(bundle, options)), ranked=True)
    else:
        start = start_ranking(parts, _tagged(bundle, options))
    found = rank(parts, start, told, labels=bundle.label_codes, seed=SEED)
    order = ranking(found.scores)
    chances = dict(zip(found.next.tolist(), found.chances.tolist(), strict=True))
    table = pd.DataFrame(
        {
            "id": [neutralise(str(one)) for one in bundle.ids[order]],
            "rank": np.arange(1, bundle.n + 1),
            "score": [float(f"{one:.4g}") for one in found.scores[order]],
            "probability": np.round(found.probabilities[order], 4),
            "answer": [told.word(row) for row in order.tolist()],
            "ask": [row in chances for row in order.tolist()],
            "chance": [chances.get(row, np.nan) for row in order.tolist()],
        }
    )
    write_file(options.out, table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig"))
    taken_out(bundle, "the ranking of a sharpened group", options)
    enough = found.drawn >= FEWEST
    data = {
        "bundle": bundle.digest,
        "out": str(options.out),
        "answered": len(told.rows),
        "yes": int(told.answers.sum()),
        "drawn": found.drawn,
        "expected": found.expected if enough else None,
        "low": found.low,
        "high": found.high,
        "cut": found.cut,
        "next": [
            {"id": str(bundle.ids[row]), "chance": None if np.isnan(one) else one}
            for row, one in chances.items()
        ],
    }
    return Report(plain(data), _said(data, enough))


def _said(data: dict[str, Any], enough: bool) -> str:
    if enough:
        number = f"about {data['expected']:,.0f} ({data['low']:,.0f} to {data['high']:,.0f})"
    else:
        number = f"at least {data['yes']:,} ({data['drawn']} of {FEWEST} drawn answers)"
    asked = [[one["id"], "" if one["chance"] is None else one["chance"]] for one in data["next"]]
    return "\n\n".join(
        [
            f"{data['answered']:,} answered, {data['yes']:,} yes. Members: {number}.",
            "Ask next, and give the chance back with the answer:\n"
            + aligned(asked, ["id", "chance"]),
            f"All examples are ranked in {data['out']}; the first {data['cut']:,} are the members "
            "if nobody moves the cut.",
        ]
    )


def _region(bundle: Bundle, options: Namespace) -> NDArray[Any]:
    """Scores of a region of the list that the page shows."""
    found = kept_result(
        "regions",
        bundle,
        complete_options("regions", {"n_regions": LISTED, "layer": options.layer}),
        progress=StderrProgress(),
        cache=Cache(options.home),
    )
    scores: NDArray[Any] = found["scores"]
    if not 1 <= options.region <= len(scores):
        raise InputError(f"--region must be 1 to {len(scores)}: got {options.region}.")
    return scores[options.region - 1]


def _tagged(bundle: Bundle, options: Namespace) -> NDArray[np.int64]:
    store = Store(home=options.home)
    try:
        held = store.tags(bundle.digest)
    finally:
        store.close()
    rows = bundle.rows_of(held.loc[held["tag"] == options.tag, "id"])
    if not len(rows):
        raise InputError(f"nothing carries the tag {options.tag!r} in bundle '{bundle.name}'.")
    return start_members(rows, seed=SEED)


def _answers(bundle: Bundle, path: str) -> Tally:
    """Answers in a CSV with columns id and answer, perhaps author and chance."""
    if Path(path).stat().st_size > MOST_BYTES:
        raise InputError(f"{path} must be smaller than {MOST_BYTES:,} bytes for answers.")
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        given = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} is not a CSV of answers: {error}.") from error
    for name in ("id", "answer"):
        if name not in given:
            raise InputError(
                f"{path} must have the columns id and answer: got {', '.join(map(str, given))}."
            )
    given = given[given["answer"].str.strip() != ""].reset_index(drop=True)
    words = given["answer"].str.strip().str.lower()
    ids = [restore(one) for one in given["id"]]
    rows = bundle.places(ids)
    authors = given["author"] if "author" in given else pd.Series("", index=given.index)
    chances = given["chance"] if "chance" in given else pd.Series("", index=given.index)
    said = []
    for line, (row, word) in enumerate(zip(rows.tolist(), words, strict=True)):
        where = f"line {line + 1} of the answers in {path}"
        if row < 0:
            raise InputError(f"{where}: there is no example {ids[line][:80]!r} in the bundle.")
        if word not in ANSWERS:
            raise InputError(f"{where} must be one of {', '.join(ANSWERS)}: got {word[:40]!r}.")
        said.append((row, str(authors[line]), word, _chance(chances[line], where)))
    return tally(said)


def _chance(cell: str, where: str) -> float | None:
    try:
        chance = float(cell) if cell.strip() else None
    except ValueError:
        chance = -1.0
    if chance is not None and not 0 < chance <= 1:
        raise InputError(f"{where} must have a chance in (0, 1], or none: got {cell[:40]!r}.")
    return chance
