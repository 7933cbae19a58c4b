"""The options of a search and the overlap of its regions, each on a page of its own."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.tasks import complete_options


def options_page(d: int) -> None:
    from types import SimpleNamespace

    import streamlit as st

    from pages.components.spotlights.fitting import fit_options

    st.session_state["asked"] = fit_options(SimpleNamespace(n=400, d=d))


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
    assert "Most shared: 30% of region 1 is in region 2." in app.caption[0].value


def test_overlap_says_when_nothing_is_shared_and_is_silent_about_one_region():
    apart = AppTest.from_function(overlap_page, kwargs={"names": ["a", "b"], "shared": 0}).run()
    assert apart.caption[0].value == "No two regions share a member."
    alone = AppTest.from_function(overlap_page, kwargs={"names": ["a"], "shared": 0}).run()
    assert not alone.exception and not alone.dataframe
