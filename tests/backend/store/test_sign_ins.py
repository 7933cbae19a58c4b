"""Which sign-ins hold: new ones, old ones, ended ones, and copies of ended ones."""

from __future__ import annotations

import json
import time

import pytest

from backend.cli.main import main
from backend.core.errors import InputError
from backend.store import SignIn, Store

HOUR = 3600.0


@pytest.fixture
def store(tmp_path, database):
    store = Store(home=tmp_path)
    yield store
    store.close()


def of(person: str, which: str, *, age: float = 60.0) -> SignIn:
    return SignIn(which, f"@{person}", person.title(), time.time() - age)


def holds(store: Store, sign_in: SignIn) -> bool:
    return store.holds(sign_in, longest_s=HOUR)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        # what becomes of: the tab's own cookie, a second sign-in, one never used, another person's
        (lambda store, one: None, (True, True, True, True)),
        (lambda store, one: store.end_sign_in(one), (False, True, True, True)),
        (lambda store, one: store.end_sign_ins_of("@ada"), (False, False, False, True)),
        (lambda store, one: store.end_sign_ins_of("@nobody"), (True, True, True, True)),
    ],
    ids=["nothing", "sign out", "all of one person", "a stranger"],
)
def test_what_ending_a_sign_in_ends(store, ending, expected):
    one, two, unused, other = of("ada", "1"), of("ada", "2"), of("ada", "3"), of("bob", "4")
    assert all(holds(store, seen) for seen in (one, two, other))
    ending(store, one)
    assert tuple(holds(store, each) for each in (one, two, unused, other)) == expected
    again = SignIn("5", "@ada", "Ada", time.time() + 1)  # whoever was put out may sign in anew
    assert holds(store, again)


def test_a_sign_in_ends_by_itself_and_is_remembered_by_another_process(store, tmp_path):
    old = of("ada", "old", age=HOUR + 5)
    assert not holds(store, old) and store.sign_ins() == []  # nothing is written for it
    new = of("ada", "new")
    assert holds(store, new)
    store.end_sign_in(new)
    other = Store(home=tmp_path)
    assert not holds(other, new)
    (kept,) = other.sign_ins()
    assert (kept.id, kept.name, kept.began) == ("new", "Ada", pytest.approx(new.began))
    first = kept.ended
    other.end_sign_in(new)  # a second time changes nothing
    assert other.sign_ins()[0].ended == first
    other.close()


def test_the_command_line_lists_people_and_puts_them_out(store, tmp_path, capsys):
    def run(*arguments: str) -> tuple[int, dict]:
        status = main(["sign-ins", "--home", str(tmp_path), "--json", *arguments])
        return status, json.loads(capsys.readouterr().out)

    assert run()[1]["sign_ins"] == []
    people = [of("ada", "1", age=90), of("ada", "2", age=80), of("bob", "3", age=70)]
    twin = SignIn("4", "@other", "Bob", time.time())
    assert all(holds(store, one) for one in [*people, twin])
    assert [one["name"] for one in run()[1]["sign_ins"]] == ["Bob", "Bob", "Ada", "Ada"]
    assert run("--end", "Ada")[1]["ended"] == 2
    assert not holds(store, people[0]) and holds(store, people[2])
    status, told = run("--end", "Bob")
    assert status == 2 and "2 people" in told["error"] and "@other" in told["error"]
    assert run("--end", "@other")[1]["ended"] == 1
    assert run("--end", "Zoe")[0] == 2


def test_what_cannot_be_stored_is_refused(store):
    with pytest.raises(InputError, match="must have 1 to 200 characters"):
        holds(store, SignIn("1", "@ada", "", time.time()))
