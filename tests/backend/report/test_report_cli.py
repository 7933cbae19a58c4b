"""The commands report, hypothesis and compare."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from backend.bundle import write_bundle
from backend.cli.main import main
from backend.cli.report import whoami
from backend.store import Store
from backend.tasks import TASKS
from tests.bundles import planted


@pytest.fixture
def upload(tmp_path):
    fields = planted(300)
    hard = fields.pop("planted")
    examples = pd.DataFrame(
        {
            "id": [f"e{row}" for row in range(300)],
            "season": np.where(hard, "winter", "summer"),
        }
    )
    return write_bundle(tmp_path / "run.npz", **fields, examples=examples)


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Run a command: (exit status, what it said, errors)."""
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)

    def command(*arguments):
        status = main([str(one) for one in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_a_report_is_written_from_a_search_or_from_a_file(run, upload, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS["assess"].defaults, "n_permutations", 19)
    page, card, regions = (tmp_path / name for name in ("r.html", "r.md", "r.npz"))
    search = ("--spotlights", 3, "--size", 20)
    status, said, _ = run("report", upload, "--out", page, "--markdown", card, *search)
    assert status == 0
    assert f"Written to {page} and {card}." in said
    assert page.read_text().count("<section>") == 3
    assert "Held-out × base" in card.read_text()
    with pytest.raises(SystemExit):
        run("report", upload, "--out", page, "--size", 20)
    assert run("fit", upload, "--out", regions, "--size", 20, "--spotlights", 2)[0] == 0
    status, said, _ = run("report", upload, "--out", page, "--regions", regions, "--json")
    assert [one["region"] for one in json.loads(said)["regions"]] == [1, 2]
    assert "were not tested on other" in page.read_text()


def test_a_hypothesis_is_tested_kept_listed_exported_and_deleted(run, upload, tmp_path):
    status, said, _ = run("hypothesis", upload, "--rule", "season = winter", "--sentence", "Snow")
    assert status == 0
    assert said.startswith("Supported. The mean loss is ")
    told = json.loads(
        run(
            "hypothesis", upload, "--rule", "id contains e1", "--used", "season = summer", "--json"
        )[1]
    )
    assert told["tested"]["verdict"] == "too few examples"
    assert told["tested"]["n"] == 30
    assert [card["sentence"] for card in told["hypotheses"]] == ["Snow", "id contains e1"]
    assert told["hypotheses"][1]["p"] is None
    for name in ("cards.csv", "cards.json"):
        assert run("hypothesis", upload, "--out", tmp_path / name)[0] == 0
    assert pd.read_csv(tmp_path / "cards.csv")["sentence"].tolist() == ["Snow", "id contains e1"]
    assert len(json.loads((tmp_path / "cards.json").read_text())["hypotheses"]) == 2
    key = told["tested"]["key"]
    status, said, _ = run("hypothesis", upload, "--delete", key)
    assert status == 0
    assert "Snow" in said
    assert key not in said
    store = Store()
    store.undo(told["bundle"], whoami())
    store.close()
    assert key in run("hypothesis", upload)[1]


def test_an_empty_list_says_how_to_start(run, upload):
    assert "No hypothesis is written down yet" in run("hypothesis", upload)[1]


def test_a_rule_that_cannot_be_read_is_shown_with_a_caret(run, upload, tmp_path):
    status, said, errors = run("hypothesis", upload, "--rule", "seson = winter")
    assert (status, said) == (2, "")
    lines = errors.splitlines()
    assert lines[0].endswith("there is no column 'seson'. Did you mean 'season'?")
    assert lines[2] == "  ^"
    assert run("report", upload, "--out", tmp_path / "no" / "r.html")[0] == 2
    assert run("hypothesis", upload, "--delete", "nothing")[0] == 2


@pytest.mark.parametrize(
    "arguments", [("--used", "loss > 1"), ("--rule", "loss > 1", "--delete", "k")]
)
def test_options_that_do_not_go_together_are_refused(run, upload, arguments, capsys):
    with pytest.raises(SystemExit):
        run("hypothesis", upload, *arguments)
    assert "goes with --rule" in (said := capsys.readouterr().err) or "does not go with" in said


def test_methods_are_compared_in_one_table(run, upload, tmp_path):
    out = tmp_path / "table.csv"
    status, said, _ = run(
        "compare", upload, "--methods", "highest_loss", "error_clusters", "mixture", "--groups", 2,
        "--size", 20, "--out", out,
    )  # fmt: skip
    assert status == 0
    table = pd.read_csv(out)
    assert set(table["method"]) == {"highest_loss", "error_clusters", "mixture"}
    assert "error rate of others" in said and "not distinguishable from chance" in said
    assert {"members", "kept_aside", "loss_low", "loss_high"} <= set(table)
    assert "defined by the loss" in said
    told = json.loads(run("compare", upload, "--methods", "highest_loss", "--json")[1])
    assert told["table"][0]["method"] == "highest_loss"
    status, _, errors = run("compare", upload, "--methods", "magic")
    assert status == 2
    assert "must be one of" in errors
