"""The task and the command that list regions."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from backend.bundle import read_bundle, write_bundle
from backend.cache import Cache, key_of
from backend.cli.main import main
from backend.core.effects import Effect
from backend.core.errors import InputError
from backend.core.parts import bundle_aside
from backend.core.wording import effect_cells, effect_words, explained_words, inner_words
from backend.spotlight import find_regions
from backend.store import Store
from backend.tasks import TASKS, complete_options, default_options, run_regions
from backend.tasks.regions import count_shown, known_rows

N, PLANTED = 600, 24


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    random = np.random.default_rng(1)
    embeddings = random.normal(size=(N, 6)).astype(np.float32)
    losses = random.exponential(0.2, size=N)
    labels = random.integers(0, 2, N)
    labels[:PLANTED] = 1
    embeddings[:PLANTED, :2] += 4
    losses[:PLANTED] += 2
    return write_bundle(
        tmp_path_factory.mktemp("bundle") / "run.npz",
        embeddings=embeddings,
        losses=losses,
        labels=labels,
        predictions=np.where(losses > 0.6, 1 - labels, labels),
        classes=["Shirt", "Coat"],
        examples=pd.DataFrame({"patient": np.arange(N) // 2}),
    )


def run(path, **options):
    bundle = read_bundle(path)
    complete = complete_options("regions", options)
    return bundle, *run_regions(bundle, complete, lambda share, told: None, lambda *part: None)


def test_task_writes_what_the_function_finds(path):
    bundle, arrays, meta = run(path, n_regions=3)
    same = find_regions(
        bundle.embeddings,
        bundle.losses,
        labels=bundle.label_names,
        predictions=bundle.prediction_names,
        kept_aside=bundle_aside(bundle),
        n_regions=3,
    )
    np.testing.assert_allclose(arrays["weights"], same.weights, atol=1e-6)
    np.testing.assert_allclose(arrays["centers"], same.centers)
    np.testing.assert_array_equal(arrays["kept_aside"], bundle_aside(bundle))
    assert meta["n_aside"] == arrays["kept_aside"].sum()
    r = len(same)
    assert arrays["scores"].shape == (r, N) and arrays["roots"].shape[:2] == (r, 6)
    for line, rows, told in zip(arrays["members"], same.members, meta["regions"], strict=True):
        assert line[line >= 0].tolist() == rows.tolist()
        assert told["n_members"] == len(rows)
        assert told["member_loss"] == pytest.approx(bundle.losses[rows].mean())
    assert [Effect.from_dict(one["effect"]) for one in meta["regions"]] == list(same.effects)
    assert meta["regions"][0]["scope"] == "among true label Coat"
    assert set(arrays["members"][0][:10]) <= set(range(PLANTED))
    names = [one["name"] for one in meta["regions"]]
    assert len(set(names)) == len(names)
    json.dumps(meta)


def test_groups_are_a_column_that_exists(path):
    _, arrays, meta = run(path, groups="patient")
    aside = arrays["kept_aside"]
    assert (aside[::2] == aside[1::2]).all() and 0 < aside.sum() < N
    assert meta["options"]["groups"] == "patient"
    with pytest.raises(InputError, match="groups must be a column of the bundle: got 'ward'"):
        run(path, groups="ward")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_regions": 0}, "n_regions must be a whole number from 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"groups": 3}, "groups must name a column"),
        ({"sizes": [0.7]}, "sizes must be shares"),
        ({"known": [3]}, "known must be lists of rows"),
        ({"known": [[-1]]}, "known must be lists of rows"),
        ({"size": 0.1}, "no option 'size'. It takes n_regions, sizes, seed, groups"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, text):
    with pytest.raises(InputError, match=text):
        complete_options("regions", options)
    assert default_options("regions")["n_regions"] == 12


def test_labels_that_fail_come_on_top_of_what_is_shown():
    facts = [{"kind": kind} for kind in ("label", "label", "ball", "direction", "ball")]
    assert [count_shown(facts, most) for most in (1, 2, 9)] == [3, 4, 5]
    assert count_shown([]) == 0


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command; what it printed, read as JSON where it was asked for."""
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)

    def run_command(*arguments):
        status = main([str(one) for one in arguments])
        said = capsys.readouterr()
        assert status == 0, said.err
        return json.loads(said.out) if "--json" in arguments else said.out

    return run_command


def test_page_command_file_and_report_say_the_same(path, tmp_path, command, monkeypatch):
    bundle, arrays, meta = run(path)
    shown = count_shown(meta["regions"])
    page = meta["regions"][:shown]
    out, html, card = (tmp_path / name for name in ("r.npz", "r.html", "r.md"))
    told = command("regions", path, "--out", out, "--json")["regions"]
    assert [one | {"multiple": 0, "verdict": ""} for one in page] == [
        one | {"multiple": 0, "verdict": ""} for one in told
    ]
    # One result for the page, the command and the report: nothing is searched a second time.
    key = key_of("regions", bundle.digest, meta["options"], TASKS["regions"].version)
    assert Cache().read(key) is not None
    monkeypatch.setattr("backend.spotlight.find_regions", None)
    text = command("regions", path)
    with np.load(out, allow_pickle=False) as file:
        members = file["members"]
        np.testing.assert_array_equal(members, arrays["members"][:shown])
        np.testing.assert_array_equal(file["kept_aside"], arrays["kept_aside"])
        assert file["names"].tolist() == [one["name"] for one in page]
        assert file["numbers"].tolist() == list(range(1, shown + 1))
        assert file["ids"].tolist() == bundle.ids.tolist()
    searched = command("report", path, "--out", html, "--markdown", card, "--json")["regions"]
    pages = [html.read_text(), card.read_text()]
    read = command("report", path, "--out", html, "--markdown", card, "--regions", out, "--json")
    assert read["regions"] == searched
    pages += [html.read_text(), card.read_text()]
    for one, fact, reported in zip(page, told, searched, strict=True):
        effect = Effect.from_dict(one["effect"])
        assert reported["name"] == one["name"] and reported["effect"] == one["effect"]
        assert reported["members"] == one["n_members"] and reported["p"] == one["p"]
        assert reported["verdict"] == fact["verdict"]
        for cell in effect_cells(effect):
            assert cell in text
            assert all(cell in said.replace("\\", "") for said in pages)
        if one["also"] is not None:
            inner = inner_words(one["also"]["n_members"], Effect.from_dict(one["also"]["effect"]))
            assert inner in text
            assert all(inner in said.replace("\\", "") for said in pages)
    explained = explained_words([one["explained"] for one in meta["regions"]], shown)
    assert explained and explained in text
    plain = [said.replace("\\", "") for said in pages]
    assert all(explained in said for said in plain[:2])
    # The file holds what the command listed, so what is read from it says nothing of further entries.
    assert all(explained.split(";")[0] in said for said in plain[2:])
    first = told[0]
    assert first["p"] <= 0.05 and first["verdict"].startswith("real")
    wrong = np.isin(np.arange(N), members[0]) & arrays["kept_aside"]
    assert first["effect"]["n"] == wrong.sum()
    assert first["effect"]["error"] == (bundle.labels != bundle.predictions)[wrong].mean()


def test_describe_reads_exactly_the_members_of_the_file(path, tmp_path, command):
    out = tmp_path / "r.npz"
    told = command("regions", path, "--regions", 2, "--out", out, "--json")["regions"]
    bundle = read_bundle(path)
    with np.load(out) as file:
        lines = file["members"]
    for fact, line in zip(told, lines, strict=True):
        rows = line[line >= 0]
        ask = ("describe", path, "--regions", out, "--region", fact["number"])
        said = command(*ask, "--json")
        assert said["members"] == len(rows) == fact["n_members"]
        assert said["member_loss"] == pytest.approx(bundle.losses[rows].mean())
        assert (said["name"], said["number"]) == (fact["name"], fact["number"])
        assert said["weighted_loss"] == fact["weighted_loss"] and said["p"] == fact["p"]
        names = np.asarray(bundle.label_names)[rows]
        for one in said["attributes"]["label"]:
            assert one["group_share"] == pytest.approx((names == one["value"]).mean())
        text = command(*ask)
        assert text.startswith(f"Region {fact['number']}, {fact['name']}, of run: {len(rows)}")
        assert effect_words(Effect.from_dict(fact["effect"])) in text


def test_a_name_that_somebody_gave_wins_everywhere(path, tmp_path, command):
    bundle, _, meta = run(path)
    key = key_of("regions", bundle.digest, meta["options"], TASKS["regions"].version)
    with closing(Store()) as store:
        store.rename_region(bundle, f"{key}:0", "far coats")
    out, html = tmp_path / "r.npz", tmp_path / "r.html"
    assert command("regions", path, "--out", out, "--json")["regions"][0]["name"] == "far coats"
    for more in ((), ("--regions", out)):
        said = command("report", path, "--out", html, *more, "--json")["regions"]
        assert said[0]["name"] == "far coats" and said[1]["name"] == meta["regions"][1]["name"]


def test_size_restricts_the_candidates(path, command):
    told = command("regions", path, "--size", 0.04, "--json")
    assert told["options"]["sizes"] == [0.04]
    sizes = {one["n_members"] for one in told["regions"] if one["kind"] != "label"}
    assert sizes and all(abs(size - 24) <= 12 for size in sizes)


def test_what_is_set_aside_is_searched_past_and_told_everywhere(path, tmp_path, command):
    bundle, arrays, meta = run(path)
    first = arrays["members"][0][arrays["members"][0] >= 0]
    out, listed, html, card = (tmp_path / one for one in ("r.npz", "k.json", "r.html", "r.md"))
    store = Store()
    store.set_aside(
        bundle, bundle.ids[first], "label noise", name="far *coats*", note="seen", author="Ada"
    )
    held = known_rows(bundle, store.known_regions(bundle))
    assert held == [sorted(first.tolist())]
    store.close()
    listed.write_text(json.dumps([bundle.ids[first].tolist()]))
    command("regions", path, "--regions", 1, "--out", out)
    told = [command("regions", path, "--known", where, "--json") for where in ("store", listed)]
    assert told[0] == told[1] and told[0]["options"]["known"] == held
    assert told[0]["notes"][0].startswith("Searched after 1 region was set aside (")
    of_file = command("regions", path, "--known", out, "--json")
    labels = count_shown(meta["regions"], 1)
    assert len(of_file["options"]["known"]) == labels and held[0] in of_file["options"]["known"]
    _, again, _ = run(path, known=held)
    for rows in again["members"]:
        both = np.isin(rows[rows >= 0], first).sum()
        assert both < 0.5 * min(len(first), (rows >= 0).sum())
    reported = command("report", path, "--out", html, "--markdown", card, "--json")["regions"]
    assert [one["name"] for one in reported] == [one["name"] for one in told[0]["regions"]]
    for said in (html.read_text(), card.read_text().replace("\\", "")):
        assert "far *coats*" in said and "label noise" in said and "Ada" in said
        assert "1 region set aside" in said or "1 region was set aside" in said
    assert "1 region set aside" in html.read_text()  # among the options, not each row
    assert "Searched with 1 region set aside: p is about what was left." in card.read_text()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "cannot be read as JSON"),
        ("[[]]", "must hold a list of lists of ids"),
        ('[["nobody"]]', "names 'nobody', which is no id of the bundle"),
        (None, "cannot be read as JSON"),
    ],
)
def test_files_of_what_is_known_that_cannot_be_used(path, tmp_path, home, capsys, content, text):
    listed = tmp_path / "known.json"
    if content is not None:
        listed.write_text(content)
    assert main(["regions", str(path), "--known", str(listed)]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--groups", "ward"], "--groups must name a column: got 'ward'. There are: "),
        (["--size", "0.5"], "--size must be a share above 0 and below 0.5"),
        (["--regions", "0"], "--regions must be a whole number from 1 to 50"),
    ],
)
def test_command_refuses_what_cannot_be_used(path, home, capsys, more, text):
    assert main(["regions", str(path), *more]) == 2
    assert text in capsys.readouterr().err
