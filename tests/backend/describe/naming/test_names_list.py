"""Names of a list: no two alike whatever is in it, the same for every order of rows, in time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.bundle import read_bundle, write_bundle
from backend.core.errors import InputError
from backend.describe import name_groups, name_regions

HOSTILE = [
    "",
    " ",
    "a\nb",
    "<script>alert(1)</script>",
    "=1+1",
    "**bold** [link](http://x.y)",
    "x" * 500,
    "word " * 60,
    "other",
    "nan",
    "\u202eevil\u200b\ufeff",
    "\x00\x1b[31m",
    "\ud800",
    "🙂👍🏽",
    "“quoted”",
    "a, b or c",
    "Ünïcode ﬁ",
    "1.5",
    "True",
    "|",
    "a|b",
]
VALUES = st.one_of(st.sampled_from(HOSTILE), st.none(), st.integers(-3, 3), st.booleans())
NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5).map(float))


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Groups, some of them the same, and whatever may be known of their examples."""
    n = draw(st.integers(2, 25))
    column = {
        "label": st.lists(VALUES, min_size=n, max_size=n),
        "number": st.lists(NUMBERS, min_size=n, max_size=n),
        "text": st.lists(st.sampled_from([*HOSTILE, "a refund please"]), min_size=n, max_size=n),
    }
    rows = st.lists(st.integers(0, n - 1), min_size=1, max_size=n)
    members = [np.array(draw(rows)) for _ in range(draw(st.integers(1, 4)))]
    members += [draw(st.sampled_from(members)) for _ in range(draw(st.integers(0, 4)))]
    known: dict[str, Any] = {}
    if draw(st.booleans()):
        known["labels"] = pd.Series(draw(column["label"]), dtype=object)
        known["scope_labels"] = [
            draw(st.sampled_from([(), (known["labels"][0],)])) for _ in members
        ]
        known["kinds"] = [draw(st.sampled_from(["label", "ball", "direction"])) for _ in members]
    if draw(st.booleans()):
        known["predictions"] = pd.Series(draw(column["label"]), dtype=object)
    if draw(st.booleans()):
        known["targets"] = np.array(draw(column["number"]))
        if "labels" not in known and draw(st.booleans()):
            known["predictions"] = np.array(draw(column["number"]))
    if draw(st.booleans()):
        known["texts"] = draw(column["text"])
    if draw(st.booleans()):
        known["ids"] = [str(draw(st.sampled_from(HOSTILE))) + str(row) for row in range(n)]
    if draw(st.booleans()):
        frame = pd.DataFrame(
            {
                0: pd.Series(draw(column["label"]), dtype=object),
                1: draw(column["number"]),
                2: pd.Series([[row] for row in range(n)], dtype=object),
            }
        )
        names = draw(st.lists(st.sampled_from([*HOSTILE, "c"]), min_size=3, max_size=3))
        frame.columns = pd.Index(names, dtype=object)
        known["columns"] = frame
    return members, known


@settings(max_examples=120, deadline=None)
@given(lists())
def test_no_two_names_are_the_same_and_each_is_one_line(case):
    members, known = case
    said = name_groups(members, **known)
    assert len(said) == len(members) == len(set(said))
    for name in said:
        assert name == " ".join(name.split()) and name and name[0] not in ",;"
        assert name.isprintable() or "\u200d" in name
        name.encode()
        assert len(name) < 200
    assert said == name_groups(members, **known)
    # What comes at the end of a list changes nothing before it.
    fewer = {
        key: value[: len(members) - 1] if key in ("kinds", "scope_labels") else value
        for key, value in known.items()
    }
    if len(members) > 1:
        assert name_groups(members[:-1], **fewer) == said[:-1]


def planted(n: int = 900) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Regions that share label and wrong answer, with columns and texts that differ somewhere."""
    random = np.random.default_rng(0)
    labels = np.array(["Bag", "Coat", "Shirt"])[random.integers(0, 3, n)]
    predictions = labels.copy()
    width, season = random.uniform(0, 20, n), random.choice(["winter", "summer", "spring"], n)
    shirt = labels == "Shirt"
    predictions[shirt & (width > 8)] = "Coat"
    words = np.array(
        ["voucher", "parcel", "sleeve", "colour", "window", "engine", "garden", "kitchen", "ticket"]
    )
    columns = pd.DataFrame({"width": width, "season": season, "mark": random.integers(0, 5, n)})
    members = [
        random.permutation(np.flatnonzero(mask))[:60]
        for mask in (
            shirt & (width > 15),
            shirt & (width > 8) & (width < 12),
            shirt & (width > 8),
            shirt & (width > 8) & (season == "winter"),
            labels == "Bag",
            (labels == "Bag") & (width < 3),
            width < 4,
        )
    ]
    return [*members, members[2], members[2]], {
        "labels": labels,
        "predictions": predictions,
        "losses": random.random(n),
        "columns": columns,
        "texts": np.array([" ".join(random.choice(words, 5)) for _ in range(n)], dtype=object),
        "ids": np.array([f"img-{row}" for row in range(n)]),
    }


def test_names_are_told_apart_and_none_is_a_place_in_the_list():
    members, known = planted()
    said = name_groups(members, **known)
    assert len(set(said)) == len(said)
    assert said[0].startswith("Shirt taken for Coat, width ≥ 15")
    assert said[3].startswith("Shirt taken for Coat, season winter")
    # The same members three times: what comes later is called by further typical members.
    assert said[2] == "Shirt taken for Coat, width ≥ 8.1"
    assert said[7].startswith("Shirt taken for Coat, like “") and said[7].endswith("…”")
    assert said[8] == f"{said[2]}, like example img-{members[8][0]}"
    assert not any(word in name for name in said for word in ("1st", "region", "(2)"))


def test_a_later_region_of_one_name_says_what_it_has_more_often():
    random = np.random.default_rng(1)
    n = 2000
    labels = np.where(random.random(n) < 0.5, "Bag", "Shirt")
    season = random.choice(["winter", "summer", "spring"], n)
    shirts = [np.flatnonzero((labels == "Shirt") & (season == one)) for one in np.unique(season)]
    # 45 % spring: too few to be said of the group, but twice as many as in the first of its name.
    first = np.r_[shirts[0][:40], shirts[1][:40], shirts[2][:40]]
    second = np.r_[shirts[0][40:95], shirts[1][40:65], shirts[2][40:60]]
    predictions = labels.astype(object)
    predictions[np.r_[first, second]] = "Bag"
    given = {"labels": labels, "predictions": predictions, "ids": np.arange(n).astype(str)}
    said = name_groups([first, second], columns=pd.DataFrame({"season": season}), **given)
    nothing = "Shirt, wrong, nothing else in common"
    assert said == [nothing, f"Shirt, wrong, mostly season {np.unique(season)[0]}"]


def test_rows_may_stand_in_any_order():
    members, known = planted()
    said = name_groups(members, **known)
    order = np.random.default_rng(2).permutation(len(known["labels"]))
    place = np.argsort(order)
    moved = {key: np.asarray(value)[order] for key, value in known.items() if key != "columns"}
    moved["columns"] = known["columns"].iloc[order].reset_index(drop=True)
    assert name_groups([place[rows] for rows in members], **moved) == said


def test_texts_that_are_read_do_not_depend_on_their_order(monkeypatch):
    monkeypatch.setattr("backend.describe.naming.spoken.OF_OTHERS", 200)
    monkeypatch.setattr("backend.describe.naming.spoken.OF_MEMBERS", 450)
    random = np.random.default_rng(3)
    words = np.array(
        ["voucher", "parcel", "sleeve", "colour", "window", "engine", "garden", "kitchen", "ticket"]
    )
    texts = np.array([" ".join(random.choice(words, 3)) for _ in range(3000)], dtype=object)
    rows = np.arange(0, 3000, 30)
    for row in rows:
        texts[row] = f"{texts[row].rpartition(' ')[0]} {'refund' if row % 60 else 'camper'}"
    ids = np.array([f"r{row}" for row in range(3000)])
    (said,) = name_groups([rows], texts=texts, ids=ids)
    assert said == "“camper” or “refund”"
    order = random.permutation(3000)
    place = np.argsort(order)
    assert name_groups([place[rows]], texts=texts[order], ids=ids[order]) == [said]


def test_what_somebody_named_stays_and_is_given_to_no_other():
    members, known = planted()
    given = ["", None, "my own", *[None] * 6]
    said = name_groups(members, given=given, **known)
    plain = name_groups(members, **known)
    assert said[2] == "my own" and said[:2] == plain[:2]
    taken = name_groups(members, given=[None, plain[0], *[None] * 7], **known)
    assert taken[1] == plain[0] and len(set(taken)) == len(taken)


def test_a_bundle_gives_all_it_knows(tmp_path):
    members, known = planted()
    n = len(known["labels"])
    columns = known["columns"]
    examples = pd.DataFrame({"id": known["ids"], "text": known["texts"]}).join(columns)
    write_bundle(
        tmp_path / "shirts.zip",
        embeddings=np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32),
        losses=known["losses"],
        labels=known["labels"],
        predictions=known["predictions"],
        examples=examples,
    )
    kinds, scopes = ["label", *["ball"] * 8], [("Shirt",), *[()] * 8]
    said = name_regions(
        read_bundle(tmp_path / "shirts.zip"), members, kinds=kinds, scope_labels=scopes
    )
    assert said == name_groups(members, kinds=kinds, scope_labels=scopes, **known)
    assert said[0] == "all of Shirt"


def test_a_bundle_of_numbers_says_errors(tmp_path):
    random = np.random.default_rng(1)
    predictions = random.integers(0, 90, 600)
    targets = predictions + random.normal(0, 1, 600)
    targets[:60] -= 12
    write_bundle(
        tmp_path / "numbers.zip",
        embeddings=random.normal(size=(600, 3)).astype(np.float32),
        losses=np.abs(targets - predictions),
        targets=targets,
        predictions=predictions,
    )
    assert name_regions(read_bundle(tmp_path / "numbers.zip"), [np.arange(60)]) == [
        "too high by 12"
    ]


def test_a_long_list_of_a_large_bundle_takes_no_time():
    random = np.random.default_rng(0)
    n = 100_000
    columns = pd.DataFrame({f"number {at}": random.normal(size=n) for at in range(14)})
    for at in range(6):
        columns[f"name {at}"] = random.choice([f"level {code}" for code in range(4 + 3 * at)], n)
    labels = random.choice([f"class {code}" for code in range(10)], n)
    predictions = np.where(random.random(n) < 0.8, labels, random.permutation(labels))
    members = [
        np.flatnonzero((labels == f"class {at % 10}") & (columns[f"number {at % 14}"] > 1))
        if at % 4
        else np.flatnonzero(columns["name 2"] == "level 3")
        for at in range(20)
    ]
    began = time.process_time()
    said = name_groups(
        members, labels=labels, predictions=predictions, losses=random.random(n), columns=columns
    )
    seconds = time.process_time() - began
    assert len(set(said)) == 20 and said[1] == "class 1, number 1 ≥ 1"
    assert seconds < 2, f"took {seconds:.1f} s; .4 s on an idle core"


@pytest.mark.parametrize(
    ("members", "given", "message"),
    [
        ([[]], {}, "a group must be rows, one or more"),
        ([[0.5]], {}, "a group must be rows, one or more"),
        ([[3]], {"labels": ["a", "b"]}, "members must be rows below 2: group 0 has 3 to 3"),
        ([[-1]], {"labels": ["a", "b"]}, "members must be rows below 2"),
        ([[0]], {"labels": ["a"], "ids": ["x", "y"]}, r"of one length: got \[1, 2\]"),
        ([[0]], {"labels": ["a"], "kinds": []}, "kinds must be one per group: got 0 for 1"),
        ([[0]], {"given": ["a", "b"]}, "given must be one per group: got 2 for 1"),
    ],
)
def test_each_fault_is_named(members, given, message):
    with pytest.raises(InputError, match=message):
        name_groups([np.array(rows) for rows in members], **given)


def test_no_group_has_no_name():
    assert name_groups([], labels=["a"], texts=["b"]) == []
