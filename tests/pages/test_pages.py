"""Every page on the real backend: what it shows, and that awkward bundles never break it."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, list_bundles, open_bundle
from backend.cache import Cache, key_of
from backend.core.statistics import wilson_interval
from backend.core.wording import LEAST_P, number, p_value, times
from backend.export import export_flagged
from backend.store import Store
from backend.tasks import TASKS, complete_options
from tests.bundles import npz, picture, planted
from tests.pages.running import APP, ended, texts

PAGES = (
    "spotlights",
    "hardest",
    "compression",
    "subgroups",
    "stress",
    "training_data",
    "repair",
    "before_after",
    "flagged",
    "bundles",
)


@pytest.fixture
def app(home: Path) -> Any:
    """Open a page of the app and wait until nothing is being computed."""

    def open_page(page: str, **query: str) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=60)
        for name, value in query.items():
            at.query_params[name] = value
        return ended(at.switch_page(f"pages/{page}.py").run())

    return open_page


def import_fields(tmp_path: Path, **fields: Any) -> str:
    """The first twelve digits of the imported bundle's digest, as links name it."""
    path = tmp_path / "bundle.npz"
    path.write_bytes(npz(**fields))
    return import_bundle(path).digest[:12]


def tag_counts(home: Path, bundle: str) -> dict[str, int]:
    """Tags as another process would read them."""
    full = next(info.digest for info in list_bundles() if info.digest.startswith(bundle))
    with closing(Store(home=home)) as store:
        return store.tag_counts(full)


def ordinary(n: int = 120) -> dict[str, Any]:
    fields = planted(n, 5, seed=1)
    fields.pop("planted")
    return fields


CASES: dict[str, dict[str, Any]] = {
    "ordinary": ordinary(),
    "one row": {"embeddings": np.ones((1, 3)), "losses": np.ones(1)},
    "two rows": {"embeddings": np.eye(2), "losses": np.array([0.0, 1.0])},
    "one class": ordinary() | {"labels": np.zeros(120, int), "predictions": np.zeros(120, int)},
    "all losses equal": ordinary() | {"losses": np.ones(120)},
    "all losses zero": ordinary() | {"losses": np.zeros(120)},
    "negative losses": ordinary(60) | {"losses": -np.arange(60.0)},
    "0/1 losses": {key: value for key, value in ordinary().items() if key != "losses"},
    "all points equal": ordinary() | {"embeddings": np.ones((120, 4))},
    "one dimension": ordinary() | {"embeddings": np.arange(120.0)[:, None]},
    "no labels": {key: ordinary()[key] for key in ("embeddings", "losses")},
    "texts": ordinary()
    | {"examples/text": np.array([f"word{i % 7} and 言葉 {i}" for i in range(120)])},
    "populations": ordinary()
    | {
        "populations/baseline": np.tile(np.arange(120) % 3, (3, 1)),
        "populations/int8": np.tile((np.arange(120) + (np.arange(120) % 10 == 0)) % 3, (2, 1)),
    },
    "populations that agree": ordinary()
    | {
        "populations/baseline": np.tile(np.arange(120) % 3, (2, 1)),
        "populations/a": np.tile(np.arange(120) % 3, (1, 1)),
    },
    "one population": ordinary() | {"populations/only": np.zeros((2, 120), int)},
    "columns named like ours": ordinary()
    | {
        "examples/label": np.arange(120) % 2,
        "examples/weight": np.arange(120.0),
        "examples/tags": np.array(["x"] * 120),
        "examples/label → prediction": np.array(["y"] * 120),
    },
    "huge and tiny numbers": ordinary()
    | {
        "losses": np.where(np.arange(120) % 9 == 0, 1e30, -(10.0 ** (np.arange(120) % 40 - 20))),
        "examples/wide": np.array([1e300, -1e300, 1e-300, np.nan, np.inf, -np.inf] * 20),
        "examples/empty": np.full(120, np.nan),
        "examples/same": np.full(120, 1e300),
        "examples/whole": np.array([2**63 - 1, -(2**63), 0] * 40),
    },
    "odd names": ordinary()
    | {
        "classes": np.array(["<b>bold</b>", "![x](http://x.invalid/y.png)", "=1+1"]),
        "examples/a$b_c*d": np.array(["`x`", "$y$", "[z](javascript:alert(1))"] * 40),
    },
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_page_breaks_on_an_awkward_bundle(
    app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    # So few decide nothing, and take a tenth of the time.
    monkeypatch.setitem(TASKS["assess"].defaults, "n_permutations", 19)
    monkeypatch.setitem(TASKS["assess"].defaults, "n_bootstrap", 4)
    digest = import_fields(tmp_path, **CASES[case])
    for page in PAGES:
        at = app(page, bundle=digest)
        assert not at.exception, (page, [element.message for element in at.exception])
        assert at.get("header"), page
    for view in ("Side by side", "Table", "Words", "Columns", "What differs", "Breakdown"):
        at = app("spotlights", bundle=digest, view=view)
        assert not at.exception, (view, [element.message for element in at.exception])
    for method in ("regions", "spotlights"):
        at = app("spotlights", bundle=digest, search=method, view="Is it real?")
        assert not at.exception, (method, [element.message for element in at.exception])


def known_tag(home: Path, bundle: str, name: str) -> None:
    """Have a tag of this name, on one example: AppTest can choose only names that exist."""
    full = next(info.digest for info in list_bundles() if info.digest.startswith(bundle))
    with closing(Store(home=home)) as store:
        store.tag(full, ["0"], name, author="Bob")


def test_the_main_page_shows_regions_and_what_they_are_compared_with(
    app: Any, tmp_path: Path
) -> None:
    digest = import_fields(tmp_path, **ordinary(400))
    at = app("spotlights", bundle=digest, search="spotlights", share="5.0", regions="3")
    radio = at.radio[0]
    assert [option.split("  ")[0].strip("* ") for option in radio.options] == list("123HR")
    assert radio.value == "region-1"
    assert "Where does the model fail together?" in texts(at)


def test_regions_come_first_and_say_where_they_were_looked_for(app: Any, tmp_path: Path) -> None:
    digest = import_fields(tmp_path, **ordinary(400))
    at = app("spotlights", bundle=digest)
    assert "".join(at.query_params["search"]) == "regions"
    captions = [str(one).replace("\\", "") for one in at.radio[0].proto.captions]
    assert "kept aside" in captions[0] and "p " in captions[0]
    words = texts(at)
    assert "of the excess loss" in words
    lines = [
        f"{option} {caption}" for option, caption in zip(at.radio[0].options, captions, strict=True)
    ]
    assert any("dog" in one for one in lines)  # in the name, else among which label it is
    assert sum("members, " in one and "others" in one for one in captions) >= 3
    assert "mean loss of all its members" in words.replace("\\", "")
    assert not captions[-1]  # what regions are compared with takes one line


def test_more_regions_are_a_click_or_a_link_away(app: Any, tmp_path: Path) -> None:
    digest = import_fields(tmp_path, **ordinary(400))
    at = app("spotlights", bundle=digest, regions="1")
    few = [one for one in at.radio[0].options if not one.startswith(("**H**", "**R**"))]
    at = ended(at.button(key="more_regions").click().run())
    many = [one for one in at.radio[0].options if not one.startswith(("**H**", "**R**"))]
    assert many[: len(few)] == few and len(many) > len(few)
    assert (
        "".join(at.query_params["regions"]) == "1"
    )  # other bundles show as many as were asked for
    assert at.button(key="more_regions").label == "Fewer regions"
    last = f"region-{len(many)}"
    at = app("spotlights", bundle=digest, regions="1", group=last)
    assert at.radio[0].value == last


def test_every_number_of_a_region_is_that_of_its_rows_in_the_csv(
    app: Any, tmp_path: Path, home: Path
) -> None:
    """Each share, count, effect and word count on screen, made again from the exported rows alone."""
    fields = ordinary(900)
    hard = fields["losses"] > np.quantile(fields["losses"], 0.9)
    said = np.where(hard, "red fox", "blue whale").astype(object) + np.array([" a", " b"] * 450)
    side = np.where(np.arange(900) % 3 == 0, "left", "right")
    columns = {"examples/text": said.astype(str), "examples/side": side}
    digest = import_fields(tmp_path, **fields, **columns)
    bundle = open_bundle(next(one.digest for one in list_bundles() if one.digest[:12] == digest))
    known_tag(home, digest, "region")
    with closing(Store(home=home)) as store:
        store.tag(bundle.digest, bundle.ids.tolist(), "everybody", author="Bob")

    at = app("spotlights", bundle=digest, view="Is it real?")
    caption = str(at.radio[0].proto.captions[0]).replace("\\", "").replace("\u00a0", " ")
    detail = texts(at).replace("\\", "")
    claims = at.dataframe[-1].value.iloc[0]
    at.selectbox(key="tag_name").set_value("region").run()
    at.button(key="tag_0").click().run()
    words, shares = (
        app("spotlights", bundle=digest, view=view).dataframe[0].value
        for view in ("Words", "Columns")
    )
    with closing(Store(home=home)) as store:
        rows = pd.read_csv(io.BytesIO(export_flagged(bundle, store).csv), encoding="utf-8-sig")
    one = rows[(rows["tag"] == "region") & rows["region"].notna()]
    everybody = rows[rows["tag"] == "everybody"]
    others = everybody[~everybody["id"].isin(one["id"])]
    aside = one[one["kept_aside"]]
    wrong = (aside["label"] != aside["prediction"]).mean()
    base = others[others["kept_aside"]]
    base_wrong = (base["label"] != base["prediction"]).mean()

    assert (
        f"{len(one)} members, {len(aside)} kept aside: {wrong:.0%} wrong".replace("%", " %")
        in caption
    )
    assert times(wrong / base_wrong) in caption
    assert f"mean loss of all its members {number(one['loss'].mean())}" in detail
    options = complete_options("regions", {})
    kept = Cache(home).read(key_of("regions", bundle.digest, options, TASKS["regions"].version))
    assert kept is not None
    fact = kept.meta["regions"][0]
    assert f"p {p_value(fact['p'], None if fact['kind'] == 'label' else LEAST_P)}" in caption
    assert claims["p"] == fact["p"] and claims["explained"] == fact["explained"]
    assert one["region"].unique().tolist() == [f"1 {fact['name']}"]
    assert (claims["members"], claims["kept aside"]) == (len(one), len(aside))
    low, high = wilson_interval(round(wrong * len(aside)), len(aside), 0.95)
    measured = {"error rate": wrong, "error rate of others": base_wrong, "low": low, "high": high}
    measured |= {"× others": wrong / base_wrong, "mean loss": one["loss"].mean()}
    for name, value in measured.items():
        np.testing.assert_allclose(claims[name], value, err_msg=name)

    texts_of = dict(zip(bundle.ids, said, strict=True))
    assert len(words) and len(shares)
    for line in words.to_dict("records"):
        count, every = (
            sum(line["token"] in str(texts_of[str(id)]).split() for id in frame["id"])
            for frame in (one, everybody)
        )
        assert (line["group_count"], line["count"]) == (count, every), line["token"]
        np.testing.assert_allclose(line["group_share"], count / len(one))
        np.testing.assert_allclose(line["base_share"], every / len(everybody))
    for line in shares[shares["column"].isin(["label", "side", "prediction"])].to_dict("records"):
        held, all_of = (frame[frame[line["column"]] == line["value"]] for frame in (one, everybody))
        assert (line["group_count"], line["count"]) == (len(held), len(all_of)), line["value"]
        np.testing.assert_allclose(line["group_share"], len(held) / len(one))
        np.testing.assert_allclose(line["base_share"], len(all_of) / len(everybody))
        np.testing.assert_allclose(line["mean_loss"], all_of["loss"].mean())


def test_a_link_opens_the_same_view(app: Any, tmp_path: Path) -> None:
    digest = import_fields(tmp_path, **ordinary(400))
    asked = {"search": "spotlights", "group": "region-2", "regions": "2", "colour": "loss"}
    at = app("spotlights", bundle=digest, **asked, view="Table")
    assert at.radio[0].value == "region-2"
    assert at.selectbox(key="colour").value == "loss"
    assert at.dataframe


def test_a_link_to_an_unknown_bundle_says_so(app: Any, tmp_path: Path) -> None:
    import_fields(tmp_path, **ordinary())
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = "feedfeedfeed"
    at.run()
    assert "feedfeedfeed" in texts(at) and "not imported here" in texts(at)


def test_tag_undo_redo_from_the_page(app: Any, tmp_path: Path, home: Path) -> None:
    digest = import_fields(tmp_path, **ordinary(401))
    known_tag(home, digest, "odd ones")
    at = app("spotlights", bundle=digest, search="spotlights", share="5.0")
    at.text_input(key="author").set_value("Ada").run()
    at.selectbox(key="tag_name").set_value("odd ones").run()
    at.button(key="tag_0").click().run()
    tagged = tag_counts(home, digest)["odd ones"]
    assert tagged in (20, 21)  # the known one may be a member
    at.button(key="undo").click().run()
    assert tag_counts(home, digest) == {"odd ones": 1}
    at.button(key="redo").click().run()
    assert tag_counts(home, digest) == {"odd ones": tagged}
    flagged = app("flagged", bundle=digest)
    assert set(flagged.dataframe[0].value["author"]) == {"Ada", "Bob"}


def test_a_tag_without_a_name_is_asked_for(app: Any, tmp_path: Path, home: Path) -> None:
    digest = import_fields(tmp_path, **ordinary(121))
    at = app("hardest", bundle=digest)
    at.button(key="tag_0").click().run()
    assert "Type a name" in at.toast[0].value
    assert tag_counts(home, digest) == {}


def test_picked_tiles_and_the_first_ones_can_be_tagged_alone(
    app: Any, tmp_path: Path, home: Path
) -> None:
    digest = import_fields(tmp_path, **ordinary(122))
    known_tag(home, digest, "two")
    at = app("hardest", bundle=digest)
    shown = np.argsort(-ordinary(122)["losses"])[:2].astype(str).tolist()
    at.selectbox(key="tag_name").set_value("two").run()
    at.session_state["gallery"] = {"picked": shown, "opened": None}
    at.run()
    assert "Tag picked · 2" in at.button(key="tag_0").label
    at.session_state["gallery"] = {"picked": shown, "opened": None}
    at.button(key="tag_0").click().run()
    with closing(Store(home=home)) as store:
        full = next(info.digest for info in list_bundles() if info.digest.startswith(digest))
        assert sorted(store.tags(full)["id"]) == sorted({*shown, "0"})
    at.number_input(key="first_high-loss").set_value(3).run()
    at.button(key="tag_first").click().run()
    assert "Tagged 3 examples" in at.toast[0].value
    with closing(Store(home=home)) as store:
        worst = np.argsort(-ordinary(122)["losses"])[:3].astype(str).tolist()
        event = store.events(full)[0]
        assert list(event.ids) == worst
        assert (event.source["first"], event.source["order"]) == (3, "Loss, high first")


def test_an_upload_with_other_column_names_is_mapped_on_the_page(app: Any, home: Path) -> None:
    """Choices outlive an import that fails all the same, and what fits two readings is asked."""
    fields = ordinary()
    codes = {"labels": np.arange(120) % 4, "classes": np.array(["3", "0", "2", "1"])}
    twice = np.zeros(120, int)  # called like the ids, which it cannot be
    content = npz(
        vectors=fields["embeddings"],
        badness=fields["losses"],
        **codes,
        **{"examples/id": twice, "examples/key": np.arange(120)},
    )
    at = app("bundles")
    at.text_input(key="bundle_name").set_value("My run").run()
    at.file_uploader[0].upload("mine.npz", content).run()
    at.button(key="import").click().run()
    ended(at)
    assert "was not imported" in texts(at)
    assert at.selectbox(key="map_embeddings").value == "vectors"  # the only one of its shape
    assert at.selectbox(key="map_losses").options[0] == "badness"
    at.selectbox(key="map_losses").set_value("badness")
    next(b for b in at.button if b.label == "Import with these names").click().run()
    ended(at)
    assert "occurs twice" in texts(at)
    assert at.selectbox(key="map_losses").value == "badness"
    at.selectbox(key="map_id").set_value("")
    next(b for b in at.button if b.label == "Import with these names").click().run()
    ended(at)
    (question,) = [one for one in at.radio if str(one.key).startswith("read_")]
    assert "0 is position 0\\: the class 3" in question.options
    question.set_value(1)
    next(b for b in at.button if b.label == "Import so").click().run()
    ended(at)
    assert not at.exception
    made = next(info for info in list_bundles() if info.name == "My run")
    bundle = open_bundle(made.digest)
    assert (bundle.n, bundle.d) == (120, 5)
    assert bundle.labels is not None and bundle.labels[:4].tolist() == ["3", "0", "2", "1"]
    assert "id (column)" in bundle.examples.columns
    assert list((home / "uploads").iterdir()) == []
    at.text_input(key=f"called_{made.digest[:12]}").set_value("Our run")
    next(b for b in at.button if b.label == "Rename").click().run()
    assert next(i for i in list_bundles() if i.digest == made.digest).name == "Our run"
    assert "Our run" in texts(at)


def test_images_reach_the_gallery_as_pictures(app: Any, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "images").mkdir(parents=True)
    np.save(folder / "embeddings.npy", np.random.default_rng(0).normal(size=(12, 3)))
    np.save(folder / "losses.npy", np.arange(12.0))
    rows = ["id,image"]
    for row in range(12):
        (folder / "images" / f"{row}.png").write_bytes(picture(row))
        rows.append(f"p{row},images/{row}.png")
    (folder / "examples.csv").write_text("\n".join(rows), encoding="utf-8")
    digest = import_bundle(folder).digest[:12]
    at = app("hardest", bundle=digest, quantile="20.0")
    [gallery] = [
        one for one in at.get("bidi_component") if one.proto.component_name == "errorscope_gallery"
    ]
    assert "/11/thumbnail" in str(gallery.proto)
