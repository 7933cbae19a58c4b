"""One filter and one selection: whatever makes them, the page shows and tags exactly those rows."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle
from backend.difficulty import high_loss
from backend.jobs.job import SILENCE_S
from backend.rules import evaluate, here, pieces
from backend.store import Store
from backend.tasks import default_options
from backend.views import Drawn, Ids, Query, View, decode, encode
from pages.components.shared import services, waiting
from pages.components.view import rulebox
from tests.bundles import npz, planted
from tests.pages.running import APP, ended, texts


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    made = planted(300, 5, seed=2)
    made.pop("planted")
    made["examples/width"] = np.round(np.random.default_rng(0).normal(size=300), 2)
    return made


@pytest.fixture(scope="module")
def bundle(home: Path, fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("bundle") / "run.npz"
    path.write_bytes(npz(**fields))
    return import_bundle(path)


@pytest.fixture(scope="module")
def layout(bundle: Any) -> tuple[str, np.ndarray]:
    """Key and positions of the PCA map."""
    options = {**default_options("projection"), "method": "pca"}
    job = services.jobs().submit("projection", bundle.digest, options, watcher="test")
    job.wait(60)
    return job.key, np.asarray(job.result()["xy"])


def opened(bundle: Any, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    for name, value in {"bundle": bundle.digest[:12], **query}.items():
        at.query_params[name] = value
    at.switch_page("pages/spotlights.py").run()
    return ended(at)


def counts(at: AppTest) -> tuple[int, int]:
    """Filtered and selected, as the page says them."""
    line = next(one.value for one in at.markdown if one.value.startswith("all **"))
    numbers = [int(part.strip("*").replace(",", "")) for part in line.split() if "**" in part]
    return numbers[1], numbers[2]


def told_of(at: AppTest, key: str) -> dict[str, Any]:
    """What the component of this key was told last."""
    held = next(one.proto for one in at.get("bidi_component") if key in one.proto.id)
    return dict(json.loads(held.json or held.mixed.json))


def typed_rule(at: AppTest, n: int, rule: str) -> dict[str, Any]:
    """Press Enter in the box of rules; what the box was told."""
    asked = {"instance": "box-of-the-test", "n": n, "text": rule}
    at.session_state[rulebox.BOX] = {"typed": None, "asked": asked}
    at.run()
    ended(at)
    return told_of(at, rulebox.BOX)


def gesture(bundle: Any, key: str, number: int, low: Any, high: Any, do: str) -> dict[str, Any]:
    return {
        "number": number,
        "kind": "box",
        "op": do,
        "points": [[float(low[0]), float(low[1])], [float(high[0]), float(high[1])]],
        "map": f"{bundle.digest}:{key}",
    }


def inside(xy: np.ndarray, low: Any, high: Any) -> np.ndarray:
    return ((xy >= np.asarray(low)) & (xy <= np.asarray(high))).all(axis=1)


def test_what_is_drawn_is_selected_and_tagged(
    bundle: Any, layout: tuple[str, np.ndarray], home: Path
) -> None:
    key, xy = layout
    middle, corner = np.median(xy, axis=0), xy.max(axis=0)
    quarter = (middle + corner) / 2
    with closing(Store(home=home)) as store:
        store.tag(bundle.digest, ["0"], "drawn", author="Bob")
    at = opened(bundle)
    drawn = [gesture(bundle, key, 1, middle, corner, "new")]
    at.session_state["map_chart"] = {"gestures": drawn}
    at.run()
    assert counts(at) == (300, int(inside(xy, middle, corner).sum()))
    drawn.append(gesture(bundle, key, 2, quarter, corner, "remove"))
    at.session_state["map_chart"] = {"gestures": drawn}
    at.run()
    expected = inside(xy, middle, corner) & ~inside(xy, quarter, corner)
    assert counts(at) == (300, int(expected.sum()))
    assert at.radio[0].value == "selection"
    at.selectbox(key="tag_name").set_value("drawn").run()
    assert at.button(key="tag_0").label.endswith(f"· {expected.sum()}")
    at.button(key="tag_0").click().run()
    with closing(Store(home=home)) as store:
        tagged = set(store.tags(bundle.digest)["id"]) - {"0"}
        events = store.events(bundle.digest)
    source = next(
        event.source for event in events if event.kind == "tag" and event.author == "local"
    )
    assert tagged == set(bundle.ids[expected]) - {"0"}
    assert source["kind"] == "selection" and len(source["steps"]) == 2
    drawn.append({**drawn[0], "number": 3, "kind": "clear", "points": []})
    at.session_state["map_chart"] = {"gestures": drawn}
    at.run()
    assert counts(at) == (300, 0)
    assert "selection" not in at.radio[0].options


def test_a_link_opens_the_same_rows(bundle: Any, layout: tuple[str, np.ndarray]) -> None:
    key, xy = layout
    low, high = np.quantile(xy, 0.2, axis=0), np.quantile(xy, 0.9, axis=0)
    corners = ((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
    view = View().filtered(Query("label = dog")).selected(Drawn("PCA", key[:16], "box", corners))
    at = opened(bundle, state=encode(view), group="selection")
    names = np.array(["cat", "dog", "cow"])[bundle.label_codes]
    dogs = names == "dog"
    assert counts(at) == (int(dogs.sum()), int((dogs & inside(xy, low, high)).sum()))
    assert at.radio[0].value == "selection"
    assert decode("".join(at.query_params["state"])) == view
    lines = " ".join([*at.radio[0].options, *at.radio[0].proto.captions])
    assert "pass the filters" in lines
    assert told_of(at, "map_chart")["aside"], "beside what is selected the others step back"
    at.radio[0].set_value("high-loss").run()
    assert not told_of(ended(at), "map_chart")["aside"], "beside another group they are seen"


def test_chips_switch_filters_off_and_remove_them(bundle: Any) -> None:
    view = View().filtered(Query("correct = no")).filtered(Query("loss > 1"))
    at = opened(bundle, state=encode(view))
    wrong, high = ~bundle.correct, bundle.losses > 1
    assert counts(at)[0] == (wrong & high).sum()
    at.button(key="chip_switch_0").click().run()
    assert counts(at)[0] == high.sum()
    at.button(key="chip_switch_0").click().run()
    at.button(key="chip_remove_1").click().run()
    assert counts(at)[0] == wrong.sum()
    at.button(key="chip_remove_0").click().run()
    assert counts(at)[0] == 300
    assert "state" not in at.query_params


def test_the_selection_can_become_a_filter(bundle: Any) -> None:
    view = View().selected(Query("loss > 1")).selected(Ids(("0", "1"), "two"), "add")
    at = opened(bundle, state=encode(view))
    held = counts(at)[1]
    at.button(key="filter_selection").click().run()
    assert counts(at) == (held, 0)


def test_filters_are_added_by_hand(bundle: Any, fields: dict[str, Any]) -> None:
    at = opened(bundle)
    at.selectbox(key="filter_column").set_value("width").run()
    at.slider(key="filter_range_width").set_value((-0.5, 0.5)).run()
    at.button(key="filter_add_range").click().run()
    width = fields["examples/width"]
    assert counts(at)[0] == ((width >= -0.5) & (width <= 0.5)).sum()
    before = at.query_params["state"]
    assert "no column 'los'" in typed_rule(at, 1, "los > 1")["problem"]
    said = typed_rule(at, 2, "label = dgo")
    assert 'no example has label = "dgo"' in said["problem"]
    assert said["instead"][0]["whole"] == 'label = "dog"'
    assert "expected a value" in typed_rule(at, 3, "width >")["problem"]
    assert at.query_params["state"] == before  # none of these became a filter
    assert not typed_rule(at, 4, "width > 0.2")["problem"]
    assert counts(at)[0] == ((width > 0.2) & (width <= 0.5)).sum()
    assert typed_rule(at, 4, "width > 0.2")  # sent again, done once
    assert counts(at)[0] == ((width > 0.2) & (width <= 0.5)).sum()


@pytest.mark.parametrize(
    ("rule", "cursor", "word", "whole"),
    [
        ("", 0, "label", "label "),
        ("wi", 2, "width", "width "),
        ("label = d", 9, '"dog"', 'label = "dog" '),
        ("wi > 2", 2, "width", "width > 2"),
        ("label = cat ", 12, "and", "label = cat and "),
    ],
)
def test_a_rule_is_completed_at_the_cursor(
    bundle: Any, rule: str, cursor: int, word: str, whole: str
) -> None:
    offered = rulebox._offered(bundle, rule, cursor)
    assert len(offered) <= rulebox.SHOWN
    assert next(one["whole"] for one in offered if one["word"] == word) == whole


def test_a_filter_that_does_not_fit_is_left_out_and_said(bundle: Any) -> None:
    corners = ((0.0, 0.0), (1.0, 1.0))
    view = View().filtered(Query("nothing = 3")).filtered(Query("loss > 1"))
    at = opened(bundle, state=encode(view.selected(Drawn("PCA", "other", "box", corners))))
    assert not at.exception
    assert counts(at) == (int((bundle.losses > 1).sum()), 0)
    said = texts(at).replace("\\", "")
    assert "Left out: nothing" in said and "another layout" in said


def test_a_damaged_link_is_told_and_opens_everything(bundle: Any) -> None:
    at = opened(bundle, state="zAAAA")
    assert not at.exception
    assert counts(at) == (300, 0)


def test_filters_that_leave_nothing_show_no_blank_page(bundle: Any) -> None:
    at = opened(bundle, state=encode(View().filtered(Query("loss > 1e9"))))
    assert not at.exception
    assert counts(at) == (0, 0)
    for view in ("Side by side", "Table", "Columns", "Breakdown"):
        at.button_group(key="view").set_value(view).run()
        assert not at.exception, view


def test_a_saved_view_opens_again_and_tells_what_changed(bundle: Any, home: Path) -> None:
    with closing(Store(home=home)) as store:
        store.tag(bundle.digest, ["1", "2"], "later", author="Ada")
    at = opened(bundle, state=encode(View().filtered(Query("tagged later"))))
    at.text_input(key="saved_view_name").set_value("the later ones")
    next(one for one in at.button if one.label == "Save view").click().run()
    with closing(Store(home=home)) as store:
        (view,) = store.views(bundle.digest)
        store.tag(bundle.digest, ["3"], "later", author="Ada")
    fresh = opened(bundle)
    assert counts(fresh)[0] == 300
    fresh.button(key=f"open_view_{view.key}").click().run()
    assert counts(fresh)[0] == 3
    assert "showed 2" in texts(fresh)
    fresh.button(key=f"delete_view_{view.key}").click().run()
    with closing(Store(home=home)) as store:
        assert store.views(bundle.digest) == []


def test_the_hardest_page_takes_filters_and_says_what_they_leave(bundle: Any) -> None:
    hard = np.flatnonzero(high_loss(bundle.losses, quantile=0.8))
    name = bundle.class_names[bundle.label_codes[hard[0]]]
    kept = int(np.sum(np.asarray(bundle.class_names)[bundle.label_codes[hard]] == name))
    state = encode(View().filtered(Query(f'label = "{name}"')))
    at = AppTest.from_file(APP, default_timeout=60)
    for key, value in {"bundle": bundle.digest[:12], "quantile": "20.0", "state": state}.items():
        at.query_params[key] = value
    at.switch_page("pages/hardest.py").run()
    assert not at.exception
    assert f"The filters keep **{kept}** of the {len(hard)} hardest examples" in texts(at)
    at.button(key="chip_remove_0").click().run()
    assert not at.exception and "The filters keep" not in texts(at)
    assert "state" not in at.query_params


def test_a_link_whose_rules_take_long_is_worked_out_by_a_worker(
    bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of the page only asks; what is shown waits, and the filters can be switched off."""
    rule = "near 5, 6, 7 top 20 within (label = dog)"
    expected = int(evaluate(rule, replace(bundle)).sum())
    assert expected == 20
    services.opened.clear()  # nothing of it is known yet
    monkeypatch.setattr(here, "HERE_STEPS", 0)
    monkeypatch.setattr(pieces, "distances_to", lambda *given: pytest.fail("in the server"))
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = bundle.digest[:12]
    at.query_params["state"] = encode(View().filtered(Query(rule)))
    at.switch_page("pages/hardest.py").run()
    if at.get("progress"):
        assert at.button(key="chip_remove_0") and not at.tabs
    assert counts(ended(at)) == (expected, 0)
    monkeypatch.undo()


def test_the_more_wait_for_a_job_the_less_often_each_looks() -> None:
    for n, pace in [(1, 0.5), (12, 1.2), (50, 3.0), (500, 3.0)]:
        job: Any = SimpleNamespace(waiting=[str(k) for k in range(n)])
        assert waiting._pace(job) == pace
        assert pace < SILENCE_S


@pytest.mark.parametrize(
    ("fraction", "left", "said"),
    [
        (0.1, 30.0, ""),
        (0.2, 30.0, ""),
        (0.21, 30.0, ", about 30 s left"),
        (0.9, 0.4, ", under 1 s left"),
        (0.9, 0.0, ""),
        (0.9, None, ""),
    ],
)
def test_the_time_left_is_said_from_where_the_pace_tells_it(
    fraction: float, left: float | None, said: str
) -> None:
    job: Any = SimpleNamespace(message="Keeping losses", fraction=fraction, eta_s=left)
    assert waiting._line(job, "Importing a.npz", 0.2) == f"Importing a.npz: Keeping losses{said}"


@pytest.mark.parametrize(("parts", "kept"), [([], False), (["a region"], True)])
def test_of_cancelled_work_only_what_was_found_is_said_to_be_kept(
    parts: list[str], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(waiting.st, "info", lambda words, **_: told.append(words))
    monkeypatch.setattr(waiting.st, "button", lambda *_, **__: False)
    job: Any = SimpleNamespace(state="cancelled", partial=lambda: parts)
    assert not waiting.show_progress(job, what="Searching", key="fit")
    assert ("What was found before is kept" in told[0]) is kept
