"""Two views of the first page on the real backend: is a region real, and what do other methods find?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, open_bundle
from backend.tasks import TASKS, complete_options, run_methods
from pages.components.shared import keys, services
from pages.components.spotlights import trust
from tests.bundles import npz
from tests.pages.running import APP, ended

NAME = "<b>x</b> [y](javascript:z)"


def fields(planted: int) -> dict[str, Any]:
    """240 examples of two classes; the first ones lie together and fail."""
    random = np.random.default_rng(2)
    embeddings, losses = random.normal(size=(240, 6)), random.gamma(4, 0.25, 240)
    embeddings[:planted] = 2 + 0.4 * embeddings[:planted]
    losses[:planted] += 3
    labels = np.arange(240) % 2
    return {
        "embeddings": embeddings,
        "losses": losses,
        "labels": labels,
        "predictions": np.where(np.arange(240) < planted, 1 - labels, labels),
        "classes": np.array([NAME, "other"]),
    }


@pytest.fixture(scope="module")
def digests(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    made = {}
    for name, planted in (("planted", 24), ("noise", 0)):
        path = tmp_path_factory.mktemp(name) / "bundle.npz"
        path.write_bytes(npz(**fields(planted)))
        made[name] = import_bundle(path).digest
    return made


@pytest.fixture(autouse=True)
def _few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as can tell what is real at 5 %."""
    monkeypatch.setitem(TASKS["assess"].defaults, "n_permutations", 59)
    monkeypatch.setitem(TASKS["assess"].defaults, "n_bootstrap", 4)


def opened(digest: str, view: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    at.query_params[keys.METHOD] = "spotlights"
    at.query_params["share"] = "10.0"
    at.query_params["regions"] = "2"
    ended(at.run())
    at.session_state[keys.VIEW] = view
    return ended(at.run())


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "text")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def columns_of(at: AppTest, name: str) -> Any:
    """The first table that has this column."""
    return next(one.value for one in at.dataframe if name in one.value)


def test_every_region_has_its_line_and_its_numbers(digests: dict[str, str]) -> None:
    at = opened(digests["planted"], "Is it real?")
    lines = [one.value for one in at.markdown if one.value.startswith(("**1 ", "**2 "))]
    assert len(lines) == 2
    assert ":material/check_circle: Real" in lines[0]
    assert r"held\-out ×" in lines[0] and "refits share" in lines[0]
    table = columns_of(at, "p, whole search")
    assert table["verdict"][0] == "real"
    assert table["p, whole search"][0] <= 0.05
    smaller = np.fmin(table["p, held out"], table["p, whole search"])
    np.testing.assert_allclose(table["p"], np.minimum(1, 2 * smaller))
    # The report is about the search that was looked at.
    asked = at.session_state[trust.SEARCHED]
    assert asked["task"] == "spotlights" and asked["options"]["n_spotlights"] == 2


def test_noise_is_said_to_be_noise(digests: dict[str, str]) -> None:
    at = opened(digests["noise"], "Is it real?")
    lines = [one.value for one in at.markdown if one.value.startswith(("**1 ", "**2 "))]
    assert len(lines) == 2
    assert all(":material/help: Not distinguishable from chance" in line for line in lines)
    assert "so far" not in texts(at)


def test_methods_stand_in_one_table(digests: dict[str, str]) -> None:
    at = opened(digests["planted"], "Other methods")
    assert "Mark a row" not in texts(at)
    ended(at.button(key="ask_methods").click().run())
    table = columns_of(at, "inside")
    assert {"Regions", "Spotlights", "Clusters within each class"} <= set(table["method"])
    assert list(table["#"]) == list(range(1, len(table) + 1))
    best = table[table["method"] == "Regions"].iloc[0]
    assert best["group"].startswith("1 ") and best["× others"] > 2
    assert best["p"] <= 0.05
    assert int(best["kept aside"]) == pytest.approx(best["members"] / 3, abs=3)  # a third is
    spots = table[table["method"] == "Spotlights"]
    assert len(spots) == 2  # as many as the page was asked for
    assert "spotlights in the order in which the search found them" in texts(at)
    assert "Mark a row to see the members" in texts(at)
    assert "<b>" not in texts(at)


def show_one(digest: str, row: int) -> None:
    import pandas as pd
    import streamlit as st

    from pages.components.shared import services
    from pages.components.spotlights import methods

    bundle = services.bundle_of(digest)
    result = st.session_state["result"]
    chosen = methods.show_members(bundle, result, pd.DataFrame(result.meta["table"]), row)
    st.session_state["chosen"] = chosen


def test_members_of_a_method_s_group_can_be_tagged(digests: dict[str, str]) -> None:
    digest = digests["planted"]
    bundle = open_bundle(digest)
    options = complete_options("methods", {"n_groups": 2, "size": 0.1, "held_out": False})
    made = run_methods(bundle, options, lambda f, told: None, lambda a, m: None)
    result = services.cache().write("a" * 64, *made)
    names = [row["method"] for row in result.meta["table"]]
    row = names.index("george") + 1
    at = AppTest.from_function(show_one, args=(digest, row))
    at.session_state["result"] = result
    at.run()
    assert not at.exception, [element.message for element in at.exception]
    choice, picked = at.session_state["chosen"]
    members = result["members_george"][1]
    np.testing.assert_array_equal(choice.group.rows, members[members >= 0])
    assert choice.source["kind"] == "method" and choice.source["index"] == 1 and picked == []
    ids = bundle.ids[choice.group.rows].tolist()
    services.store().tag(digest, ids, "from george", author="t", source=choice.source)
    assert services.store().tag_counts(digest) == {"from george": len(ids)}
