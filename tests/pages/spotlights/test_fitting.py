"""The options of a search and the overlap of its regions, each on a page of its own."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.tasks import complete_options
from backend.tasks.spotlights import untested


def options_page(d: int, pictures: bool = False) -> None:
    from types import SimpleNamespace

    import numpy as np
    import pandas as pd
    import streamlit as st

    from pages.components.spotlights import search

    bundle = SimpleNamespace(
        n=400,
        d=d,
        digest=f"{d} {pictures}",
        has_images=pictures,
        attributes=["name", "copies", "change", "empty"],
        examples=pd.DataFrame(
            {
                "name": ["a"] * 400,
                "copies": np.arange(400) % 3,
                "change": np.arange(400) - 5,
                "empty": np.zeros(400),
            }
        ),
    )
    options = search.options_of(bundle, "spotlights")
    st.session_state["asked"] = options
    st.session_state["fault"] = search.fault_of(bundle, "spotlights", options)


def overlap_page(names: list[str], shared: int) -> None:
    import numpy as np

    from backend.core.groups import sharp_group
    from pages.components.shared.choice import Choice
    from pages.components.spotlights import overlap

    losses = np.arange(40.0)
    choices = [
        Choice(
            key=f"region-{at + 1}",
            name=name,
            group=sharp_group("region", np.arange(10) + at * (10 - shared), losses),
            source={"kind": "region"},
            number=str(at + 1),
        )
        for at, name in enumerate(names)
    ]
    hardest = Choice("high", "highest", sharp_group("high loss", [1], losses), {"kind": "high"})
    overlap.show([*choices, hardest])


def asked(app: AppTest) -> dict:
    assert not app.exception
    return complete_options("spotlights", app.session_state["asked"])


def test_options_as_they_come_and_as_they_are_chosen():
    app = AppTest.from_function(options_page, kwargs={"d": 12}).run()
    first = asked(app)
    assert (first["mode"], first["prepare"], first["components"]) == ("successive", "none", None)
    app.selectbox(key="prepare").select("pca").run()
    assert (asked(app)["prepare"], asked(app)["components"]) == ("pca", 11)
    app.number_input(key="components").set_value(4).run()
    assert asked(app)["components"] == 4
    app.button_group(key="mode").select("distinct").run()
    assert asked(app)["mode"] == "distinct"
    # Adam has one start: there is nothing distinct to choose.
    app.selectbox(key="solver").select("adam").run()
    assert asked(app)["mode"] == "successive"


def test_what_the_paper_has_can_be_chosen_and_stands_in_the_address():
    app = AppTest.from_function(options_page, kwargs={"d": 12}).run()
    first = asked(app)
    assert (first["kernel"], first["precision"], first["flip"]) == ("gaussian", "spherical", False)
    assert first["barrier_scale"] is None and first["counts"] is None
    # Only a column of numbers that are not negative can say how often an example counts.
    assert app.selectbox(key="counts").options == ["once each", "copies"]
    app.selectbox(key="counts").select("copies")
    app.selectbox(key="kernel").select("squared_distance")
    app.toggle(key="best").set_value(True)
    app.selectbox(key="solver").select("adam").run()
    app.number_input(key="barrier").set_value(10.0).run()
    chosen = asked(app)
    assert (chosen["kernel"], chosen["flip"], chosen["counts"]) == (
        "squared_distance",
        True,
        "copies",
    )
    assert chosen["barrier_scale"] == 10.0 and app.query_params["barrier"] == "10.0"
    assert untested(chosen).startswith("Regions of the lowest losses are not tested")
    assert app.session_state["fault"] == ""


@pytest.mark.parametrize("pictures", [True, False])
def test_a_size_is_that_of_the_paper_until_somebody_chooses(pictures):
    app = AppTest.from_function(options_page, kwargs={"d": 6, "pictures": pictures}).run()
    assert asked(app)["size"] == (0.02 if pictures else 0.05)
    assert "share" not in app.query_params
    app.number_input(key="share").set_value(3.5).run()
    assert asked(app)["size"] == pytest.approx(0.035) and app.query_params["share"] == "3.5"
    again = AppTest.from_function(options_page, kwargs={"d": 6, "pictures": pictures})
    again.query_params["share"] = "3.5"
    assert asked(again.run())["size"] == pytest.approx(0.035)


@pytest.mark.parametrize(
    ("d", "chosen", "words"),
    [
        (12, {"precision": "full"}, "a size of 60, solver 'adam', which runs with a warning"),
        (12, {"precision": "full", "solver": "adam"}, ""),
        (3, {"precision": "full"}, ""),
        (2500, {"precision": "full", "solver": "adam"}, "Project the embeddings first"),
        (12, {"precision": "diagonal"}, ""),
    ],
)
def test_what_does_not_go_together_says_what_to_do(d, chosen, words):
    app = AppTest.from_function(options_page, kwargs={"d": d}).run()
    for key, value in chosen.items():
        app.selectbox(key=key).select(value).run()
    asked(app)
    fault = app.session_state["fault"]
    assert words in fault and bool(fault) == bool(words)


@pytest.mark.parametrize(
    ("d", "offered"),
    [(1, ["none", "standardise"]), (5000, ["none", "standardise", "projection"])],
)
def test_preparations_are_those_the_embeddings_allow(d, offered):
    app = AppTest.from_function(options_page, kwargs={"d": d}).run()
    assert app.selectbox(key="prepare").options == offered
    assert asked(app)["prepare"] == "none"


def test_overlap_names_the_pair_that_shares_most():
    names = ["<b>coats</b> [x](javascript:y)", "shirts"]
    app = AppTest.from_function(overlap_page, kwargs={"names": names, "shared": 3}).run()
    assert not app.exception
    table = app.dataframe[0].value
    # A region shares all of itself with itself: no number stands there.
    assert np.isnan(table["1"][0]) and table["1"][1] == 30.0
    assert table["region"].tolist()[1] == "2 shirts"
    assert "Most shared: 30\u00a0% of region 1 is in region 2." in app.caption[0].value


def test_overlap_says_when_nothing_is_shared_and_is_silent_about_one_region():
    apart = AppTest.from_function(overlap_page, kwargs={"names": ["a", "b"], "shared": 0}).run()
    assert apart.caption[0].value == "No two regions share a member."
    alone = AppTest.from_function(overlap_page, kwargs={"names": ["a"], "shared": 0}).run()
    assert not alone.exception and not alone.dataframe
