"""Everything that is stored moves to another database and is the same there."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from backend.cli.main import main
from backend.core.errors import InputError, StoreError
from backend.store import Author, SignIn, Store, move_database
from backend.store.database import metadata
from tests import postgres

BUNDLE, OTHER = "ab" * 32, "cd" * 32
ADA = Author("Ada Lövelace", "@a1")


def filled(store):
    region = {"kind": "region", "center": [0.1, -2.5e-7], "precision": 1e300}
    store.tag(BUNDLE, ["e0", "é", "靴", "'; --"], "x", author=ADA, source=region)
    store.tag(BUNDLE, [f"e{row}" for row in range(3000)], "many", author="Bob", operation="k-1")
    store.undo(BUNDLE, "Bob")
    store.write_setting(BUNDLE, "nul", "\0 in JSON", author=ADA)
    for step in range(450):  # more than is held in memory
        store.tag(OTHER, [f"e{step}"], f"t{step % 7}", author=ADA)
    store.share(BUNDLE, "bob@example.org", "tag", author=ADA)
    store.share(BUNDLE, "*", "look", author=ADA)
    store.holds(SignIn("s1", "@a1", "Ada", 2e9 + 0.1 + 0.2), longest_s=1e12)
    store.holds(SignIn("S2", "@b1", "Bob", 2e9), longest_s=1e12)
    store.end_sign_ins_of("@b1", author=ADA)


def everything(url):
    """All rows of all tables, as SQL gives them."""
    with closing(Store(url)) as store, store._reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
        }


def test_there_and_back_everything_is_the_same(cluster, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    file, back = (f"sqlite:///{tmp_path}/{one}.sqlite" for one in ("errorscope", "back"))
    with closing(Store(home=tmp_path)) as store:
        filled(store)
        tags = store.tags(BUNDLE)
    told = []
    with postgres.fresh(cluster) as url:
        moved = move_database(url, home=tmp_path, progress=lambda share, said: told.append(share))
        assert told == sorted(told) and told[-1] == 1.0 and len(told) > 5
        assert moved.rows == {"events": 459, "grants": 2, "sign_ins": 3}
        assert everything(url) == everything(file)
        again = move_database(back, url)
        assert again.digest == moved.digest and everything(back) == everything(file)
        with closing(Store(url)) as store, closing(Store(back)) as other:
            for one in (store, other):
                assert one.tags(BUNDLE).equals(tags)
                assert one.tag(BUNDLE, ["new"], "x").seq == 460
                assert one.redo(BUNDLE, "Bob") is not None
        for target, origin, said in (
            (url, None, "must be empty: got 466 rows"),
            (url, url, "both are the database"),
            (back, back, "both are the database"),
            (url, f"sqlite:///{tmp_path}/none.sqlite", "there is no database"),
        ):
            with pytest.raises(InputError, match=said):
                move_database(target, origin, tmp_path)
        assert "secret" not in moved.target


def test_a_move_that_breaks_off_leaves_the_target_empty(cluster, tmp_path, monkeypatch):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    with closing(Store(home=tmp_path)) as store:
        filled(store)

    def stop(share, said):
        if share > 0.5:
            raise KeyboardInterrupt

    with postgres.fresh(cluster) as url:
        with pytest.raises(KeyboardInterrupt):
            move_database(url, home=tmp_path, progress=stop)
        assert not any(everything(url).values())
        # Somebody who writes meanwhile is told so, and nothing is written that would stay behind.
        with closing(Store(home=tmp_path, wait_s=0.1)) as writer:
            said = []

            def write(share, message):
                if not said:
                    with pytest.raises(StoreError, match="is locked by another program") as caught:
                        writer.tag(BUNDLE, ["late"], "x")
                    said.append(caught.value)

            move_database(url, home=tmp_path, progress=write)
        assert len(said) == 1
        # What was written reads otherwise: nothing is kept.
        with postgres.fresh(cluster) as another:
            Store(another).close()
            name = another.rpartition("/")[2]
            cluster.sql(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN NEW.author := 'Eve'; RETURN NEW; END$$",
                "CREATE TRIGGER spoils BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION spoil()",
                database=name,
            )
            with pytest.raises(StoreError, match="reads differently"):
                move_database(another, home=tmp_path)
            assert not any(everything(another).values())


def test_the_command_moves_and_says_what_comes_next(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    with closing(Store(home=tmp_path)) as store:
        store.tag(BUNDLE, ["a"], "x")
    with postgres.fresh(cluster) as url:
        assert main(["move-database", "--to", url, "--home", str(tmp_path)]) == 0
        said = capsys.readouterr()
        assert "1 row moved" in said.out and "ERRORSCOPE_DATABASE" in said.out
        assert "Copying" in said.err and postgres.PASSWORD not in said.out + said.err
        assert main(["move-database", "--to", url, "--home", str(tmp_path)]) == 2
        assert "must be empty" in capsys.readouterr().err
