"""The command line: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backend.bundle import write_bundle
from backend.cli.main import main
from backend.cli.report import aligned, plain, printable, shown, write_file
from backend.core.errors import InputError
from backend.demo import demo_path
from backend.export import read_export
from backend.spotlight import members
from backend.store import Store

PROJECT = Path(__file__).resolve().parents[3]
N, PLANTED = 200, 12


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    monkeypatch.setenv("ERRORSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(path, **changes):
    random = np.random.default_rng(1)
    embeddings = random.normal(size=(N, 4)).astype(np.float32)
    losses = random.exponential(0.2, size=N)
    embeddings[:PLANTED] = 4 + random.normal(size=(PLANTED, 4)) * 0.1
    losses[:PLANTED] += 3
    labels = random.integers(0, 2, N)
    hard = np.arange(N) < PLANTED
    examples = {
        "id": [f"e{row:03d}" for row in range(N)],
        "text": np.where(hard, "blurred photo", "photo").tolist(),
        "season": np.where(hard, "winter", "summer").tolist(),
    }
    fields = {
        "embeddings": embeddings,
        "losses": losses,
        "labels": labels,
        "predictions": np.where(hard, 1 - labels, labels),
        "classes": ["Shirt", "Coat"],
        "examples": pd.DataFrame(examples),
    }
    return write_bundle(path, **(fields | changes))


@pytest.fixture
def upload(tmp_path):
    return write(tmp_path / "run.npz")


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "bad.npz"
    losses = np.ones(5)
    losses[3] = np.nan
    np.savez(path, embeddings=np.ones((5, 2), dtype=np.float32), losses=losses)
    return path


@pytest.fixture
def run(home, capsys):
    """Run a command: (exit status, what it said, errors)."""

    def command(*arguments):
        status = main([str(one) for one in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def json_of(result):
    status, out, _ = result
    assert status == 0
    return json.loads(out)


# check, import, list


def test_check_says_what_is_in_a_bundle(run, upload):
    status, out, _ = run("check", upload)
    assert status == 0
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line]
    facts = {line[0]: line[-1] for line in lines}
    assert facts["examples"] == "200 x 4 float32"
    assert facts["accuracy"] == "0.94"
    assert "populations" in out and "who pays for compression" in out
    assert json_of(run("check", upload, "--json"))["attributes"] == ["season"]


def test_check_lists_faults_with_file_column_row_and_advice(run, faulty):
    status, out, err = run("check", faulty)
    assert (status, out) == (2, "")
    assert "bad.npz, losses, row 3:" in err and "Remove or repair" in err
    status, out, _ = run("check", faulty, "--json")
    told = json.loads(out)
    assert status == 2 and told["ok"] is False
    (fault,) = told["faults"]
    assert (fault["file"], fault["field"], fault["row"]) == ("bad.npz", "losses", 3)
    assert fault["advice"]


def test_check_takes_fields_under_other_names(run, tmp_path):
    path = tmp_path / "odd.npz"
    np.savez(path, features_x=np.ones((9, 2), dtype=np.float32), ce=np.arange(9.0))
    assert run("check", path)[0] == 2
    found = json_of(run("check", path, "--map", "embeddings=features_x", "losses=ce", "--json"))
    assert (found["n"], found["base_loss"]) == (9, 4.0)
    assert "needs FIELD=COLUMN" in run("check", path, "--map", "losses")[2]


def test_an_imported_bundle_is_listed_and_found_by_the_start_of_its_digest(run, upload):
    assert "No bundle is imported yet" in run("list")[1]
    digest = json_of(run("import", upload, "--name", "first try", "--json"))["digest"]
    assert [one["digest"] for one in json_of(run("list", "--json"))["bundles"]] == [digest]
    assert "first try" in run("list")[1]
    assert json_of(run("check", digest[:6], "--json"))["name"] == "first try"


def test_what_names_no_bundle_is_told_with_what_there_is(run, upload):
    run("import", upload)
    for name in ("0000000", "missing.npz", "..", "*"):
        status, _, err = run("fit", name, "--out", "x.npz")
        assert status == 2 and "Traceback" not in err
    assert "Imported: " in run("check", "0000000")[2] and "(run)" in run("check", "0000000")[2]
    assert "no such file or folder" in run("import", "missing.npz")[2]


def test_two_bundles_with_the_same_start_need_more_digits(run, upload, monkeypatch):
    from backend.bundle import list_bundles

    run("import", upload)
    twice = [*list_bundles(), *list_bundles()]
    monkeypatch.setattr("backend.cli.bundles.list_bundles", lambda home: twice)
    assert "2 imported bundles start so" in run("check", twice[0].digest[:5])[2]


def test_a_bundle_is_named_renamed_and_meant_by_its_name(run, upload, tmp_path):
    digest = json_of(run("import", upload, "--name", "first try", "--json"))["digest"]
    assert json_of(run("check", "first try", "--json"))["digest"] == digest
    assert "is called secondtry now" in run("rename", "first try", " second\ntry ")[1]
    assert json_of(run("list", "--json"))["bundles"][0]["name"] == "secondtry"
    assert json_of(run("rename", digest[:8], "second try", "--json"))["name"] == "second try"
    assert json_of(run("check", "second try", "--json"))["digest"] == digest
    assert "neither a file or folder, nor the name" in run("check", "first try")[2]
    assert "must have a character" in run("rename", "second try", " ")[2]
    other = tmp_path / "other.npz"
    np.savez(other, embeddings=np.eye(5, dtype=np.float32), losses=np.arange(5.0))
    twin = json_of(run("import", other, "--name", "second try", "--json"))["digest"]
    refused = run("check", "second try")[2]
    assert "2 imported bundles are called so" in refused
    assert digest[:12] in refused and twin[:12] in refused


def test_tags_are_offered_and_carried_to_a_file_that_is_imported_anew(run, home, tmp_path):
    def file(name, ids, loss):
        path = tmp_path / name
        ids = {} if ids is None else {"examples/id": np.array(ids)}
        embeddings = np.arange(20.0, dtype=np.float32).reshape(10, 2)
        np.savez(path, embeddings=embeddings, losses=np.full(10, loss), **ids)
        return path

    ids = [f"x{row}" for row in range(10)]
    old = json_of(run("import", file("run.npz", ids, 1.0), "--name", "old", "--json"))
    with closing(Store(home=home)) as store:
        store.tag(old["digest"], ["x1", "x2", "x9"], "blurred", author="Ada")
        store.tag(old["digest"], ["x1"], "angle", author="Ada")
    renamed = [*ids[:9], "y9"]
    new = file("run.npz", renamed, 2.0)
    said = json_of(run("import", new, "--json"))
    assert said["tags_offered"] == [old["digest"]]
    with closing(Store(home=home)) as store:
        assert store.tag_counts(said["digest"]) == {}  # never without being asked
    assert f"--tags-from {old['digest'][:12]}" in run("import", new)[1]
    for again, counts in enumerate([(3, 0, 1), (0, 3, 1)]):
        told = json_of(run("import", new, "--tags-from", "old", "--author", "Bob", "--json"))[
            "tags"
        ]
        assert (told["carried"], told["known"], told["missing"]) == counts, again
    assert "1 not found" in run("import", new, "--tags-from", old["digest"][:8])[1]
    with closing(Store(home=home)) as store:
        assert store.tag_counts(said["digest"]) == {"angle": 1, "blurred": 2}
        assert set(store.tags(said["digest"])["author"]) == {"Bob"}
    # Ids that were made from row numbers tell nothing of examples, unless the file is called alike.
    rows = json_of(run("import", file("plain.npz", None, 3.0), "--json"))
    assert rows["tags_offered"] == []
    with closing(Store(home=home)) as store:
        store.tag(rows["digest"], ["1"], "blurred")
    assert json_of(run("import", file("plain.npz", None, 4.0), "--json"))["tags_offered"] == [
        rows["digest"]
    ]
    assert json_of(run("import", file("fresh.npz", None, 5.0), "--json"))["tags_offered"] == []
    assert run("import", new, "--tags-from", "nothing")[0] == 2


# fit, describe


def test_fit_writes_the_planted_region_and_describe_reads_it(run, upload, tmp_path):
    out = tmp_path / "regions.npz"
    told = json_of(run("fit", upload, "--size", PLANTED, "--spotlights", 2, "--out", out, "--json"))
    with np.load(out, allow_pickle=False) as file:
        names = {"weights", "centers", "precisions", "weighted_losses", "total_weights", "ids"}
        assert set(file.files) == names | {"names"}
        called = [one["name"] for one in told["regions"]]
        assert file["names"].tolist() == called and len(set(called)) == 2
        assert file["weights"].shape == (2, N) and file["centers"].shape == (2, 4)
        rows = members(file["weights"][0], float(file["total_weights"][0]))
        assert set(file["ids"][rows]) == {f"e{row:03d}" for row in range(PLANTED)}
        assert file["weighted_losses"][0] == told["regions"][0]["weighted_loss"]
    assert told["regions"][0]["members"] == PLANTED
    assert "season winter" in told["regions"][0]["words"]

    found = json_of(run("describe", upload, "--regions", out, "--json"))
    assert found["members"] == PLANTED and found["small"] is True
    assert found["group"] == f"Region 1, {called[0]},"
    assert found["tokens"][0]["token"] == "blurred"
    assert found["attributes"]["season"][0]["value"] == "winter"
    assert set(found["attributes"]) == {"season", "label", "prediction"}
    assert "--region must be 1 to 2" in run("describe", upload, "--regions", out, "--region", 3)[2]
    others = write(tmp_path / "others.npz", examples={"id": [f"x{row}" for row in range(N)]})
    assert "its ids are others" in run("describe", others, "--regions", out)[2]
    assert "is not a file that" in run("describe", upload, "--regions", upload)[2]


def test_describe_takes_the_largest_losses_or_a_tag(run, upload, home):
    status, out, _ = run("describe", upload, "--quantile", 0.95)
    assert status == 0 and "The largest losses of run: 10 examples (small" in out
    assert "They share: season winter" in out
    digest = json_of(run("import", upload, "--json"))["digest"]
    Store(home=home).tag(digest, ["e000", "e100"], "two")
    found = json_of(run("describe", digest, "--tag", "two", "--json"))
    assert (found["members"], found["group"]) == (2, "Tag 'two'")
    assert "The tags are: two" in run("describe", digest, "--tag", "three")[2]


def test_fit_says_what_is_wrong_with_its_options(run, upload, tmp_path):
    out = tmp_path / "x.npz"
    assert "size must be" in run("fit", upload, "--size", 0, "--out", out)[2]
    nowhere = tmp_path / "no folder" / "x.npz"
    assert "folder of" in run("fit", upload, "--out", nowhere)[2]
    assert "it is a folder" in run("fit", upload, "--out", tmp_path)[2]
    assert "belongs to solver 'adam'" in run("fit", upload, "--barrier-scale", 2, "--out", out)[2]
    assert "Columns that can be: none" in run("fit", upload, "--counts", "season", "--out", out)[2]
    few = run("fit", upload, "--precision", "full", "--size", 10, "--out", out)[2]
    assert "solver 'adam', which runs with a warning" in few
    assert not out.exists()


def test_fit_takes_the_size_and_options_of_the_paper(run, upload, tmp_path):
    out = tmp_path / "found.npz"
    hard = json_of(run("fit", upload, "--spotlights", 1, "--out", out, "--json"))
    # There are no pictures: 5 % of 200 examples.
    assert hard["regions"][0]["total_weight"] == pytest.approx(10, rel=1e-6)
    easy = json_of(run("fit", upload, "--spotlights", 1, "--flip", "--out", out, "--json"))
    told = [one["regions"][0]["weighted_loss"] for one in (easy, hard)]
    assert told[0] < hard["base_loss"] < told[1]
    examples = pd.DataFrame({"id": [f"e{row:03d}" for row in range(N)], "copies": 2})
    twice = write(tmp_path / "twice.npz", examples=examples)
    both = json_of(
        run("fit", twice, "--counts", "copies", "--spotlights", 1, "--out", out, "--json")
    )
    # Everything twice is the same region, of 5 % of twice as many.
    assert both["regions"][0]["total_weight"] == pytest.approx(20, rel=1e-6)
    assert both["regions"][0]["members"] == hard["regions"][0]["members"] == 10
    assert both["regions"][0]["weighted_loss"] == pytest.approx(told[1], rel=1e-6)


# export


def test_export_and_replay_on_another_machine_agree(run, upload, home, tmp_path):
    digest = json_of(run("import", upload, "--json"))["digest"]
    source = {"kind": "region", "index": 0, "key": "k", "center": [4.0] * 4, "precision": 1.0}
    Store(home=home).tag(digest, ["e001", "e000"], "hard", source=source)
    Store(home=home).tag(digest, ["e100"], "odd")
    csv, manifest, again = (tmp_path / name for name in ("a.csv", "a.json", "b.csv"))
    told = json_of(run("export", upload, "--out", csv, "--manifest", manifest, "--json"))
    assert told["tags"] == {"hard": 2, "odd": 1}
    assert read_export(csv.read_bytes())["id"].tolist() == ["e000", "e001", "e100"]
    only = tmp_path / "only.csv"
    assert json_of(run("export", digest, "--tag", "odd", "--out", only, "--json"))["rows"] == 1

    there = ["--home", tmp_path / "there"]
    status, _, err = run("export", "--replay", manifest, "--out", again, *there)
    assert status == 2 and "not imported here" in err
    run("import", upload, *there)
    status, out, _ = run("export", "--replay", manifest, "--out", again, *there)
    assert status == 0 and "identical to the one exported then" in out
    assert again.read_bytes() == csv.read_bytes()


def test_export_refuses_in_a_sentence(run, upload, tmp_path, faulty):
    out = tmp_path / "x.csv"
    assert "nothing is tagged" in run("export", upload, "--out", out)[2]
    assert "not a JSON file" in run("export", "--replay", faulty, "--out", out)[2]
    assert "No such file" in run("export", "--replay", tmp_path / "none.json", "--out", out)[2]
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "--out", "x.csv"],
        ["export", "b", "--replay", "m.json", "--out", "x.csv"],
        ["export", "b", "--refit", "--out", "x.csv"],
        ["export", "--replay", "m", "--tag", "t", "--out", "x.csv"],
        ["fit", "b"],
        ["describe", "b", "--tag", "t", "--regions", "r.npz"],
        ["describe", "b", "--region", "2"],
        ["compare"],
        [],
    ],
)
def test_options_that_do_not_go_together(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


# demo, help, the process itself


def test_demo_tells_where_it_is_or_how_to_make_it(run, tmp_path, monkeypatch):
    refused = run("demo", "mnist")[2]
    assert "demo must be one of 'fashion', 'compression', 'adult', 'marked', 'reviews'" in refused
    assert "got 'mnist'" in refused
    shipped = tmp_path / "fashion.zip"
    monkeypatch.setattr("backend.demo.demo_path", lambda name: shipped)
    assert "demo fashion --rebuild" in run("demo", "fashion")[2]
    shipped.write_bytes(b"demo")
    assert json_of(run("demo", "fashion", "--json"))["path"] == str(shipped)
    assert run("demo", "fashion", "--out", tmp_path / "copy.zip")[0] == 0
    assert (tmp_path / "copy.zip").read_bytes() == b"demo"


COMMANDS = ("check", "import", "list", "fit", "describe", "export", "demo")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_as_a_process_it_refuses_without_a_traceback_and_without_torch(faulty, tmp_path):
    code = (
        "import sys; from backend.cli.main import main; status = main(sys.argv[1:]);"
        "sys.exit(9 if 'torch' in sys.modules or 'umap' in sys.modules else status)"
    )
    command = [sys.executable, "-c", code, "check", str(faulty), "--home", str(tmp_path)]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: bad.npz, losses, row 3")


def test_as_a_process_it_answers_on_the_output_and_reports_on_the_error_stream(upload, tmp_path):
    command = [sys.executable, "-m", "backend", "import", str(upload), "--json"]
    command += ["--home", str(tmp_path / "home")]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["n"] == N
    assert "100\u00a0%" in ended.stderr


def test_as_a_process_it_reads_what_is_shipped_within_its_memory(tmp_path):
    command = [sys.executable, "-m", "backend", "check", str(demo_path()), "--json"]
    command += ["--home", str(tmp_path / "home")]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


# Tables


def test_tables_align_whatever_the_script():
    table = aligned([["東京", 12.5], ["e\u0301te\u0301", None]], ["city", "loss"])
    assert table.splitlines() == ["city  loss", "東京  12.5", "e\u0301te\u0301   –"]
    numbers = aligned([["a", 5], ["b", 1234]], ["x", "n"])
    assert numbers.splitlines() == ["x      n", "a      5", "b  1,234"]
    assert aligned([]) == ""


def test_cells_are_one_short_line_and_cannot_steer_a_terminal():
    assert shown("a\n b") == "a b"
    assert shown("\x1b[2J") == "�[2J"
    assert shown("x" * 80) == "x" * 59 + "…"
    assert (shown(float("nan")), shown(True), shown(1234567)) == ("–", "yes", "1,234,567")
    assert printable("a\n\tb\x07") == "a\n\tb�"


def test_json_holds_no_nan_and_no_arrays():
    table = pd.DataFrame({"a": [1.5, np.nan]})
    mixed = {1: np.float32(0.5), "t": table, "v": np.arange(2), "i": float("inf"), "p": Path("x")}
    expected = {"1": 0.5, "t": [{"a": 1.5}, {"a": None}], "v": [0, 1], "i": None, "p": "x"}
    assert plain(mixed) == expected


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write_file(tmp_path / "taken", b"data")
    with pytest.raises(TypeError):
        write_file(tmp_path / "unfinished", "text where bytes belong")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    write_file(tmp_path / "new", b"one")
    assert write_file(tmp_path / "new", b"two").read_bytes() == b"two"


# Layers


@pytest.fixture
def layered(tmp_path):
    """The hard examples stand apart in the layer ``deep`` only."""
    random = np.random.default_rng(2)
    deep = random.normal(size=(N, 5)).astype(np.float32)
    deep[:PLANTED] = 4 + random.normal(size=(PLANTED, 5)) * 0.1
    flat = random.normal(size=(N, 4)).astype(np.float32)
    return write(tmp_path / "layered.npz", embeddings=flat, layers={"deep": deep})


def hits(out):
    with np.load(out) as file:
        if not len(file["weights"]):
            return 0  # in noise no region stands out
        return int((np.argsort(-file["weights"][0])[:PLANTED] < PLANTED).sum())


def test_fit_and_regions_search_the_layer(layered, home, tmp_path, capsys):
    out = tmp_path / "r.npz"
    size = str(PLANTED)
    for command in (["fit", "--spotlights", "1", "--size", size], ["regions", "--regions", "1"]):
        found = {}
        for layer in ("", "deep"):
            name, *more = command
            arguments = [name, str(layered), *more, "--layer", layer, "--out", str(out), "--json"]
            assert main(arguments) == 0
            assert json.loads(capsys.readouterr().out)["layer"] == layer
            found[layer] = hits(out)
        assert found["deep"] >= 8 > 4 > found[""]


def test_compare_and_hypothesis_use_the_layer(layered, home, capsys):
    tables = {}
    for layer in ("", "deep"):
        arguments = ["compare", str(layered), "--methods", "spotlights", "--groups", "1"]
        assert main([*arguments, "--layer", layer, "--json"]) == 0
        tables[layer] = json.loads(capsys.readouterr().out)["table"][0]["weighted_loss"]
    assert tables["deep"] > tables[""]
    rule = f"near e000 top {PLANTED}"
    arguments = ["hypothesis", str(layered), "--rule", rule, "--json", "--used", "id = e199"]
    losses = {}
    for layer in ("", "deep"):
        assert main([*arguments, "--layer", layer]) == 0
        losses[layer] = json.loads(capsys.readouterr().out)["tested"]["matching_loss"]
    assert losses["deep"] > 3 > losses[""]


def test_an_unknown_layer_is_refused_with_the_known_ones(layered, upload, home, capsys):
    assert main(["regions", str(layered), "--layer", "conv"]) == 2
    assert "no layer 'conv' in bundle 'layered'. Its layers: 'deep'" in capsys.readouterr().err
    assert main(["regions", str(upload), "--layer", "conv"]) == 2
    assert "none besides the embeddings" in capsys.readouterr().err
    assert main(["check", str(layered)]) == 0
    assert "deep (5 dimensions)" in capsys.readouterr().out
