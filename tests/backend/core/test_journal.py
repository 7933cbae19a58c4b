"""Lines about what happens: their form, and that nobody's words get into one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from backend.core import journal


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    held, level = list(journal.log.handlers), journal.log.level
    yield
    journal.log.handlers[:] = held
    journal.log.setLevel(level)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"task": "regions", "seconds": 1.23456, "peak_bytes": 7}, {"task": "regions", "seconds": 1.235, "peak_bytes": 7}),
        ({"sign_in": True, "reason": None}, {"sign_in": True}),
        ({"digest": "0123456789abcdef" * 4 + "-somebody"}, {"digest": "0123456789ab"}),
        ({"task": "ada@example.org"}, {"task": "?"}),
        ({"task": 'age > 30 and city = "Bonn"'}, {"task": "?"}),
        ({"reason": "ValueError\n{}"}, {"reason": "?"}),
    ],
)  # fmt: skip
def test_a_line_holds_words_numbers_and_short_digests_alone(
    facts: dict[str, str | float | None],
    told: dict[str, str | float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal.begin()
    journal.begin()  # once is enough
    monkeypatch.setenv("ERRORSCOPE_LOG", "json")
    journal.tell("job started", **facts)
    monkeypatch.delenv("ERRORSCOPE_LOG")
    journal.tell("job started", **facts)
    as_json, plain = capsys.readouterr().err.splitlines()
    found = json.loads(as_json)
    assert found.pop("time")[-6:] == "+00:00"
    assert found == {"event": "job started", **told}
    assert plain.split(" ", 1)[1] == " ".join(
        ("job started", *(f"{k}={v}" for k, v in told.items()))
    )


def test_nothing_is_written_before_a_server_begins(capsys: pytest.CaptureFixture[str]) -> None:
    journal.log.handlers[:] = []
    journal.log.setLevel(logging.NOTSET)
    journal.tell("job started")
    assert capsys.readouterr().err == ""
