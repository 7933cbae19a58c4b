"""One program at a time: by files on one machine, by the database where machines hold files apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend.bundle import import_bundle, list_bundles
from backend.bundle.home import STAGING
from backend.locks import Lock, turns
from tests.bundles import npz, planted

PROJECT = Path(__file__).resolve().parents[3]

HOLDER = """
import sys
from pathlib import Path
from backend.locks import Lock
lock = Lock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


def holder(path):
    """Another program that holds a lock."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout.readline() == "True\n"
    return program


def ended(program):
    program.kill()
    program.communicate()


def test_a_lock_is_one_programs_until_it_lets_go_or_ends(tmp_path, database):
    lock, other = Lock(tmp_path / "a" / "x"), Lock(tmp_path / "a" / "y")
    (tmp_path / "a").mkdir()
    program = holder(tmp_path / "a" / "x")
    assert not lock.acquire() and other.acquire()
    other.release()
    program.stdin.write("on\n")
    program.stdin.flush()
    assert program.stdout.readline() == "released\n"
    with lock:
        assert not Lock(tmp_path / "a" / "x").acquire()
    ended(program)
    program = holder(tmp_path / "a" / "x")
    assert not lock.acquire()
    ended(program)
    with lock:
        pass


def test_machines_whose_files_hold_nobody_off_are_held_off_by_the_database(
    tmp_path, cluster, monkeypatch
):
    """As with NFS where each machine holds locks of its own: the same name at another place."""
    here, there = tmp_path / "here" / "locks" / "x", tmp_path / "there" / "locks" / "x"
    here.parent.mkdir(parents=True)
    there.parent.mkdir(parents=True)
    monkeypatch.delenv("ERRORSCOPE_DATABASE", raising=False)
    program = holder(there)
    assert Lock(here).acquire()  # files alone
    ended(program)
    monkeypatch.setenv("ERRORSCOPE_DATABASE", cluster.emptied())
    program = holder(there)
    lock = Lock(tmp_path / "here" / "locks" / "x")
    for held in (Lock(here), lock):
        assert not held.acquire()
    ended(program)
    with lock:
        assert turns.turns().take(1)
        turns.turns().leave(1)
    # Where the database is out of reach, files decide.
    monkeypatch.setenv("ERRORSCOPE_DATABASE", "postgresql://u:p@127.0.0.1:1/none")
    with lock:
        assert not Lock(here).acquire()


def test_an_import_that_runs_elsewhere_is_not_swept_and_a_killed_one_is(tmp_path, database):
    home = tmp_path / "home"
    bundles = home / "bundles"
    running, killed = (bundles / f"{STAGING}{one}" for one in ("running", "killed"))
    for folder in (running, killed):
        folder.mkdir(parents=True)
    program = holder(running / ".lock")
    ended(holder(killed / ".lock"))
    fields = planted(60, 4, seed=1)
    fields.pop("planted")
    (tmp_path / "run.npz").write_bytes(npz(**fields))
    import_bundle(tmp_path / "run.npz", home)
    assert len(list_bundles(home)) == 1
    assert running.is_dir() and not killed.exists()
    ended(program)
    with pytest.raises(ValueError, match="closed"):
        program.stdin.write("")
