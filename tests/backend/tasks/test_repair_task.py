"""The tasks of repairs on a bundle: who measures, who is left out, words as rules, what is refused."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.bundle import (
    Bundle,
    import_bundle,
    list_bundles,
    open_bundle,
    read_bundle,
    write_bundle,
)
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.repair.contrast import EXPLAINS
from backend.repair.gain import HELPS
from backend.repair.tally import BEFORE, GROUP, REFIT, TARGETED
from backend.rules import evaluate
from backend.store import Store
from backend.tasks import complete_options, repair
from backend.tasks.chapters import CHAPTERS
from backend.tasks.contexts import run_contexts
from backend.tasks.linked import before_after_options, controls_of
from backend.tasks.repair import (
    changed_rows,
    gain_words,
    has_training_part,
    origin_of,
    repair_frames,
    repair_needs,
    repair_options,
    run_repair,
    strength_lines,
    worst_label,
)
from backend.tasks.report import run_report
from tests.bundles import npz

N = 900


def fields(seed: int = 0) -> dict[str, Any]:
    """Those photographed at night follow a rule of their own: a head cannot serve both."""
    rng = np.random.default_rng(seed)
    night = rng.random(N) < 0.25
    x = rng.normal(size=(N, 5)).astype(np.float32)
    x[:, 3] = 3 * night
    labels = (np.where(night, -x[:, 0], x[:, 0]) + 0.3 * rng.normal(size=N) > 0).astype(int)
    predictions = (x[:, 0] > 0).astype(int)
    night_words = np.where(night, "night, a photo", "day, a photo")
    return {
        "embeddings": x,
        "labels": labels,
        "predictions": predictions,
        "classes": np.array(["cat", "dog"]),
        "losses": (labels != predictions) + 0.1 * rng.random(N),
        "examples/caption": np.array(
            [f"{one} of number {at}" for at, one in enumerate(night_words)]
        ),
        "examples/time": np.where(night, "night", "day"),
        "examples/place": np.where(night, "road", np.where(np.arange(N) % 2, "road", "snow")),
        "train/embeddings": x[::2],
        "train/labels": labels[::2],
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("repair") / "b.npz"
    path.write_bytes(npz(**fields()))
    return read_bundle(path)


def test_the_report_tells_cause_words_and_repair(bundle: Bundle, home: Path) -> None:
    night = np.flatnonzero(bundle.examples["time"] == "night").tolist()
    chapters = {
        "repair": {
            "options": {"members": night, "seeds": 2, "strengths": [0.5]},
            "about": "night",
            "strength": 0.5,
        },
        "words": {"options": {}, "about": ""},
        "cause": {
            "options": {"question": "rows", "rows": night[:40]},
            "about": "the first at night",
        },
    }
    asked = complete_options("report", {"claim": False, "chapters": chapters})
    arrays, _ = run_report(bundle, asked, lambda a, b: None, lambda a, b: None)
    html, markdown = (arrays[name].tobytes().decode() for name in ("html", "markdown"))
    titles = [
        "Cause: training examples",
        "In words: columns and texts",
        "Repair: the last layer refitted",
    ]
    places = [html.index(one) for one in titles]
    assert places == sorted(places) and all(one in markdown for one in ("### Cause", "### Repair"))
    for said in (
        "Asked: the first at night.", "Most harmful", "night counts ×0.5 more", "plain refit",
        "are more frequent among held-out failures than among right examples.",
        "Examples that were wrong before can only come out better",
    ):  # fmt: skip
        assert said in html, said


class Kept:
    """A result as the cache gives it."""

    def __init__(self, arrays: Any, meta: Any) -> None:
        self.arrays, self.meta = arrays, meta

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]


def repaired(bundle: Bundle, members: Any, **more: Any) -> Any:
    given = {"members": np.asarray(members).tolist(), "strengths": [0.5, 1.0], "seeds": 2, **more}
    return Kept(*run_repair(bundle, complete_options("repair", given), lambda a, b: None, None))


def test_what_a_repair_says(bundle: Bundle) -> None:
    night = np.flatnonzero(bundle.examples["time"] == "night")
    kept = repaired(bundle, night, worst_of="time")
    assert kept.meta["verdicts"]["1"] == HELPS and not kept.meta["chosen_by_loss"]
    table, gains = repair_frames(kept)
    own = table[table["part"] == GROUP].set_index(["arm", "strength"])["accuracy"]
    assert own[BEFORE, 0.0] < 0.3 and own[TARGETED, 1.0] > own[REFIT, 0.0]
    lines = strength_lines(kept, 0.5)
    assert lines["what"].tolist()[:3] == [BEFORE, REFIT, TARGETED]
    assert lines[GROUP].str.fullmatch(r"[\d.]+\s% \([\d.]+ to [\d.]+\s%\)").all()
    words = gain_words(kept, 1.0)
    line = gains[(gains["strength"] == 1) & (gains["part"] == GROUP)].iloc[0]
    assert words["refit"].startswith(f"{100 * line['gain']:+.1f} points (")
    changed = changed_rows(kept, 1.0)
    right, arms = kept["right"], [tuple(arm) for arm in kept.meta["arms"]]
    up = right[arms.index((TARGETED, 1.0))] > 0.5
    base = right[arms.index((REFIT, 0.0))] < 0.5
    assert set(changed["repaired"]) == set(np.flatnonzero(up & base)) and len(changed["repaired"])


def test_who_may_measure(bundle: Bundle) -> None:
    night = np.flatnonzero(bundle.examples["time"] == "night")
    aside = bundle_aside(bundle)
    assert repair_options(bundle, night, None)["members"] == night.tolist()
    assert repair_options(bundle, night, ~aside)["aside"]
    kept = repaired(bundle, night, aside=True)
    seen = np.isfinite(kept["right"]).any(axis=0)
    assert kept.meta["aside"] and seen.any() and not seen[~aside].any()
    used = np.zeros(bundle.n, bool)
    used[night] = True  # all of them were chosen by their losses: they measure, and it is said
    options = repair_options(bundle, night, used)
    kept = repaired(bundle, night, used=options["used"])
    assert kept.meta["chosen_by_loss"] and not kept.meta["aside"]
    worst = worst_label(bundle)
    assert len(set(bundle.label_codes[worst])) == 1


def test_the_training_part_and_a_sample_of_a_large_bundle(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = np.flatnonzero(bundle.examples["time"] == "night")
    assert has_training_part(bundle)
    kept = repaired(bundle, night, train=True)
    assert kept.meta["sizes"]["refit"] == N // 2 + kept.meta["sizes"]["counted"]
    varied = repaired(bundle, night, train=True, debug=repair.VARIATIONS).meta["sizes"]
    assert (varied["refit"], varied["counted"]) == (N // 2, 0), "no member refits beside these"
    monkeypatch.setattr(repair.measure, "MOST_ROWS", 500)
    sampled = repaired(bundle, night)
    assert sampled.meta["sizes"]["rows"] == 500
    seen = np.isfinite(sampled["right"]).any(axis=0)
    assert set(np.flatnonzero(seen)) & set(night)


def test_words_become_rules_that_mean_what_was_counted(bundle: Bundle) -> None:
    options = complete_options("contexts", {})
    _, meta = run_contexts(bundle, options, lambda a, b: None, None)
    first = meta["contexts"][0]
    assert first["verdict"] == EXPLAINS and first["wrong_share"] > 2 * first["right_share"]
    assert first["together"] > first["together_expected"] and first["together_p"] <= 0.05
    for line in meta["contexts"]:
        assert evaluate(line["rule"], bundle).sum() == line["n"]
    told = " ".join(line["context"] for line in meta["contexts"])
    assert "night" in told and "number" not in told
    pairs = [(one["first_value"], one["second_value"]) for one in meta["absent"]]
    assert ("night", "snow") in pairs


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (("labels",), "needs labels and predictions"),
        (("predictions", "losses"), "needs labels and predictions"),
    ],
)
def test_what_a_bundle_needs(tmp_path: Path, left_out: tuple[str, ...], message: str) -> None:
    given = {
        name: value
        for name, value in fields().items()
        if name not in left_out and not name.startswith("train")
    }
    given.setdefault("losses", np.arange(N, dtype=float))
    path = tmp_path / "b.npz"
    path.write_bytes(npz(**given))
    bundle = read_bundle(path)
    assert message in repair_needs(bundle)
    with pytest.raises(InputError, match=message):
        repaired(bundle, [1, 2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"members": []}, "at least one row"),
        ({"members": 3}, "members must be a list"),
        ({"members": [-1]}, "a row of members must be a whole number"),
        ({"strengths": [0]}, "a strength must be a number above 0"),
        ({"strengths": [0.5, -0.5]}, "a strength must be a number above 0"),
        ({"strengths": []}, "strengths must be 1 to 12 numbers"),
        ({"train": 1}, "train must be true or false"),
        ({"worst_of": 1}, "worst_of must name a column"),
        ({"seeds": 1}, "seeds must be a whole number from 2"),
    ],
)
def test_options_that_cannot_be_used(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        complete_options("repair", {"members": [1], **changed})


def test_the_repaired_answers_are_a_bundle_that_says_where_it_comes_from(
    home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b.npz"
    path.write_bytes(npz(**fields()))
    bundle = import_bundle(path, name="mine")
    night = np.flatnonzero(bundle.examples["time"] == "night")
    asked = {"members": night.tolist(), "strength": 2.0, "what": "time = night"}
    _, meta = repair.run_repaired(
        bundle, complete_options("repaired", asked), lambda a, b: None, None
    )
    made = open_bundle(meta["digest"])
    assert meta["name"] == "mine, repaired ×2" and made.ids.tolist() == bundle.ids.tolist()
    digest, how = origin_of(made)
    assert digest == bundle.digest and "time = night counts x2" in how
    assert origin_of(bundle) is None
    assert (made.label_names == bundle.label_names).all()
    assert made.populations["before"].shape == made.populations["repaired"].shape == (1, N)
    assert made.correct[night].mean() > bundle.correct[night].mean() + 0.2
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1, rtol=1e-5)
    own = made.probabilities[np.arange(N), made.label_codes]
    np.testing.assert_allclose(made.losses, -np.log(own), rtol=1e-4)
    assert not made.train and made.unused() == []
    assert read_bundle(write_bundle(tmp_path / "again.zip", **made.fields())).digest == made.digest
    control = open_bundle(meta["control"])
    plain = control.correct[night].mean()
    assert plain < made.correct[night].mean() - 0.1 and control.name == "mine, plain refit"
    with closing(Store()) as store:
        [own] = controls_of(bundle.digest, [made.digest, control.digest], store)
        assert own.bundle == control.digest
        known = [bundle.digest, made.digest, control.digest]
        assert before_after_options(made, bundle.digest, store, known)["control"] == control.digest
    for strength in (0, -0.5):
        with pytest.raises(InputError, match="strength must be a number above 0"):
            complete_options("repaired", {**asked, "strength": strength})


def test_variations_and_another_bundles_examples_count_in_place_of_the_group(
    bundle: Bundle, home: Path, tmp_path: Path
) -> None:
    night = np.flatnonzero(bundle.examples["time"] == "night")
    varied = repaired(bundle, night, debug=repair.VARIATIONS)
    assert varied.meta["verdicts"]["1"] == HELPS
    told = {
        "options": {"debug": repair.VARIATIONS},
        "about": "the set of variations of night",
        "strength": 1.0,
    }
    chapter = CHAPTERS["repair"].tell(bundle, varied, told)
    assert chapter.sentences[0].startswith(
        "Asked: the set of variations of night counts ×1 more in"
    )
    assert chapter.tables[0][1]["what"].tolist()[2] == "the set of variations of night counts more"
    held = {name: value for name, value in fields(1).items() if "/" not in name}
    wrong = {
        "thin": {**held, "embeddings": held["embeddings"][:, :3]},
        "other": {**held, "classes": np.array(["cat", "fox"])},
        "good": held,
    }
    digests = {}
    for name, given in wrong.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(npz(**given))
        digests[name] = import_bundle(path).digest
    known = list_bundles()
    assert set(repair.debug_bundles(bundle, known)) == {digests["other"], digests["good"]}
    assert repaired(bundle, night, debug=digests["good"]).meta["table"]
    for name, message in (("thin", "5 dimensions of this bundle's"), ("other", "'fox' is none")):
        with pytest.raises(InputError, match=message):
            repaired(bundle, night, debug=digests[name])
