"""Words and columns of a group: marked rows, baselines, hostile texts, and the way to a hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import Bundle, import_bundle
from backend.describe import attribute_tables, compared_columns, token_table
from backend.rules import evaluate
from backend.store import Store
from pages.components.group import columns
from pages.components.shared import text
from tests.bundles import npz
from tests.pages.running import APP, ended

N = 200
HARD = np.arange(N) < 40
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "![a](http://x.invalid/b.png)",
    "$$\\frac{1}{2}$$",
    "=1+1",
]


def tables_of(at: AppTest) -> list[Any]:
    """The tables on the page, without the one behind the histogram of losses."""
    return [table for table in at.dataframe if "in the set" not in table.value.columns]


@pytest.fixture(scope="module")
def bundle(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """200 texts; the 40 of the highest loss say "refund"."""
    rng = np.random.default_rng(0)
    words = np.array(["shoe", "hat", "coat", "red", "blue", "nice"])
    texts = [
        " ".join(rng.choice(words, 5)) + (" refund please" if HARD[row] else "") for row in range(N)
    ]
    path = tmp_path_factory.mktemp("upload") / "reviews.npz"
    fields: dict[str, Any] = {
        "embeddings": rng.normal(size=(N, 3)),
        "losses": rng.random(N) + 5 * HARD,
        "labels": rng.integers(0, 2, N),
        "predictions": rng.integers(0, 2, N),
        "classes": np.array(["cat", "*dog*"]),
        "examples/text": np.array(texts),
        "examples/topic": np.where(HARD, "returns", rng.choice(["a", "b"], N)),
        "examples/width": np.where(HARD, 9.0, rng.random(N)),
    }
    path.write_bytes(npz(**fields))
    return import_bundle(path)


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The log as another process would read it."""
    with closing(Store(home=home)) as one:
        yield one


def opened(digest: str, page: str = "hardest", **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    for name, value in {"bundle": digest[:12], "quantile": "20.0", **query}.items():
        at.query_params[name] = value
    at.switch_page(f"pages/{page}.py").run()
    return ended(at)


def said(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "error", "text")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def mark(at: AppTest, row: int, then: Callable[[], Any] | None = None, table: int = 0) -> AppTest:
    """Mark a row; AppTest sends a table's marks only if they are set before every run."""
    key = tables_of(at)[table].key
    at.session_state[key] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    if then is not None:
        then()
    at.run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def test_words_are_those_of_the_table(bundle: Bundle) -> None:
    p = tables_of(opened(bundle.digest, view="Words"))[0].value["p"]
    assert p.is_monotonic_increasing and p.iloc[0] < p.iloc[-1]
    at = opened(bundle.digest, view="Words", rank="By ratio")
    wanted = token_table(bundle.examples["text"].tolist(), HARD)
    shown = tables_of(at)[0].value
    assert shown["token"].tolist() == wanted["token"].tolist()
    for name in ("ratio", "group_share", "base_share", "p", "p_adjusted"):
        assert np.abs(shown[name] - wanted[name]).max() < 1e-9
    assert shown["group_count"].tolist() == wanted["group_count"].tolist()
    assert "Compared with all 200 examples; the group has 40 members." in said(at)
    assert f"Of {wanted.attrs['looked_at']} words looked at" in said(at)


@pytest.mark.parametrize(
    ("against", "sentence"),
    [
        ("same label", "Compared with all 200 examples, weighted to the labels of the group"),
        ("rest", "Compared with the 160 examples that are not members"),
    ],
)
def test_the_baseline_can_be_chosen(bundle: Bundle, against: str, sentence: str) -> None:
    at = opened(bundle.digest, view="Words", words="Pairs", against=against, rank="By ratio")
    wanted = token_table(
        bundle.examples["text"].tolist(),
        HARD,
        length=2,
        min_count=5,
        baseline=against,
        labels=bundle.label_codes,
    )
    assert sentence in said(at)
    assert tables_of(at)[0].value["token"].tolist() == wanted["token"].tolist()
    assert tables_of(at)[0].value["base_share"].tolist() == pytest.approx(wanted["base_share"])


def test_the_words_of_all_groups_stand_side_by_side(bundle: Bundle) -> None:
    asked = {"search": "spotlights", "share": "20.0", "view": "Words", "rank": "By ratio"}
    at = opened(bundle.digest, "spotlights", words="All groups", **asked)
    [shown] = [table.value for table in tables_of(at) if "H highest losses" in table.value]
    assert set(shown["H highest losses"][:2]) == {"refund", "please"}
    assert len(shown) == 10 and "R random sample" in shown
    alone = token_table(bundle.examples["text"].tolist(), HARD, top=10)["token"].tolist()
    assert [word for word in shown["H highest losses"] if word] == alone
    assert "Words that each group has more often than all examples" in said(at)
    assert at.get("download_button")


def test_a_marked_word_shows_its_members_and_tags_them(bundle: Bundle, store: Store) -> None:
    at = opened(bundle.digest, view="Words")
    token = tables_of(at)[0].value["token"][0]
    assert token in ("please", "refund")
    components = len(at.get("bidi_component"))
    mark(at, 0)
    assert f"“{token}”** · 40 of 40 members (100\u00a0%" in said(at)
    assert "40 of 200 examples (20\u00a0%" in said(at)
    assert len(at.get("bidi_component")) > components
    store.tag(bundle.digest, [str(bundle.ids[199])], "refunds", author="Bob")
    mark(at, 0)
    select = next(one for one in at.selectbox if str(one.key).startswith("tag_name_"))
    mark(at, 0, lambda: select.set_value("refunds"))
    press = next(one for one in at.button if str(one.key).startswith("tag_button_"))
    mark(at, 0, lambda: press.click())
    tags = store.tags(bundle.digest)
    assert len(tags[tags["tag"] == "refunds"]) == 41
    event = store.events(bundle.digest)[0]
    assert event.source["kind"] == "members with" and event.source["what"] == f"“{token}”"


def test_a_marked_word_becomes_a_hypothesis(bundle: Bundle, store: Store) -> None:
    at = opened(bundle.digest, view="Words")
    token = tables_of(at)[0].value["token"][0]
    mark(at, 0)
    press = next(one for one in at.button if "Write as hypothesis" in one.label)
    mark(at, 0, lambda: press.click())
    assert at.text_input(key="hypothesis_rule").value == f'text contains "{token}"'
    assert at.selectbox(key="hypothesis_seen").value == "group"
    # AppTest does not follow the page's own switch, a browser does.
    at.switch_page("pages/flagged.py").run()
    assert at.text_input(key="hypothesis_rule").value == f'text contains "{token}"'
    at.selectbox(key="hypothesis_seen").set_value("group")
    at.button(key="hypothesis_test").click().run()
    assert not at.exception
    [event] = store.hypotheses(bundle.digest)
    verdict = event.payload["card"]["verdict"]
    # Every holder is a member, and members suggested it: nothing is left to confirm it.
    assert (verdict["n_used"], verdict["n_matching"]) == (40, 0)
    assert verdict["verdict"] == "too few examples"
    assert event.payload["card"]["source"]["kind"] == "group"
    at = opened(
        bundle.digest, "flagged", sheet="What they share", of=f"rule:{event.payload['key']}"
    )
    assert "Compared with all 200 examples; the group has 40 members." in said(at)
    at.button(key="hypothesis_start").click().run()
    assert at.text_input(key="hypothesis_rule").value == f'text contains "{token}"'
    assert at.text_input(key="hypothesis_sentence").value.startswith("Higher loss: rule: text")


def test_scripts_topics_and_columns(bundle: Bundle) -> None:
    at = opened(bundle.digest, view="Words", words="Script and marks")
    assert {"script", "language", "mark"} >= set(tables_of(at)[0].value["column"])
    assert tables_of(at)[1].value["column"].tolist()[0] in ("words", "characters")
    at = opened(bundle.digest, view="Words", words="Topics", order="mean_loss")
    topics = tables_of(at)[0].value
    assert topics["value"][0] == "returns" and topics["mean_loss"].is_monotonic_decreasing
    at = opened(bundle.digest, view="Columns", side="Lacks", order="ratio")
    lacking = tables_of(at)[0].value["ratio"].dropna()
    assert lacking.is_monotonic_increasing and lacking.iloc[0] < 1
    at = opened(bundle.digest, view="Columns")
    shown = tables_of(at)[0].value
    tables = attribute_tables(compared_columns(bundle), HARD, bundle.losses)
    assert shown["value"].tolist() == [value for one in tables for value in one.table["value"]]
    assert f"{len(shown)} values of {len(tables)} columns looked at" in said(at)
    mark(at, int(shown.index[shown["value"] == "returns"][0]))
    assert "topic\\: returns** · 40 of 40 members" in said(at)


def test_every_value_of_a_column_has_the_rule_that_means_it(bundle: Bundle) -> None:
    for column in columns.coded(bundle.digest, bundle):
        for code in range(len(column.levels)):
            rule = columns.rule_of(bundle, column, code)
            assert rule is not None, (column.name, column.levels[code])
            np.testing.assert_array_equal(evaluate(rule, bundle), column.codes == code, rule)


def test_a_hypothesis_about_a_group_names_what_it_shares(bundle: Bundle) -> None:
    at = opened(bundle.digest, view="Columns")
    at.button(key="hypothesis_start").click().run()
    rule = at.text_input(key="hypothesis_rule").value
    assert "topic" in rule or "width" in rule
    assert evaluate(rule, bundle).tolist() == HARD.tolist()
    assert at.text_input(key="hypothesis_sentence").value == "Higher loss: highest losses"


def test_tags_show_what_they_share(bundle: Bundle, store: Store) -> None:
    store.tag(bundle.digest, bundle.ids[HARD].tolist(), "**bold**", author="Ada")
    at = opened(
        bundle.digest, "flagged", sheet="What they share", of="tag:**bold**", view="Columns"
    )
    assert "topic" in tables_of(at)[0].value["column"].tolist()
    at = opened(bundle.digest, "flagged", sheet="What they share", of="tag:**bold**", view="Words")
    assert set(tables_of(at)[0].value["token"][:2]) == {"refund", "please"}


@pytest.mark.parametrize(
    ("address", "parted"),
    [
        ("see HTTPS://x.invalid/a", "HTTPS:\u2060//"),
        ("http://x", "http:\u2060//"),
        ("www.x.invalid", "www\u2060."),
        ("ada@x.invalid", "ada\u2060@"),
    ],
)
def test_an_address_is_parted_so_that_it_is_no_link(address: str, parted: str) -> None:
    unescaped = text.plain(address).replace("\\", "")
    assert parted in unescaped
    assert unescaped.replace("\u2060", "") == address


def test_hostile_texts_stay_texts(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts = np.array([f"{HOSTILE[row % 4]} word{row % 3}" for row in range(80)])
    path = tmp_path / "hostile.npz"
    path.write_bytes(
        npz(
            **{
                "embeddings": rng.normal(size=(80, 2)),
                "losses": np.arange(80.0),
                "examples/text": texts,
                "examples/<b>*c*</b>": np.array(HOSTILE)[np.arange(80) % 4],
            }
        )
    )
    digest = import_bundle(path).digest
    for query in (
        {"view": "Words"},
        {"view": "Words", "words": "Triples"},
        {"view": "Words", "words": "Script and marks"},
        {"view": "Words", "words": "Topics"},
        {"view": "Columns"},
    ):
        at = opened(digest, **query)
        mark(at, 0)
        for element in at.get("markdown"):
            value = str(element.value)
            if element.proto.allow_html:
                continue
            for sign in ("<img", "![a]", "$$", "<b>", "*c*"):
                assert sign not in value, value


def test_texts_without_words_say_so(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.npz"
    path.write_bytes(
        npz(
            **{
                "embeddings": np.eye(40),
                "losses": np.arange(40.0),
                "examples/text": np.array(["..."] * 40),
            }
        )
    )
    digest = import_bundle(path).digest
    at = opened(digest, view="Words")
    assert "documents hold no token" in said(at)
    at = opened(digest, view="Words", words="Topics")
    assert "Add a column named topic" in said(at)
    at = opened(digest, view="Columns")
    assert "no labels and no columns to compare" in said(at)
