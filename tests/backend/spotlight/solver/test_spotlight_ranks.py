"""Processes that share a search: the same regions as one process, and no endless waiting."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.spotlight import find_spotlights
from backend.spotlight.solver import blocks, fast, rows
from backend.spotlight.solver.ranks import ALONE, meeting, own_device

ROOT = Path(__file__).resolve().parents[4]
# Each process reads only its rows of a memory-mapped file, does what the case says, and writes what
# came of it. Loading torch takes longer than searching: so whoever has loaded it once has a child
# for every run, and a run that ends its process ends the child.
SCRIPT = """
import json, os, sys, traceback
import numpy as np
from backend.core.errors import BackendError
from backend.spotlight.solver import blocks, fast, rows
from backend.spotlight.ranks_search import find_spotlights_on_ranks

folder, rank = sys.argv[1], int(os.environ["RANK"])
unit = blocks.UNIT

def leave(fraction, message):
    if fraction > 0:
        os._exit(7)

def work(run, cases):
    for number, case in enumerate(cases):
        blocks.UNIT = case.get("unit", unit)
        rows.RESIDENT_BYTES = case.get("resident", rows.RESIDENT_BYTES)
        for name, value in case.get("sampling", {}).items():
            setattr(fast, name, value)
        first, last = case["cuts"][rank], case["cuts"][rank + 1]
        if case.get("dies") == rank:
            os._exit(7)
        x = np.load(f"{folder}/x.npy", mmap_mode="r")[first:last]
        losses = np.load(f"{folder}/losses.npy", mmap_mode="r")[first:last] + case.get("shift", 0.0)
        counts = np.load(f"{folder}/counts.npy")[first:last] if case.get("counts") else None
        if case.get("narrow") == rank:
            x = x[:, :3]
        if case.get("broken") == rank:
            x = np.where(np.arange(len(x))[:, None] == 2, np.nan, x)
        out = f"{folder}/{run}-{number}-{rank}"
        os.environ["MASTER_PORT"] = str(case["port"])
        try:
            found = find_spotlights_on_ranks(
                x, losses, counts=counts, device="cpu", patience=case.get("patience", 60.0),
                progress=leave if case.get("leaves") == rank else None,
                **case["options"] | ({"seed": 9} if case.get("other") == rank else {}),
            )
        except BackendError as error:
            with open(out + ".txt", "w") as file:
                file.write(f"{type(error).__name__}: {error}")
            os._exit(3)  # as a failed process does: without taking leave
        np.savez(
            out, weights=found.weights, centers=found.centers, losses=found.weighted_losses,
            totals=found.total_weights, precisions=found.precisions,
        )

codes = {}
for run, cases in json.loads(sys.argv[2]).items():
    world = len(cases[0]["cuts"]) - 1
    if rank >= world:
        continue
    os.environ["WORLD_SIZE"] = str(world)
    child = os.fork()
    if not child:
        try:
            work(run, cases)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    codes[run] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(codes))
"""


def free_port() -> int:
    """A port below those that systems give out by themselves: nobody gets it until it is used."""
    while True:
        with socket.socket() as one, contextlib.suppress(OSError):
            port = random.randrange(20_000, 32_000)
            one.bind(("127.0.0.1", port))
            return port


N = 700
OPTIONS = {"size": 40, "n_spotlights": 2, "starts": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("ranks")
    rng = np.random.default_rng(3)
    x, losses = rng.normal(size=(N, 5)) + 3.0, rng.exponential(0.3, N)
    x[:60] = 0.5 * x[:60] + 4.0
    losses[:60] += 2.0
    order = rng.permutation(N)
    np.save(tmp_path / "x.npy", x[order].astype(np.float32))
    np.save(tmp_path / "losses.npy", losses[order])
    np.save(tmp_path / "counts.npy", rng.integers(0, 4, N).astype(float))
    return tmp_path


# Blocks of 192 rows of 5 numbers: no process has all, and rows near the borders move.
BLOCKS_OF_192 = 60
SHORT = {"size": 40, "n_spotlights": 2, "starts": 1, "max_steps": 6}
SEVERAL = OPTIONS | {"mode": "distinct", "n_spotlights": 3}
FLIPPED = OPTIONS | {"flip": True, "size": 0.1}
# Every kernel and shape, with and without counts; direction and mode change from one to the next.
# Where rows are counted, losses are below 0.
SEARCHES = [
    {
        "options": SHORT
        | {
            "kernel": kernel,
            "precision": shape,
            "flip": bool((number // 2 + number // 4) % 2),
            "mode": ("successive", "distinct")[(number + number // 2) % 2],
        },
        "counts": counted,
        "shift": -10.0 if counted else 0.0,
        "unit": BLOCKS_OF_192,
    }
    for number, (shape, kernel, counted) in enumerate(
        product(("spherical", "diagonal", "full"), ("gaussian", "squared_distance"), (False, True))
    )
]
SAMPLING = {
    "EXACT_NUMBERS": 0,
    "_SAMPLE_ROWS": 200,
    "_SCREEN_ROWS": 100,
    "_SAMPLE_MEMBERS": 10,
    "_SCREEN_MEMBERS": 5,
}
SPARING = {"unit": BLOCKS_OF_192, "sampling": SAMPLING, "resident": 0}
SPARING |= {"options": OPTIONS | {"n_spotlights": 3}}
DIAGONAL = SHORT | {"precision": "diagonal"}
LONG = {"kernel": "squared_distance", "precision": "diagonal", "starts": 1, "size": 40}
LONG |= {"n_spotlights": 2, "flip": True}
PATHS = [
    LONG,
    DIAGONAL | {"prepare": "standardise"},
    DIAGONAL | {"prepare": "pca", "components": 3},
    DIAGONAL | {"prepare": "projection", "components": 4, "seed": 2},
    DIAGONAL | {"prepare": "pca", "components": 1},
    SHORT | {"solver": "adam", "max_steps": 40},
    SHORT | {"solver": "adam", "max_steps": 40, "precision": "full", "flip": True},
]
FULL = OPTIONS | {"precision": "full"}
# What is run, and by how many: as many processes as there are parts between the cuts. Those of three
# come first, since the third has nothing else to do.
RUNS: dict[str, list[dict]] = {
    "no rows": [{"cuts": [0, 0, 90, N], "options": OPTIONS | {"n_spotlights": 1, "starts": 2}}],
    # Every third search by three processes, one of them without rows; the others by two.
    "by three": [one | {"cuts": [0, 290, 290, N]} for one in SEARCHES[::3]],
    "like one": [
        {"cuts": [0, 150, N]},
        {"cuts": [0, 350, N], "options": SEVERAL, "counts": True},
        {"cuts": [0, 350, N], "options": FLIPPED},
    ],
    "by two": [one | {"cuts": [0, 200, N]} for at, one in enumerate(SEARCHES) if at % 3],
    "sparing": [SPARING | {"cuts": [0, 290, N]}, SPARING | {"cuts": [0, 500, N], "counts": True}],
    "paths": [{"cuts": [0, 333, N], "unit": BLOCKS_OF_192, "options": one} for one in PATHS],
    "narrow": [{"cuts": [0, 300, N], "narrow": 1}],
    "other": [{"cuts": [0, 300, N], "other": 1}],
    "broken": [{"cuts": [0, 300, N], "broken": 1}],
    "dies": [{"cuts": [0, 300, N]}, {"cuts": [0, 300, N], "dies": 1, "patience": 2.0}],
    "leaves 0": [{"cuts": [0, 300, N], "leaves": 0, "options": FULL}],
    "leaves 1": [{"cuts": [0, 300, N], "leaves": 1, "options": FULL, "unit": BLOCKS_OF_192}],
}


@pytest.fixture(scope="module")
def ran(folder: Path) -> dict[str, list[int]]:
    """What every run ended with: the exit codes of its processes."""
    runs = {
        name: [{"options": OPTIONS, "port": free_port()} | case for case in cases]
        for name, cases in RUNS.items()
    }
    shared = os.environ | {
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(runs)]
    started = [
        subprocess.Popen(
            command,
            env=shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(3)
    ]
    try:
        told = [process.communicate(timeout=400) for process in started]
    finally:
        for process in started:
            process.kill()
    assert all(process.returncode == 0 for process in started), told
    codes = [json.loads(said) for said, _ in told]
    ended = {name: [one[name] for one in codes if name in one] for name in runs}
    assert {code for those in ended.values() for code in those} <= {0, 3, 7}, told
    return ended


def check_like_one(folder: Path, run: str, **tolerance: float) -> None:
    """Every process of every case of a run says what one process finds by itself."""
    for number, case in enumerate(RUNS[run]):
        options = case.get("options", OPTIONS)
        losses = np.load(folder / "losses.npy") + case.get("shift", 0.0)
        counts = np.load(folder / "counts.npy") if case.get("counts") else None
        one = find_spotlights(np.load(folder / "x.npy"), losses, counts=counts, **options)
        near = {"atol": 1e-5} | tolerance
        for rank in range(len(case["cuts"]) - 1):
            with np.load(folder / f"{run}-{number}-{rank}.npz") as shared:
                said = f"case {number}, process {rank}: {options}"
                assert shared["weights"].shape == one.weights.shape, said
                np.testing.assert_allclose(shared["weights"], one.weights, err_msg=said, **near)
                np.testing.assert_allclose(shared["centers"], one.centers, err_msg=said, **near)
                np.testing.assert_allclose(shared["losses"], one.weighted_losses, rtol=1e-6)
                np.testing.assert_allclose(shared["totals"], one.total_weights, rtol=1e-6)
                np.testing.assert_allclose(shared["precisions"], one.precisions, rtol=1e-5)


def test_two_processes_find_what_one_finds(folder, ran):
    assert ran["like one"] == [0, 0]
    check_like_one(folder, "like one")


@pytest.mark.parametrize(("run", "world"), [("by two", 2), ("by three", 3)])
def test_every_search_takes_the_path_of_one_process(folder, ran, monkeypatch, run, world):
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    assert ran[run] == [0] * world
    check_like_one(folder, run)


def test_ascents_that_spare_readings_are_those_of_one_process(folder, ran, monkeypatch):
    """Starts converge on 200 rows; all rows are then read once per step, and no more than needed."""
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    for name, value in SAMPLING.items():
        monkeypatch.setattr(fast, name, value)
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 0)
    assert ran["sparing"] == [0, 0]
    check_like_one(folder, "sparing", atol=1e-9)


def test_long_paths_preparations_and_adam_are_those_of_one_process(folder, ran, monkeypatch):
    """Where a last digit would lead elsewhere, in the end."""
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    assert ran["paths"] == [0, 0]
    check_like_one(folder, "paths")


def test_three_processes_of_which_one_has_no_rows(folder, ran):
    assert ran["no rows"] == [0, 0, 0]
    check_like_one(folder, "no rows")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("narrow", "same dimensions: got process 0: 5, process 1: 3"),
        ("other", "must have the same options: got process 0: {"),
        ("broken", "process 1 of 2: embeddings must be finite: row 2 holds NaN"),
    ],
)
def test_a_process_with_other_data_is_named_by_all(folder, ran, fault, told):
    assert ran[fault] == [3, 3]
    for rank in range(2):
        assert told in (folder / f"{fault}-0-{rank}.txt").read_text()


def test_a_process_that_dies_is_missed_in_bounded_time(folder, ran):
    assert ran["dies"] == [3, 7]
    told = (folder / "dies-1-0.txt").read_text()
    assert told.startswith("RankError: another process of this search stopped")
    assert "within 2 s" in told


@pytest.mark.parametrize("leaves", [0, 1])
def test_a_process_that_stops_on_the_way_is_missed_by_the_other(folder, ran, leaves):
    """Also where the first one searches alone, and the other only hears of it."""
    codes = ran[f"leaves {leaves}"]
    assert codes[leaves] == 7
    assert codes[1 - leaves] == 3
    told = (folder / f"leaves {leaves}-0-{1 - leaves}.txt").read_text()
    assert told.startswith("RankError: another process of this search stopped")


def test_alone_is_everybody():
    assert ALONE.place(5) == (0, 5, 5)
    assert own_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="above 0 s: got 0"), meeting(own_device("cpu"), 0):
        pass
