"""What is said to whoever shares a bundle with a name they typed."""

from __future__ import annotations

import pytest

from backend.access import shared_words
from backend.store import grantee_of

OWN = "ada@example.org"
ENDS = "It ends in @{}, your own in @example.org."


@pytest.mark.parametrize(
    ("named", "own", "doubt"),
    [
        ("bob@example.org", OWN, ""),
        ("bob@exmaple.org", OWN, ENDS.format("exmaple.org")),
        ("bob@example.og", OWN, ENDS.format("example.og")),
        ("bob@exmaple.org", "", ""),
        ("bob@mail.university.edu", OWN, ""),
        ("bob@exampleorg", OWN, "It ends in @exampleorg, without a dot."),
    ],
)
def test_a_doubtful_address_is_told_from_what_whoever_shares_knows(
    named: str, own: str, doubt: str
) -> None:
    said = shared_words(grantee_of(named), own=own)
    assert said.startswith("It waits for whoever signs in with exactly this address. Whether ")
    assert said.endswith(doubt or "look at its spelling.") and said.count(". ") == 1 + bool(doubt)


def test_a_key_is_said_to_wait_and_all_who_sign_in_are_none() -> None:
    assert shared_words("@1f").startswith("It waits for whoever has exactly this key. ")
    assert shared_words("*", own=OWN) == ""
