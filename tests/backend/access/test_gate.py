"""Who may do what: role and sharing against right, and every method of the store against both."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from backend.access import EVERYBODY, NOBODY, Gate, GuardedStore, Person, Right, person_of
from backend.access.guarded import CLOSED, RIGHTS
from backend.bundle import import_bundle, remove_bundle, write_bundle
from backend.core.errors import AccessError, InputError
from backend.store import Author, Store
from tests import postgres

KEY, MAIL = "@me", "me@example.org"
NONE, LOOK, TAG, OWN, ADMIN = Right

ROLES = {
    "everybody": EVERYBODY,
    "nobody": NOBODY,
    "reader": Person(KEY, "Me", MAIL, "reader"),
    "member": Person(KEY, "Me", MAIL, "member"),
    "unverified": Person(KEY, "Me", "", "member"),
    "admin": Person(KEY, "Me", MAIL, "admin"),
}

SHARING = {
    # Owner, grants, and what each role may then do.
    "own": (KEY, {}, {"reader": LOOK, "member": OWN, "unverified": OWN}),
    "private": ("@other", {}, {}),
    "look by key": ("@other", {KEY: "look"}, {"reader": LOOK, "member": LOOK, "unverified": LOOK}),
    "tag by key": ("@other", {KEY: "tag"}, {"reader": LOOK, "member": TAG, "unverified": TAG}),
    "tag by mail": ("@other", {MAIL: "tag"}, {"reader": LOOK, "member": TAG}),
    "another's": ("@other", {"@third": "tag", "x@example.org": "tag"}, {}),
    "open": ("@other", {"*": "look"}, {"reader": LOOK, "member": LOOK, "unverified": LOOK}),
    "the most counts": ("@other", {"*": "look", MAIL: "tag"}, {"reader": LOOK, "member": TAG, "unverified": LOOK}),
    "nobody's": ("", {}, {"reader": LOOK, "member": TAG, "unverified": TAG}),
    "of a typed name": ("me", {}, {"reader": LOOK, "member": TAG, "unverified": TAG}),
    "removed": (KEY, {"*": "tag"}, {}),
    "never there": (None, {"*": "tag"}, {}),
}  # fmt: skip


@pytest.fixture(scope="module", params=postgres.KINDS)
def kept(request):
    with postgres.chosen(request) as url:
        yield url


@pytest.fixture(scope="module")
def there(tmp_path_factory, kept):
    """A home with a bundle in each state of sharing, and the gate to it."""
    home = tmp_path_factory.mktemp("access") / "home"
    store = Store(home=home)
    bundles = {}
    for number, (state, (owner, grants, _)) in enumerate(SHARING.items(), 1):
        digest = f"{number:064x}"
        if owner is not None:
            rows = {"embeddings": np.eye(3) * number, "losses": np.arange(3.0)}
            path = write_bundle(home.parent / f"{number}.npz", **rows)
            digest = import_bundle(path, home, owner=owner, name=state).digest
        for named, right in grants.items():
            store.share(digest, named, right, author="test")
        if state == "removed":
            remove_bundle(digest, home)
        bundles[state] = digest
    yield Gate(store, home), store, bundles
    store.close()


@pytest.mark.parametrize("state", SHARING)
@pytest.mark.parametrize("role", ROLES)
def test_role_and_sharing_make_the_right_which_every_method_of_the_store_asks_for(
    there, role, state
):
    gate, store, bundles = there
    person, digest = ROLES[role], bundles[state]
    right = {"everybody": OWN, "admin": ADMIN}.get(role, SHARING[state][2].get(role, NONE))
    assert gate.right(person, digest) == right == gate.right(person, f"{digest}:train")
    listed = right > NONE and state not in ("removed", "never there")
    assert (digest in {one.digest for one in gate.bundles(person)}) is listed
    back = {one.info.digest for one in gate.removed(person)}
    assert back == (set() if role in ("reader", "nobody") else {bundles["removed"]})
    guarded = GuardedStore(store, gate, person)
    for name, needs in RIGHTS.items():
        # A call with nothing but bundles fails for want of arguments, once it has been let in.
        given = {one: [digest] if one == "among" else digest for one in needs}
        needed = max(needs.values())
        missing = {
            one: None
            for one, told in inspect.signature(getattr(Store, name)).parameters.items()
            if told.default is told.empty and one not in ("self", *needs, "author")
        }
        refused = False
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, name, lambda **asked: [])
            try:
                getattr(guarded, name)(**given, **missing)
            except AccessError as error:
                refused = True
                assert digest not in str(error) and (right > NONE or state not in str(error))
        assert refused is (right < needed), (name, needed)
    with pytest.raises(AttributeError, match="no row in RIGHTS"):
        guarded.erase("@me")


def test_every_method_of_the_store_has_a_row():
    methods = {name for name in dir(Store) if not name.startswith("_") and name not in CLOSED}
    assert methods == set(RIGHTS)
    for name, needs in RIGHTS.items():
        taken = set(inspect.signature(getattr(Store, name)).parameters)
        bundles = taken & {"bundle", "older", "origin", "among"}
        if name == "unlink_runs":
            bundles -= {"older"}  # which may be gone
        assert set(needs) == bundles, name


def test_a_task_reads_no_bundle_that_may_not_be_looked_at_and_readers_add_none(there):
    gate, _, bundles = there
    member, reader = ROLES["member"], ROLES["reader"]
    own, secret = bundles["own"], bundles["private"]
    gate.check_task(member, own, {"before": own, "job": "f" * 64, "owner": "", "rows": [1, 2]})
    for options in ({"before": secret}, {"a": [{"b": (secret,)}]}, {secret: 1}):
        with pytest.raises(AccessError, match="no such bundle that you may see"):
            gate.check_task(member, own, options)
        gate.check_task(EVERYBODY, own, options)
    gate.check_task(reader, own, {"seed": 0})
    for digest, options in (("", {"path": "x"}), (own, {"owner": ""})):
        with pytest.raises(AccessError, match="reader"):
            gate.check_task(reader, digest, options)
        with pytest.raises(AccessError):
            gate.check_task(NOBODY, digest, options)


def test_what_is_done_stands_under_the_name_of_who_does_it(there):
    gate, store, bundles = there
    mine = GuardedStore(store, gate, ROLES["member"])
    assert mine.tag(bundles["own"], ["x"], "t").author_key == KEY
    with pytest.raises(AccessError, match="name of somebody else"):
        mine.tag(bundles["own"], ["x"], "t", author=Author("Ada", "@a"))
    with pytest.raises(AccessError, match="name of somebody else"):
        mine.undo(bundles["own"], "local")
    assert mine.undo(bundles["own"]).author == "Me"
    # Whom else it is shared with is for the owner.
    shared = [event.kind for event in mine.history(bundles["the most counts"])]
    assert "sharing" not in shared
    assert "sharing" in [
        event.kind
        for event in GuardedStore(store, gate, ROLES["admin"]).history(bundles["the most counts"])
    ]
    with pytest.raises(AccessError, match="log of all bundles"):
        mine.history()


ROWS = [
    # File of roles, claim that is named, claims, and the role.
    (None, None, {}, "member"),
    ("admin @k\nreader *", None, {}, "admin"),
    ("admin Ada@Example.org # ours\n\nreader *", None, {"email": "ada@example.ORG", "email_verified": True}, "admin"),
    ("admin ada@example.org\nreader *", None, {"email": "ada@example.org"}, "reader"),
    ("admin @other", None, {}, "member"),
    (None, "roles", {"roles": ["x", "reader", "admin"]}, "admin"),
    (None, "roles", {"roles": "member"}, "member"),
    (None, "roles", {"roles": ["boss"]}, "reader"),
    (None, "roles", {}, "reader"),
    ("reader @k", "roles", {"roles": "admin"}, "reader"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "claim", "claims", "role"), ROWS)
def test_roles_come_from_a_file_or_a_claim(tmp_path, monkeypatch, file, claim, claims, role):
    if file is not None:
        (tmp_path / "roles").write_text(file)
        monkeypatch.setenv("ERRORSCOPE_ROLES", str(tmp_path / "roles"))
    if claim is not None:
        monkeypatch.setenv("ERRORSCOPE_ROLE_CLAIM", claim)
    found = person_of("@k", "Ada", claims)
    assert found.role == role and found.mail == (
        "ada@example.org" if "email_verified" in claims else ""
    )


@pytest.mark.parametrize(
    ("text", "match"), [("boss @k", "line 1"), ("admin", "line 1"), (None, "cannot be read")]
)
def test_roles_that_cannot_be_read_let_nobody_in(tmp_path, monkeypatch, text, match):
    if text is not None:
        (tmp_path / "roles").write_text(text)
    monkeypatch.setenv("ERRORSCOPE_ROLES", str(tmp_path / "roles"))
    with pytest.raises(InputError, match=match):
        person_of("@k", "Ada", {})
