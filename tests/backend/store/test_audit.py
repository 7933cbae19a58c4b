"""What was done with bundles, by whom: sharing, taking back what others did, erasing a person."""

from __future__ import annotations

import pytest

from backend.core.errors import InputError
from backend.store import Author, SignIn, Store, grantee_of

ADA, BOB, ROOT = Author("Ada", "@a1"), Author("Bob", "@b1"), Author("Root", "@r1")
D, OTHER = "d" * 64, "e" * 64


@pytest.fixture
def store(tmp_path, database):
    kept = Store(home=tmp_path)
    yield kept
    kept.close()


def test_what_is_shared_is_the_most_that_was_granted_and_an_event(store):
    store.share(D, " Bob@Example.org ", "look", author=ADA)
    store.share(D, "@b1", "tag", author=ADA)
    store.share(OTHER, "*", "look", author=ADA)
    bobs = ("@b1", "mail:bob@example.org", "*")
    assert store.granted(bobs) == {D: "tag", OTHER: "look"} and store.granted(bobs, D) == {D: "tag"}
    assert store.granted(("@c1", "*")) == {OTHER: "look"} and store.granted(()) == {}
    store.share(D, "@b1", "none", author=ADA)
    assert store.grants(D) == {"mail:bob@example.org": "look"}
    assert [event.summary for event in store.history(D)] == [
        "no longer shares it with @b1", "lets @b1 look and tag", "lets bob@example.org look",
    ]  # fmt: skip
    for wrong in (
        "", "bob", "@", "a b@c", "@a b", "x@y@z", "bob@example,org", "bob@example..org", "bob@example.",
        ".bob@example.org", "bob.@example.org", "bob@-example.org", "bob;ada@example.org", "<bob@example.org>",
        "a@" + "b" * 201,
    ):  # fmt: skip
        with pytest.raises(InputError, match="shared"):
            store.share(D, wrong, "look", author=ADA)
    assert grantee_of("Bob.O'Neil+x@mail.exämple-1.org") == "mail:bob.o'neil+x@mail.exämple-1.org"
    assert grantee_of("bob@localhost") == "mail:bob@localhost"
    with pytest.raises(InputError, match="right must be"):
        store.share(D, "@b1", "own", author=ADA)


def test_what_happens_around_a_bundle_changes_nothing_of_it(store):
    tagged = store.tag(D, ["x"], "t", author=ADA)
    store.note(D, "exported", author=BOB, what="the flagged rows")
    store.note(D, "removed", author=ADA)
    assert store.last_seq(D) == tagged.seq and len(store.events(D)) == 1
    assert store.undoable(D, ADA) is not None and store.undoable(D, BOB) is None
    assert store.people(D) == {"@a1": "Ada", "@b1": "Bob"}
    told = [event.summary for event in store.history(D)]
    assert told == ["removed the bundle", "took out the flagged rows", "tagged 1 example 't'"]
    found = {
        "bob": store.history(D, words="BOB flagged"),
        "person": store.history(D, person="@b1"),
        "kind": store.history(D, kind="exported"),
    }
    assert {tuple(event.seq for event in events) for events in found.values()} == {(2,)}
    assert len(store.history(D, limit=2)) == 2 and store.history(OTHER) == []
    with pytest.raises(InputError, match="kind must be"):
        store.note(D, "tag", author=ADA)


def test_the_past_of_a_bundle_has_its_training_examples_which_can_be_taken_back_too(store):
    store.tag(D, ["x"], "t", author=ADA)
    tagged = store.tag(f"{D}:train", ["a", "b"], "dusty", author=BOB)
    store.tag(f"{D}:trainer", ["a"], "elsewhere", author=ROOT)
    told = [event.summary for event in store.history(D)]
    assert told == ["tagged 2 training examples 'dusty'", "tagged 1 example 't'"]
    assert store.people(D) == {"@a1": "Ada", "@b1": "Bob"}
    store.overrule(tagged.bundle, tagged.seq, author=ROOT)
    assert store.tag_counts(f"{D}:train") == {} and store.tag_counts(D) == {"t": 1}
    assert [event.undone for event in store.history(D)] == [False, True, False]
    assert store.erase("@b1", author=ROOT).bundles == (D,)


def test_what_somebody_did_can_be_overruled_which_is_logged_as_the_others(store):
    first = store.tag(D, ["x", "y"], "t", author=ADA)
    second = store.tag(D, ["z"], "u", author=ADA)
    done = store.overrule(D, first.seq, author=ROOT)
    assert (done.author_key, done.target) == ("@r1", first.seq)
    assert done.summary == "undid, another person's: tagged 2 examples 't'"
    assert store.tag_counts(D) == {"u": 1}
    # Neither can Ada bring it back as if it were hers, nor is it in anybody's way.
    assert store.redoable(D, ADA) is None and store.undoable(D, ADA).seq == second.seq
    assert store.undoable(D, ROOT) is None and store.redoable(D, ROOT) is None
    with pytest.raises(InputError, match="taken back already"):
        store.overrule(D, first.seq, author=ROOT)
    store.overrule(D, first.seq, author=ROOT, back=True)
    assert store.tag_counts(D) == {"t": 2, "u": 1}
    assert [store.undo(D, ADA).target, store.undo(D, ADA).target] == [second.seq, first.seq]
    for wrong in (done.seq, 10_000):
        with pytest.raises(InputError, match="no change with the number"):
            store.overrule(D, wrong, author=ROOT)
    with pytest.raises(InputError, match="no change with the number"):
        store.overrule(OTHER, first.seq, author=ROOT)


def test_an_erased_person_is_a_pseudonym_everywhere_and_the_events_stay(store, tmp_path):
    beside = Store(home=tmp_path)  # another program that read the names before
    sign_in = SignIn("s1", "@a1", "Ada", 4e9)
    assert store.holds(sign_in, longest_s=1e12)
    tagged = store.tag(D, ["x"], "t", author=ADA)
    store.share(D, "ada@example.org", "look", author=BOB)
    store.share(D, "@a1", "look", author=BOB)
    store.overrule(D, tagged.seq, author=BOB)
    store.overrule(D, tagged.seq, author=BOB, back=True)
    assert beside.tags(D)["author"].tolist() == ["Ada"]
    erased = store.erase("@a1", mail="Ada@example.org", author=ROOT)
    assert erased.pseudonym.key.startswith("@erased-") and erased.bundles == (D,)
    for one in (store, beside):
        assert one.tags(D)["author"].tolist() == [erased.pseudonym.name]
    assert store.undoable(D, erased.pseudonym).seq == tagged.seq
    past = store.history()
    assert len(past) == 8 and past[0].kind == past[1].kind == "erasure"
    told = repr([(event.author, event.author_key, event.payload) for event in past])
    told += repr([(one.key, one.name) for one in store.sign_ins()])
    assert "Ada" not in told and "@a1" not in told and "ada@" not in told.casefold()
    assert store.granted(["@a1", "mail:ada@example.org"]) == {}
    assert not store.holds(sign_in, longest_s=1e12)
    beside.close()


def test_signing_in_and_out_are_events(store):
    one = SignIn("s1", "@a1", "Ada", 4e9)
    for _ in range(2):
        assert store.holds(one, longest_s=1e12)
    store.end_sign_in(one)
    store.end_sign_in(one)
    store.end_sign_ins_of("@a1", author="root")
    told = [(event.author, event.summary) for event in store.history("server")]
    assert told == [("root", "signed out @a1"), ("Ada", "signed out"), ("Ada", "signed in")]


def test_a_name_inside_of_texts_is_told_and_replaced_only_on_request(store, tmp_path):
    eve, ada = Author("Ève  Ny", "@e1"), {"author": "Ada", "author_key": "@a1", "answer": "yes"}
    source = {"kind": "sharpened", "answers": [ada, {**ada, "author_key": "@b1"}]}
    store.tag(D, ["x", "y"], "ask ADA", author=BOB, source=source)
    store.untag(D, ["y"], "ask ADA", author=BOB)
    store.tag(D, ["x"], "Adamant", author=ADA)
    store.set_aside(D, ["x"], "known", name="r", note="see ada@x.org, or Eve", author=ADA)
    card = {"sentence": "ève ny said so", "rule": "tag = 'ask ADA'"}
    store.write_hypothesis(D, "k", card, author=eve)
    beside = Store(home=tmp_path)
    assert beside.tag_counts(D) == {"ask ADA": 1, "Adamant": 1}
    told = store.erase("@a1", mail="ada@x.org", author=ROOT)
    # Who said what inside of a record is no text that somebody wrote: it goes at once.
    answers = store.events(D, kind="tag")[-1].source["answers"]
    assert answers[0] == {**ada, "author": told.pseudonym.name, "author_key": told.pseudonym.key}
    assert answers[1] == {**ada, "author_key": "@b1"}
    kinds = [event.kind for event in told.texts]
    assert kinds == ["tag", "untag", "known", "hypothesis"] and told.replaced == 0
    assert told.searched == ("Ada", "ada@x.org")
    again = store.erase(told.pseudonym.key, spellings=told.searched, also_text=True, author=ROOT)
    name = again.pseudonym.name
    assert again.pseudonym == told.pseudonym and again.replaced == 4 and again.texts == ()
    for one in (store, beside):
        assert one.tag_counts(D) == {f"ask {name}": 1, "Adamant": 1}
    assert store.known_regions(D)[0].note == f"see {name}, or Eve"
    card = store.hypotheses(D)[0].payload["card"]
    assert card["rule"] == f"tag = 'ask {name}'"
    done = store.erase("@nobody", spellings=["Ève Ny"], also_text=True, author=ROOT)
    assert store.hypotheses(D)[0].payload["card"]["sentence"] == f"{done.pseudonym.name} said so"
    beside.close()
