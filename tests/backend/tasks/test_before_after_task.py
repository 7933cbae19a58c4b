"""Two runs compared: equal to pandas, on kept-aside members alone, and what cannot be compared."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backend.before_after import CHOSEN, FOUND_HERE, NOT_TOLD, WORSE
from backend.bundle import UNCHANGED, import_bundle, shared_rows
from backend.cache import Cache
from backend.cli.main import main
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.core.progress import ignore_progress
from backend.core.wording import TOO_FEW
from backend.store import Store
from backend.tasks import complete_options
from backend.tasks.changes import (
    change_cells,
    change_table,
    group_rows,
    tell_changes,
    tell_later,
)
from backend.tasks.kept import kept_result
from backend.tasks.linked import ITSELF, before_after_options, controls_of, linked_runs
from tests.bundles import npz

N = 600


def fields(seed: int, worse: float = 0.0, **more):
    """A run: its errors are drawn by the seed, more of them at night."""
    space, run = np.random.default_rng(0), np.random.default_rng(seed)
    labels = space.integers(0, 3, N)
    embeddings = space.normal(size=(N, 6)).astype(np.float32) + 2 * np.eye(3, 6)[labels]
    night = space.random(N) < 0.2
    wrong = run.random(N) < 0.1 + 0.4 * (embeddings[:, 5] > 1) + worse * night
    told = {
        "embeddings": embeddings,
        "labels": labels,
        "predictions": np.where(wrong, (labels + 1) % 3, labels),
        "losses": np.where(wrong, 1.5, 0.2) + 0.1 * run.random(N),
        "classes": np.array(["cat", "dog", "cow"]),
        "examples/id": np.array([f"e{row}" for row in range(N)]),
        "examples/time": np.where(night, "night", "day"),
    }
    return told | more


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def kept(home):
    """Import bundles under this home by name, each once."""

    def one(name, **given):
        path = home / f"{name}.npz"
        path.write_bytes(npz(**given))
        return import_bundle(path, home)

    return one


@pytest.fixture(scope="module")
def runs(kept):
    turned = np.random.default_rng(5).permutation(N)
    after = {
        name: own if name == "classes" else own[turned] for name, own in fields(2, 0.35).items()
    }
    return kept("before", **fields(1)), kept("after", **after), kept("again", **fields(3))


@pytest.fixture(scope="module")
def store(home, runs):
    before, after, again = runs
    with closing(Store(home=home)) as store:
        store.tag(before, [f"e{row}" for row in range(300)], "mine", author="Ada")
        lost = before.ids[~before.correct][:50]
        store.tag(before, lost, "mistakes", source={"kind": "high loss"}, author="Ada")
        card = {"sentence": "the night is hard", "rule": "time = night"}
        store.write_hypothesis(after, "h", card, author="Ada")
        store.link_runs(again, before, name="before", unchanged=True)
        yield store


def compared(home, runs, store, **more):
    before, after, _ = runs
    options = before_after_options(
        after, before.digest, store, [one.digest for one in runs], **more
    )
    return kept_result(
        "before_after", after, complete_options("before_after", options),
        progress=ignore_progress, cache=Cache(home), home=str(home),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(home, runs, store):
    return compared(home, runs, store, control="")


def line(found, kind, name):
    table = change_table(found)
    (at,) = np.flatnonzero((table["kind"] == kind) & (table["name"] == name))
    return int(at), table.iloc[at]


def joined(runs):
    """Both runs side by side by id, as somebody would do it in pandas."""
    frames = []
    for run in runs[:2]:
        wrong = run.labels != run.predictions
        frame = {"id": run.ids, "label": run.label_names, "loss": run.losses, "wrong": wrong}
        frames.append(pd.DataFrame(frame | {"time": run.examples["time"].to_numpy()}))
    return frames[0].merge(frames[1], on="id", suffixes=("_before", "_after"))


@pytest.mark.parametrize(
    ("kind", "name", "query"),
    [
        ("everything", "all examples", "id == id"),
        ("label", "dog", "label_before == 'dog'"),
        ("column", "time=night", "time_before == 'night'"),
        ("hypothesis", "the night is hard", "time_before == 'night'"),
    ],
)
def test_every_number_is_that_of_pandas_and_scipy(found, runs, kind, name, query):
    _, told = line(found, kind, name)
    own = joined(runs).query(query)
    assert (told["members"], told["n"]) == (len(own), len(own))
    for one in ("loss", "wrong"):
        key = "error" if one == "wrong" else one
        assert told[f"{key}_before"] == pytest.approx(own[f"{one}_before"].mean())
        assert told[f"{key}_after"] == pytest.approx(own[f"{one}_after"].mean())
        apart = own[f"{one}_after"].astype(float) - own[f"{one}_before"]
        assert told[f"{key}_change"] == pytest.approx(apart.mean())
    failed = int((own["wrong_after"] & ~own["wrong_before"]).sum())
    repaired = int((own["wrong_before"] & ~own["wrong_after"]).sum())
    assert (told["failed"], told["repaired"]) == (failed, repaired)
    assert told["p"] == pytest.approx(stats.binomtest(failed, failed + repaired).pvalue)
    assert told["error_low"] < told["error_change"] < told["error_high"]


def test_what_got_worse_comes_first_and_what_fails_newly_is_listed(found, runs):
    table = change_table(found)
    assert table["name"][0] == "all examples" and table["name"][1] in (
        "time=night",
        "the night is hard",
    )
    assert line(found, "column", "time=night")[1]["verdict"] == WORSE
    assert line(found, "column", "time=day")[1]["verdict"] == NOT_TOLD
    lows = table["error_low"].dropna()[1:]
    assert (lows.diff().dropna() <= 0).all()
    own = joined(runs)
    for name, mask in (
        ("failed", own["wrong_after"] & ~own["wrong_before"]),
        ("repaired", own["wrong_before"] & ~own["wrong_after"]),
    ):
        assert set(runs[1].ids[found[name]]) == set(own["id"][mask])


def test_what_losses_chose_is_measured_on_kept_aside_members_alone(found, runs):
    before, after, _ = runs
    table = change_table(found)
    for kind, run in (("region before", before), ("region after", after)):
        own = table[table["kind"] == kind]
        assert len(own) and (own["n"] < own["members"]).all() and own["chosen"].all()
        aside = set(run.ids[bundle_aside(run)])
        at = int(own.index[0])
        ends = found["measured_ends"]
        measured = found["measured"][int(ends[at - 1]) : int(ends[at])]
        assert set(after.ids[measured]) == set(after.ids[group_rows(found, at)]) & aside
        if kind == "region after":
            assert set(own["verdict"]) <= {FOUND_HERE, TOO_FEW}
    assert line(found, "tag", "mistakes")[1][["n", "verdict"]].tolist() == [0, CHOSEN]
    assert line(found, "tag", "mine")[1][["n", "members"]].tolist() == [300, 300]


def test_a_control_stands_beside(home, runs, store):
    with_control = compared(home, runs, store)
    assert with_control.meta["control"] == "again"
    _, night = line(with_control, "column", "time=night")
    assert night["verdict"] == WORSE and night["control_low"] < 0 < night["control_high"]
    assert night["beside_low"] > 0 and night["beside_p"] < 0.001


def test_the_command_line_says_the_same_to_the_digit(found, home, runs, capsys):
    before, after, _ = (one.digest[:12] for one in runs)
    out = home / "changes.csv"
    asked = ["compare", after, "--before", before, "--control", "", "--home", str(home)]
    assert main([*asked, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    table = change_table(found)
    pd.testing.assert_frame_equal(
        pd.DataFrame(told["table"]).astype(table.dtypes.to_dict()), table, check_exact=True
    )
    assert told["failed"] == runs[1].ids[found["failed"]].tolist()
    assert len(pd.read_csv(out)) == len(table)
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert found.meta["sentence"] in text
    assert change_cells(found)["difference"].map(text.count).min() > 0
    assert main(["compare", before, "--before", "--home", str(home)]) == 2
    assert "linked to no older run" in capsys.readouterr().err


def test_runs_are_linked_by_command(runs, home, kept, capsys):
    before, after, _ = runs
    linked = kept("linked", **fields(6)).digest
    call = ["link", linked[:12], before.digest[:12], "--home", str(home), "--author", "Ada"]
    assert main([*call, "--unchanged"]) == 0
    assert "600 examples in both" in capsys.readouterr().out
    assert main(["link", linked[:12], "--home", str(home), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["links"]
    assert (told["older"], told["author"], told["unchanged"]) == (before.digest, "Ada", True)
    assert main([*call, "--undo"]) == 0
    assert "linked to no older run" in capsys.readouterr().out
    assert main(["link", after.digest[:12], after.digest[:12], "--home", str(home)]) == 2
    assert "to another one only" in capsys.readouterr().err


def test_the_report_has_a_chapter(found, runs):
    chapter = tell_changes(runs[1], found, {"about": "before"})
    ((_, table),) = chapter.tables
    assert chapter.title == "Before and after"
    pd.testing.assert_frame_equal(table, change_cells(found).head(len(table)))
    assert f"{WORSE}: " in " ".join(chapter.sentences)
    later = tell_later(runs[0], found, {"about": "a newer run"})
    assert later.title == "Before and after: a newer run" and len(later.tables) == 1
    assert later.sentences[0].startswith("Compared with a newer run, a run after this one; ")
    assert later.sentences[1:] == chapter.sentences[1:]


def test_links_come_from_people_and_from_the_bundle_itself(runs, store, kept, home):
    before, after, again = runs
    assert [(one.older, one.unchanged) for one in linked_runs(again, store)] == [
        (before.digest, True)
    ]
    made = kept("made", **fields(4), made_from=np.array([before.digest, "repaired", UNCHANGED]))
    (own,) = linked_runs(made, store)
    assert (own.older, own.author, own.unchanged) == (before.digest, ITSELF, True)
    others = [made.digest, again.digest, after.digest]
    found = [one.bundle for one in controls_of(before.digest, others, store, home)]
    assert found == [again.digest, made.digest]
    kept_with = kept("kept", **fields(5), made_from=np.array([before.digest, "re", made.digest]))
    other = kept("other", **fields(6), made_from=np.array([before.digest, "again", UNCHANGED]))
    four = [other.digest, made.digest, again.digest]
    found = controls_of(before.digest, four, store, home, beside=kept_with)
    assert [one.bundle for one in found] == [again.digest, made.digest, other.digest]
    store.link_runs(made, after, name="after", author="Ada")
    assert [one.older for one in linked_runs(made, store)] == [after.digest, before.digest]
    store.unlink_runs(made, before, name="before", author="Ada")
    found = [one.bundle for one in controls_of(before.digest, others, store, home)]
    assert found == [again.digest]
    assert [one.older for one in linked_runs(made, store)] == [after.digest]


def cut(given, rows, **more):
    return {name: own if name == "classes" else own[rows] for name, own in given.items()} | more


PART = np.arange(100, N)
OTHER = np.r_[np.full(50, "x"), fields(1)["classes"][fields(1)["labels"][50:]]]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("a part", cut(fields(2), PART), "500 examples are in both runs, of 600 before and 500"),
        ("relabelled", fields(2, labels=OTHER, classes=np.array(["cat", "dog", "cow", "x"])), "50 examples whose label"),
    ],
)  # fmt: skip
def test_what_two_runs_share_is_stated(runs, kept, name, given, said):
    if "predictions" in given and given["labels"].dtype.kind == "U":
        given = given | {"predictions": given["labels"]}
    shared = shared_rows(runs[0], kept(name, **given))
    assert any(said in note for note in shared.notes)
    assert len(shared.before) == len(shared.after) == (500 if name == "a part" else 550)


def unnamed(given):
    return {name: own for name, own in given.items() if name != "examples/id"}


def test_what_was_made_of_a_bundle_without_ids_is_compared_row_by_row(kept):
    first = kept("numbered", **unnamed(fields(1)))
    numbers = {"examples/id": np.arange(N).astype(str)}
    for made_from in ([first.digest, "repaired"], ["0" * 64, "repaired"]):
        made = kept("made of it", **(fields(2) | numbers), made_from=np.array(made_from))
        shared = shared_rows(first, made)
        assert shared.before.tolist() == shared.after.tolist() == list(range(N))
        assert bool(shared.notes) == (made_from[0] != first.digest)
        assert all("does not have ids of its own" in note for note in shared.notes)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (fields(1), cut(fields(2), PART[:10]), "share 20 examples or more"),
        (fields(1), unnamed(fields(2)), "rows were numbered"),
        (unnamed(fields(1)), unnamed(cut(fields(2), PART)), "got 600 and 500 rows"),
        (unnamed(fields(1)), unnamed(cut(fields(2), np.arange(N)[::-1])), "not the same examples"),
        (fields(1), fields(2) | {"examples/id": np.array([f"x{r}" for r in range(N)])}, "share 0"),
    ],
)
def test_what_is_not_the_same_examples_is_refused(kept, first, second, said):
    with pytest.raises(InputError, match=said):
        shared_rows(kept("first", **first), kept("second", **second))
