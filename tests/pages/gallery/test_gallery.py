"""Galleries, keys and history on the real backend, without a browser: what a page does with a queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle
from backend.core.groups import sharp_group, weighted_group
from backend.store import Store
from backend.views import cards
from pages.components.gallery import example, gallery, keyboard, known
from pages.components.shared import services, text
from tests.bundles import npz, planted
from tests.pages.running import APP

ME = "a1b2c3d4e5f6"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The log as another process reads it."""
    with closing(Store(home=home)) as one:
        yield one


@pytest.fixture
def digest(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A bundle of its own for each test, 300 rows; the losses fall with the row number."""
    fields = planted(300, 4, seed=sum(map(ord, request.node.name)))
    fields.pop("planted")
    fields["losses"] = np.linspace(3, 0.1, 300)
    fields["probabilities"] = np.full((300, 3), 1 / 3)
    path = tmp_path / "bundle.npz"
    path.write_bytes(npz(**fields))
    return import_bundle(path).digest


def opened(digest: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    at.query_params["quantile"] = "20.0"
    at.switch_page("pages/hardest.py").run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def data_of(at: AppTest, name: str) -> dict[str, Any]:
    """What the component of this name was given last."""
    found = [one.proto for one in at.get("bidi_component") if one.proto.component_name == name]
    return dict(json.loads(found[0].json or found[0].mixed.json))


def tiles(at: AppTest) -> list[str]:
    return [item["id"] for item in data_of(at, "errorscope_gallery")["items"]]


def line(at: AppTest) -> dict[str, Any]:
    return data_of(at, "errorscope_gallery_keys")


def press(at: AppTest, digest: str, *actions: dict[str, Any], start: int = 1) -> AppTest:
    items = [
        {"n": n, "operation": f"{digest[:8]}-{n}", "bundle": digest, **action}
        for n, action in enumerate(actions, start)
    ]
    at.session_state["gallery_keys"] = {
        "queue": {"instance": ME, "sent": start, "items": items},
        "opened": None,
    }
    at.run()
    assert not at.exception, [element.message for element in at.exception]
    return at


def tag(*ids: str, name: str = "x") -> dict[str, Any]:
    return {"kind": "tag", "ids": list(ids), "tag": name}


def test_a_queue_is_done_once_and_acknowledged(digest: str, store: Store) -> None:
    at = opened(digest)
    press(at, digest, tag("0"), tag("1"), {"kind": "undo"}, tag("2", "3"))
    assert line(at)["acknowledged"] == 4 and line(at)["instance"] == ME
    assert line(at)["tags"] == {"0": ["x"], "2": ["x"], "3": ["x"]}
    press(at, digest, tag("2", "3"), tag("4"), start=4)  # the first was done already
    assert line(at)["acknowledged"] == 5
    kinds = [event.kind for event in reversed(store.events(digest))]
    assert kinds == ["tag", "tag", "undo", "tag", "tag"]
    assert store.events(digest)[0].source == {
        "kind": "keyboard",
        "from": {"kind": "high loss"},
    }


def test_tiles_are_not_sent_again_when_tags_change(digest: str) -> None:
    at = opened(digest)
    before = data_of(at, "errorscope_gallery")
    press(at, digest, tag("0"))
    assert data_of(at, "errorscope_gallery") == before


def test_a_new_session_does_not_double_what_the_last_one_did(digest: str, store: Store) -> None:
    press(opened(digest), digest, tag("0"), tag("1"))
    again = press(opened(digest), digest, tag("0"), tag("1"), tag("2"))
    assert line(again)["acknowledged"] == 3
    assert [event.ids for event in reversed(store.events(digest))] == [("0",), ("1",), ("2",)]


def test_what_cannot_be_done_is_told_and_does_not_stop_the_rest(digest: str, store: Store) -> None:
    at = opened(digest)
    press(at, digest, tag("nobody"), tag("0", name=" "), tag("1"), {"kind": "explode"})
    assert line(at)["acknowledged"] == 4
    assert "explode" in line(at)["problem"]
    assert store.tags(digest)["id"].tolist() == ["1"]
    press(at, digest, tag("nobody"), start=5)
    assert "no example 'nobody'" in line(at)["problem"]


def test_a_bundle_that_is_not_here_is_refused(digest: str, store: Store) -> None:
    at = opened(digest)
    press(at, digest, tag("0") | {"bundle": "../../etc"}, tag("1"))
    assert line(at)["acknowledged"] == 2
    assert store.tags(digest)["id"].tolist() == ["1"]
    press(at, digest, {"kind": "undo", "bundle": "f" * 64}, start=3)
    assert "not imported here" in line(at)["problem"]


def test_digits_keep_their_tags_and_new_ones_take_the_next(digest: str, store: Store) -> None:
    store.tag(digest, ["0"], "b", author="Bob")
    at = opened(digest)
    assert line(at)["keys"] == {"1": "b"}
    store.tag(digest, ["0"], "a", author="Bob")  # first in the alphabet, and yet second
    at.run()
    assert line(at)["keys"] == {"1": "b", "2": "a"}
    store.undo(digest, "Bob")
    at.run()
    assert line(at)["keys"] == {"1": "b"}, "no digit is told of a tag that nothing carries"
    store.tag(digest, ["0"], "c", author="Bob")
    at.run()
    assert line(at)["keys"] == {"1": "b", "3": "c"}, "its digit waits for it"


def test_a_digit_that_was_pressed_means_its_tag_ever_after(digest: str, store: Store) -> None:
    store.tag(digest, ["0"], "zebra", author="Bob")
    store.tag(digest, ["0"], "ant", author="Bob")
    at = opened(digest)
    assert line(at)["keys"] == {"1": "zebra", "2": "ant"}  # as they came, not by the alphabet
    press(at, digest, tag("3", name="new") | {"digit": "7"}, tag("4") | {"digit": "77"})
    keys = {"1": "zebra", "2": "ant", "3": "x", "7": "new"}
    assert line(at)["keys"] == keys
    store.undo(digest, "Bob")
    store.untag(digest, ["3"], "new")
    store.tag(digest, ["5"], "aaa", author="Bob")
    told = {digit: name for digit, name in keys.items() if name != "ant"}
    for again in (at, opened(digest)):  # and after a reload
        again.run()
        assert line(again)["keys"] == {**told, "4": "aaa"}
    assert store.setting(digest, keyboard.SETTING) == {"7": "new"}
    for name in "cdefg":
        store.tag(digest, ["5"], name, author="Bob")
    at.run()  # nine have a digit; of those nothing carries only an unbound one gives it up
    assert line(at)["keys"] == {
        **keys,
        "2": "g",
        "4": "aaa",
        **dict(zip("5689", "cdef", strict=True)),
    }


def test_chosen_digits_are_kept_per_author(digest: str, store: Store) -> None:
    store.write_setting(digest, keyboard.SETTING, {"5": "five", "x": "no digit"}, author="local")
    store.tag(digest, ["0"], "b", author="Bob")
    assert line(opened(digest))["keys"] == {"1": "b", "5": "five"}


def test_digits_are_chosen_in_the_popover(digest: str, store: Store) -> None:
    at = opened(digest)
    at.session_state["gallery_keys_popover"] = True
    at.run()
    at.text_input(key="gallery_digit_4").set_value("  coat-like ")
    at.button(key="FormSubmitter:gallery_keys_form-Keep").click().run()
    assert not at.exception
    assert store.setting(digest, keyboard.SETTING) == {"4": "coat-like"}
    assert line(at)["keys"] == {"4": "coat-like"}
    at.text_input(key="gallery_digit_4").set_value("x\x07")
    at.button(key="FormSubmitter:gallery_keys_form-Keep").click().run()
    assert "control characters" in at.error[0].value
    assert line(at)["keys"] == {"4": "coat-like"}


def test_columns_of_cards_are_chosen_for_a_bundle_and_kept(
    home: Path, store: Store, tmp_path: Path
) -> None:
    fields = planted(60, 4, seed=77)
    fields.pop("planted")
    columns = {name: np.arange(60) * 1.00001234567 for name in ("one", "two", "$cost$", "four")}
    path = tmp_path / "tabular.npz"
    path.write_bytes(npz(**fields, **{f"examples/{name}": held for name, held in columns.items()}))
    digest = import_bundle(path).digest
    at = opened(digest)
    assert at.segmented_control(key="view").value == "Table"  # nothing else to look at
    at.segmented_control(key="view").set_value("Members").run()
    gallery_data = data_of(at, "errorscope_gallery")
    assert gallery_data["columns"] == ["one", "two", "$cost$"]
    [item] = [item for item in gallery_data["items"] if item["id"] == tiles(at)[0]]
    row = int(item["id"])
    assert item["cells"] == [f"{row * 1.00001234567:.7g}"] * 3
    at.session_state["gallery_columns_popover"] = True
    at.run()
    at.multiselect(key="gallery_columns").set_value(["four", "one"]).run()
    assert not at.exception
    assert store.setting(digest, cards.SETTING) == ["four", "one"]
    for again in (at, opened(digest)):  # and after a reload
        again.segmented_control(key="view").set_value("Members").run()
        assert data_of(again, "errorscope_gallery")["columns"] == ["four", "one"]
    at.button(key="gallery_columns_follow").click().run()
    assert store.setting(digest, cards.SETTING) is None
    assert data_of(at, "errorscope_gallery")["columns"] == ["one", "two", "$cost$"]


def test_order_and_page_size(digest: str) -> None:
    at = opened(digest)
    assert tiles(at) == [str(row) for row in range(48)]
    at.selectbox(key="gallery_order").set_value("Loss, low first").run()
    assert tiles(at) == [str(row) for row in range(59, 11, -1)]
    at.selectbox(key="gallery_size").set_value(24).run()
    assert len(tiles(at)) == 24 and data_of(at, "errorscope_gallery")["pages"] == 3
    at.session_state["_page_gallery"] = 3
    at.run()
    assert tiles(at) == [str(row) for row in range(11, -1, -1)]
    assert "49–60 of 60" in [one.value for one in at.caption]


def numbers_of_pair(at: AppTest) -> pd.DataFrame:
    [frame] = [one.value for one in at.dataframe if "of" in one.value]
    return frame.set_index("of")


def test_two_groups_of_ones_choice_stand_side_by_side(digest: str, store: Store) -> None:
    assert "Side by side" not in opened(digest).segmented_control(key="view").options
    store.tag(digest, [str(row) for row in range(100, 180)], "middle *ones*", author="Bob")
    store.tag(digest, [str(row) for row in range(40, 120)], "others", author="Bob")
    at = opened(digest)
    at.segmented_control(key="view").set_value("Side by side").run()
    assert not at.exception, [element.message for element in at.exception]
    frame = numbers_of_pair(at)
    assert frame.loc["members", ["first", "second"]].tolist() == ["60", "80"]
    assert frame.loc["examples measured", ["first", "second"]].tolist() == ["0", "80"]
    at.selectbox(key="a").set_value("tag:others").run()
    frame = numbers_of_pair(at)
    assert frame.loc["members of both", "first"] == "20"
    assert frame.loc["mean loss", "difference"].startswith("+0.582 (")
    at.selectbox(key="b").set_value("tag:others").run()
    assert "not the same one" in at.info[0].value


def test_the_history_lists_changes_and_takes_them_back(digest: str, store: Store) -> None:
    store.tag(digest, ["0"], "*odd* [name](http://x.invalid)", author="Bob")
    store.save_view(digest, "shirts", {"filter": "label = 6"})
    store.write_setting(digest, keyboard.SETTING, {"1": "x"})
    at = opened(digest)
    at.session_state["history_popover"] = True
    at.run()
    said = [one.value for one in at.markdown if "UTC" in one.value]
    assert len(said) == 2
    assert "Saved the view 'shirts'".replace("'", "\\'") in said[0] and "local" in said[0]
    assert text.plain("*odd* [name](http://x.invalid)") in said[1] and "Bob" in said[1]
    at.button(key="undo").click().run()
    assert store.views(digest) == []
    assert "Ctrl+Shift+Z" in at.toast[0].value
    said = [one.value for one in at.markdown if "UTC" in one.value]
    assert "taken back" in said[1] and "Undid" in said[0]


def test_what_somebody_else_does_is_noticed(digest: str, store: Store) -> None:
    at = opened(digest)
    seen = at.session_state["_followed"]
    assert seen == (digest, 0)
    store.tag(digest, ["0"], "theirs", author="Bob")
    at.run()
    assert at.session_state["_followed"] == (digest, store.last_seq(digest))
    assert line(at)["tags"] == {"0": ["theirs"]}


def test_an_open_example_says_all_that_is_known(digest: str, store: Store) -> None:
    store.tag(digest, ["2", "7"], "x", author="Ada")
    at = opened(digest)
    at.session_state["_example"] = {"gallery": "gallery", "at": 2}
    at.run()
    shown = data_of(at, "errorscope_example")
    assert (shown["id"], shown["place"]) == ("2", "3 of 60")
    assert dict(shown["facts"])["percentile"] == "higher than 99\u00a0% of all losses"
    assert [bar["text"] for bar in shown["bars"]] == ["0.333"] * 3
    assert shown["groups"] == [["highest losses", "member 3 of 60"]]
    [event] = shown["events"]
    assert (event["who"], event["what"]) == ("Ada", "tagged 'x', with 1 other")
    near = [
        json.loads(one.proto.json)
        for one in at.get("bidi_component")
        if one.proto.component_name == "errorscope_gallery"
    ][1]
    bundle = services.bundle_of(digest)
    distances = np.linalg.norm(bundle.embeddings - bundle.embeddings[2], axis=1)
    distances[2] = np.inf
    assert [item["id"] for item in near["items"]] == np.argsort(distances)[:10].astype(str).tolist()


def test_orders_keep_ties_in_the_groups_own_order(digest: str) -> None:
    bundle = services.bundle_of(digest)
    rows = np.array([5, 3, 9])
    weights = np.zeros(300)
    weights[rows] = [0.5, 0.9, 0.5]
    group = weighted_group("region", rows, weights, bundle.losses)
    assert gallery.ordered(bundle, group, "Weight, high first").tolist() == [3, 5, 9]
    assert gallery.ordered(bundle, group, "Id").tolist() == [3, 5, 9]
    assert gallery.ordered(bundle, group, "Loss, low first").tolist() == [9, 5, 3]
    assert gallery.ordered(bundle, group, gallery.GROUP_ORDER).tolist() == group.rows.tolist()


def test_bars_show_the_label_even_when_it_is_improbable(digest: str) -> None:
    bundle = services.bundle_of(digest)
    bars = example.bars_of(bundle, 0, top=1)
    label = bundle.class_names[bundle.label_codes[0]]
    assert [bar["name"] for bar in bars if bar["mark"] == "label"] == [label]
    assert len(bars) == (1 if label == "cat" else 2)


def test_a_source_is_found_for_a_group_on_the_page_in_any_order(
    digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.components.shared.choice import Choice

    bundle = services.bundle_of(digest)
    rows = np.array([5, 3, 9])
    source = {"kind": "region", "key": "k:0", "name": "n", "center": [0.0] * 400}
    choice = Choice("region-1", "n", sharp_group("region", rows, bundle.losses), source)
    monkeypatch.setattr(known, "_known_groups", lambda bundle: [choice])
    expected = {"kind": "region", "key": "k:0", "name": "n"}
    assert known.source_of(bundle, np.array([3, 5, 9])) == expected
    assert known.source_of(bundle, np.array([3, 5])) is None
