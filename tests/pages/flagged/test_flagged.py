"""The flagged page: hypotheses, blind checks and the report, with and without tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, open_bundle
from backend.core.parts import bundle_aside
from backend.export import record_of
from backend.rules import here, pieces
from backend.sharpen.record import question_key
from backend.store import Store
from pages.components.shared import services
from tests.bundles import npz, planted
from tests.pages.running import APP, components, ended, while_it_works


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The log as another process would read it."""
    with closing(Store(home=home)) as one:
        yield one


@pytest.fixture
def digest(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A bundle of its own for each test: 240 rows, of which the 80 wide ones are hard."""
    fields = planted(240, 5, seed=1)
    fields.pop("planted")
    seed = sum(map(ord, request.node.name))
    width = np.arange(240) % 3
    fields["losses"] = np.random.default_rng(seed).gamma(2.0, 0.2, size=240) + (width == 2)
    fields["examples/width"] = width.astype(float)
    path = tmp_path / "bundle.npz"
    path.write_bytes(npz(**fields))
    return import_bundle(path).digest


def opened(digest: str, sheet: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    at.query_params["sheet"] = sheet
    at.switch_page("pages/flagged.py").run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text", "code")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def try_out(at: AppTest, sentence: str, rule: str) -> AppTest:
    at.text_input(key="hypothesis_sentence").set_value(sentence).run()
    at.text_input(key="hypothesis_rule").set_value(rule).run()
    at.button(key="hypothesis_test").click().run()
    assert not at.exception
    return at


@pytest.mark.parametrize(
    "sheet", ["Table", "Gallery", "Hypotheses", "Blind check", "Report", "History"]
)
def test_every_sheet_opens_without_a_tag(digest: str, sheet: str) -> None:
    at = opened(digest, sheet)
    empty = "Nothing is tagged in this bundle yet" in texts(at)
    assert empty == (sheet in ("Table", "Gallery"))


def test_a_sharpened_tag_says_what_its_columns_are_and_goes_on(digest: str, store: Store) -> None:
    bundle = open_bundle(digest)
    start = bundle.ids[:20].tolist()
    key = question_key(start, "", 0)
    asked = {"source": {"kind": "tag", "tag": "seed"}, "layer": "", "seed": 0, "ranked": False}
    store.ask_question(digest, key, start, name="the first", asked=asked, author="Ada")
    for row in range(4):
        said = "yes" if row % 2 else "no"
        store.answer_question(digest, key, str(bundle.ids[row]), said, author="Ada")
    told = {"expected": 1.0, "low": 0.0, "high": 2.0, "drawn": 0, "versions": {}}
    answers = store.answers(digest, key)
    record = record_of(store.question(digest, key), answers, cut=30, meta=told)
    store.tag(digest, bundle.ids[:30].tolist(), "sharp", author="Ada", source=record.to_source())
    table = opened(digest, "Table").dataframe[0].value
    assert table["score"].notna().all() and set(table["answer"]) == {"yes", "no", ""}
    at = opened(digest, "What they share")
    at.button(key="sharpen_start").click().run()
    assert not at.exception and at.query_params["question"] in (key, [key])
    ended(at)
    assert "4 answered examples" in texts(at)
    place = next(one.key for one in at.number_input if one.key.startswith("cut_"))
    for cut in (12, 25):  # fewer than before, and more again: the tag is what is above the cut
        before = set(store.tags(digest)["id"])
        at.number_input(key=place).set_value(cut).run()
        sides = [
            json.loads(one.json or one.mixed.json)["items"]
            for one in components(at, "gallery")
            if "gallery_cut" in one.id
        ]
        assert [side[0]["weight"] for side in sides] == [f"no. {cut - 4}", f"no. {cut + 1}"]
        at.text_input(key="sharpen_tag").set_value("sharp").run()
        at.button(key="sharpen_keep").click().run()
        held = set(store.tags(digest)["id"])
        off = len(before - held)
        assert len(held) == cut and sides[0][-1]["id"] in held and sides[1][0]["id"] not in held
        assert (f"It is off {off} that" in at.toast[0].value) == (off > 0)
    assert [event.kind for event in store.events(digest)[:3]] == ["tag", "tag", "untag"]


def test_a_true_hypothesis_is_supported_and_undo_takes_it_back(digest: str, store: Store) -> None:
    at = try_out(opened(digest, "Hypotheses"), "Wide ones are hard", "width > 1")
    said = texts(at)
    assert "**Supported**" in said and "Wide ones are hard" in said
    assert "adjusted p" in said and "n 120" in said  # half of 240 was set aside
    [event] = store.hypotheses(digest)
    assert event.payload["card"]["verdict"]["verdict"] == "supported"
    assert list(at.dataframe[0].value["rule"]) == ["width > 1"]
    at.button(key="undo").click().run()
    assert store.hypotheses(digest) == [] and not at.dataframe


def test_a_false_hypothesis_is_contradicted(digest: str) -> None:
    at = try_out(opened(digest, "Hypotheses"), "Narrow ones are hard", "width < 1")
    assert "**Contradicted**" in texts(at) and "says the opposite" in texts(at)


def test_the_line_under_the_rule_says_what_the_test_is_made_on(digest: str, store: Store) -> None:
    store.tag(digest, [str(row) for row in range(100)], "seen", author="Ada")
    at = opened(digest, "Hypotheses")
    at.text_input(key="hypothesis_rule").set_value("width = 2").run()
    first = texts(at)
    at.selectbox(key="hypothesis_seen").set_value("tag:seen").run()
    second = texts(at)
    assert first != second and "Means 80 of 240 examples; " in first
    try_out(at, "Wide ones are hard", "width = 2")
    [event] = store.hypotheses(digest)
    n, other = (event.payload["card"]["verdict"][name] for name in ("n_matching", "n_other"))
    line = f"Means 80 of 240 examples; {n} of them are unused and will be tested against {other}"
    assert f"{line} others." in second and n + other == 140
    at.text_input(key="hypothesis_rule").set_value("id = 200").run()
    assert "Too few for a test: 1 of the examples not used to find it match" in texts(at)


def test_a_circular_hypothesis_is_marked_before_and_after(digest: str, store: Store) -> None:
    at = opened(digest, "Hypotheses")
    at.text_input(key="hypothesis_rule").set_value("loss > 1").run()
    assert "The rule goes by the loss itself" in at.warning[0].value
    try_out(at, "High losses are high", "loss > 1")
    assert "**Circular**" in texts(at) and "**Supported**" not in texts(at)
    assert list(at.dataframe[0].value["verdict_adjusted"]) == ["circular"]
    at.text_input(key="hypothesis_rule").set_value("width > 1").run()
    assert not at.warning


def test_a_tag_starts_with_its_own_rule_and_leaves_a_half(digest: str, store: Store) -> None:
    store.tag(digest, [str(row) for row in range(2, 240, 3)], "wide", author="Ada")
    at = opened(digest, "What they share")
    at.button(key="hypothesis_start").click().run()
    assert at.text_input(key="hypothesis_rule").value == 'tagged "wide"'
    at.switch_page("pages/flagged.py").run()
    assert "a random half set aside" in at.selectbox(key="hypothesis_seen").options[0]
    at.button(key="hypothesis_test").click().run()
    assert not at.exception and "**Supported**" in texts(at)
    [event] = store.hypotheses(digest)
    source = event.payload["card"]["source"]
    assert source["from"] == {"kind": "tag", "tag": "wide"}
    assert event.payload["card"]["verdict"]["n"] == 120


def test_a_rule_that_cannot_be_read_shows_where_and_is_not_try_out(
    digest: str, store: Store
) -> None:
    at = try_out(opened(digest, "Hypotheses"), "Anything", "width > and")
    lines = at.code[0].value.splitlines()
    caret = next(place for place, line in enumerate(lines) if line.strip() == "^")
    assert lines[caret].index("^") == lines[caret - 1].index("and")
    assert store.hypotheses(digest) == []


def test_what_was_looked_at_is_set_aside(digest: str, store: Store) -> None:
    store.tag(digest, [str(row) for row in range(100)], "seen", author="Ada")
    at = opened(digest, "Hypotheses")
    at.selectbox(key="hypothesis_seen").set_value("tag:seen").run()
    try_out(at, "Wide ones are hard", "width = 2")
    [event] = store.hypotheses(digest)
    verdict = event.payload["card"]["verdict"]
    assert (verdict["n_used"], verdict["n"]) == (100, 140)
    assert event.payload["card"]["source"] == {"kind": "tag", "tag": "seen"}


def test_marked_cards_are_deleted(digest: str, store: Store) -> None:
    at = try_out(opened(digest, "Hypotheses"), "First", "width = 2")
    try_out(at, "Second", "width = 1")
    key = at.dataframe[0].key
    at.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.run()
    at.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.button(key="hypothesis_delete").click().run()
    assert [one.payload["card"]["sentence"] for one in store.hypotheses(digest)] == ["Second"]


def test_suggestions_are_written_into_the_rule(digest: str) -> None:
    at = opened(digest, "Hypotheses")
    at.text_input(key="hypothesis_rule").set_value("wi").run()
    at.pills(key="hypothesis_suggestion").set_value("width").run()
    assert at.text_input(key="hypothesis_rule").value == "width "


def test_a_blind_check_is_answered_and_counted(digest: str, store: Store) -> None:
    at = opened(digest, "Blind check")
    at.button(key="blind_show").click().run()
    shown = [str(one) for one in components(at, "gallery")]
    assert len(shown) == 2
    check = at.session_state["_blind_running"]["check"]
    worse = check.worse
    at.button(key=f"blind_{worse}").click().run()
    assert not at.exception
    assert "Right." in texts(at) and "1 of 1 answers right" in texts(at)
    [event] = store.events(digest, kind="blind_check")
    assert event.payload["check"]["correct"] is True
    at.button(key="undo").click().run()
    assert "Right." not in texts(at) and "No blind check answered yet" in texts(at)
    at.button(key="redo").click().run()
    for _ in range(120):  # until the search for regions ends, which the tab asked for
        if any(one.startswith("Region 1, ") for one in at.selectbox(key="blind_group").options):
            break
        while_it_works()
        at.run()
    at.selectbox(key="blind_group").select_index(1).run()
    assert at.selectbox(key="blind_group").value == "region-1"
    at.button(key="blind_show").click().run()
    worse = at.session_state["_blind_running"]["check"].worse
    at.button(key="blind_second" if worse == "first" else "blind_first").click().run()
    assert "Not right." in texts(at) and "1 of 2 answers right" in texts(at)


def test_blind_tiles_do_not_say_how_the_model_did(digest: str, home: Path) -> None:
    from pages.components.gallery import gallery

    bundle = services.bundle_of(digest)
    [open_item] = gallery.items_of(bundle, np.array([0]))
    [hidden] = gallery.items_of(bundle, np.array([0]), hide_loss=True)
    assert open_item["loss"] and open_item["prediction"] is not None
    assert hidden["loss"] == "" and hidden["prediction"] is None and not hidden["wrong"]


def test_a_tag_on_most_examples_cannot_be_checked_blindly(digest: str, store: Store) -> None:
    store.tag(digest, [str(row) for row in range(200)], "most", author="Ada")
    at = opened(digest, "Blind check")
    at.selectbox(key="blind_group").set_value("tag:most").run()
    at.button(key="blind_show").click().run()
    assert "Take a smaller group" in texts(at) and not components(at, "gallery")


def test_the_report_is_made_only_when_asked_for(digest: str, store: Store) -> None:
    at = opened(digest, "Report")
    assert not at.get("progress") and not at.get("download_button")
    at.toggle(key="report_claim").set_value(False).run()
    at.button(key="report_make").click().run()
    options = at.session_state["_report_asked"]["options"]
    services.ask("report", digest, **options).wait(60)
    at.run()
    assert [one.proto.label.split(" · ")[0] for one in at.get("download_button")] == [
        "Download report",
        "Download model card section",
    ]
    made = services.ask("report", digest, **options).result()
    assert made["html"].tobytes().lstrip().lower().startswith(b"<!doctype html")
    store.tag(digest, ["0"], "late", author="Ada")
    at.run()
    assert "since this report was made" in texts(at)


def test_a_region_is_tested_untouched_on_what_was_kept_aside(
    home: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regions, Hypothesis, Test: what the line says before is what the card says after.

    Distances that take long are a worker's, and the rule is written once they are known.
    """
    fields = planted(600, 5, seed=2, share=0.15)
    fields = {name: fields[name] for name in ("embeddings", "losses")}
    path = tmp_path / "regions.npz"
    path.write_bytes(npz(**fields))
    bundle = import_bundle(path)
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = bundle.digest[:12]
    ended(at.switch_page("pages/spotlights.py").run())
    monkeypatch.setattr(here, "HERE_STEPS", 0)
    monkeypatch.setattr(pieces, "distances_to", lambda *given: pytest.fail("in the server"))
    at.button(key="hypothesis_start").click().run()
    # AppTest does not follow the page's own switch, a browser does.
    ended(at.switch_page("pages/flagged.py").run())
    rule = at.text_input(key="hypothesis_rule").value
    assert rule.startswith("near ")
    line = re.search(r"Means \d+ of 600 examples; (\d+) of them .* against (\d+) others", texts(at))
    at.button(key="hypothesis_test").click().run()
    assert not at.exception and line
    [event] = store.hypotheses(bundle.digest)
    verdict = event.payload["card"]["verdict"]
    assert (verdict["n_matching"], verdict["n_other"]) == tuple(map(int, line.groups()))
    assert verdict["n"] == bundle_aside(bundle).sum() and verdict["verdict"] == "supported"
    assert event.payload["card"]["rule"] == rule
    assert event.payload["card"]["source"]["from"]["method"] == "regions"
