"""Processes that share a search: the same regions as one process, and no endless waiting."""

from __future__ import annotations

import json
import os
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
# came of it. Several cases share a start: loading torch takes longer than searching.
SCRIPT = """
import json, os, sys
import numpy as np
from backend.core.errors import BackendError
from backend.spotlight.solver import blocks, fast, rows
from backend.spotlight.ranks_search import find_spotlights_on_ranks

folder, rank = sys.argv[1], int(os.environ["RANK"])
unit = blocks.UNIT

def leave(fraction, message):
    if fraction > 0:
        os._exit(7)

for number, case in enumerate(json.loads(sys.argv[2])):
    blocks.UNIT = case.get("unit", unit)
    rows.RESIDENT_BYTES = case.get("resident", rows.RESIDENT_BYTES)
    for name, value in case.get("sampling", {}).items():
        setattr(fast, name, value)
    first, last = case["cuts"][rank], case["cuts"][rank + 1]
    if case.get("dies") == rank:
        os._exit(7)
    x = np.load(f"{folder}/{case.get('file', 'x')}.npy", mmap_mode="r")[first:last]
    losses = np.load(f"{folder}/losses.npy", mmap_mode="r")[first:last] + case.get("shift", 0.0)
    counts = np.load(f"{folder}/counts.npy")[first:last] if case.get("counts") else None
    if case.get("narrow") == rank:
        x = x[:, :3]
    if case.get("broken") == rank:
        x = np.where(np.arange(len(x))[:, None] == 2, np.nan, x)
    out = f"{folder}/{number}-{rank}"
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
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(folder: Path, cases: list[dict], world: int) -> list[int]:
    """Run the cases in so many processes; their exit codes."""
    for case in cases:
        case.setdefault("options", OPTIONS)
        case["port"] = free_port()
    shared = os.environ | {
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(cases)]
    started = [
        subprocess.Popen(
            command, env=shared | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    try:
        told = [process.communicate(timeout=120)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    codes = [process.returncode for process in started]
    assert all(code in (0, 3, 7) for code in codes), told
    return codes


N = 700
OPTIONS = {"size": 40, "n_spotlights": 2, "starts": 8}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(3)
    x, losses = rng.normal(size=(N, 5)) + 3.0, rng.exponential(0.3, N)
    x[:60] = 0.5 * x[:60] + 4.0
    losses[:60] += 2.0
    order = rng.permutation(N)
    np.save(tmp_path / "x.npy", x[order].astype(np.float32))
    np.save(tmp_path / "losses.npy", losses[order])
    np.save(tmp_path / "counts.npy", rng.integers(0, 4, N).astype(float))
    return tmp_path


def check_like_one(
    folder: Path, number: int, world: int, options: dict, counts=None, shift=0.0
) -> None:
    losses = np.load(folder / "losses.npy") + shift
    one = find_spotlights(np.load(folder / "x.npy"), losses, counts=counts, **options)
    for rank in range(world):
        with np.load(folder / f"{number}-{rank}.npz") as shared:
            said = f"case {number}, process {rank}: {options}"
            assert shared["weights"].shape == one.weights.shape, said
            np.testing.assert_allclose(shared["weights"], one.weights, atol=1e-5, err_msg=said)
            np.testing.assert_allclose(shared["centers"], one.centers, atol=1e-5, err_msg=said)
            np.testing.assert_allclose(shared["losses"], one.weighted_losses, rtol=1e-6)
            np.testing.assert_allclose(shared["totals"], one.total_weights, rtol=1e-6)
            np.testing.assert_allclose(shared["precisions"], one.precisions, rtol=1e-5)


def test_two_processes_find_what_one_finds(folder):
    several = OPTIONS | {"mode": "distinct", "n_spotlights": 3}
    cases = [
        {"cuts": [0, 150, N]},
        {"cuts": [0, 350, N], "options": several, "counts": True},
        {"cuts": [0, 350, N], "options": OPTIONS | {"flip": True, "size": 0.1}},
    ]
    assert start(folder, cases, 2) == [0, 0]
    check_like_one(folder, 0, 2, OPTIONS)
    check_like_one(folder, 1, 2, several, np.load(folder / "counts.npy"))
    check_like_one(folder, 2, 2, OPTIONS | {"flip": True, "size": 0.1})


# Blocks of 192 rows of 5 numbers: no process has all, and rows near the borders move.
BLOCKS_OF_192 = 60
SHORT = {"size": 40, "n_spotlights": 2, "starts": 1, "max_steps": 6}
# Every kernel and shape, with and without counts; direction and mode change from one to the next.
SEARCHES = [
    (
        {
            "kernel": kernel,
            "precision": shape,
            "flip": bool((number // 2 + number // 4) % 2),
            "mode": ("successive", "distinct")[(number + number // 2) % 2],
        },
        counted,
    )
    for number, (shape, kernel, counted) in enumerate(
        product(("spherical", "diagonal", "full"), ("gaussian", "squared_distance"), (False, True))
    )
]


# Every third search by three processes, one of them without rows; the others by two.
@pytest.mark.parametrize("cuts", [[0, 200, N], [0, 290, 290, N]])
def test_every_search_takes_the_path_of_one_process(folder, monkeypatch, cuts):
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    world = len(cuts) - 1
    # Where rows are counted, losses are below 0.
    asked = [
        (SHORT | search, counted, -10.0 if counted else 0.0)
        for number, (search, counted) in enumerate(SEARCHES)
        if (number % 3 == 0) == (world == 3)
    ]
    cases = [
        {
            "cuts": cuts,
            "unit": BLOCKS_OF_192,
            "options": options,
            "counts": counted,
            "shift": shift,
        }
        for options, counted, shift in asked
    ]
    assert start(folder, cases, world) == [0] * world
    given = np.load(folder / "counts.npy")
    for number, (options, counted, shift) in enumerate(asked):
        check_like_one(folder, number, world, options, given if counted else None, shift)


def test_ascents_that_spare_readings_are_those_of_one_process(folder, monkeypatch):
    """Starts converge on 200 rows; all rows are then read once per step, and no more than needed."""
    sampling = {
        "EXACT_NUMBERS": 0,
        "_SAMPLE_ROWS": 200,
        "_SCREEN_ROWS": 100,
        "_SAMPLE_MEMBERS": 10,
        "_SCREEN_MEMBERS": 5,
    }
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    for name, value in sampling.items():
        monkeypatch.setattr(fast, name, value)
    monkeypatch.setattr(rows, "RESIDENT_BYTES", 0)
    case = {"unit": BLOCKS_OF_192, "sampling": sampling, "resident": 0}
    case |= {"options": OPTIONS | {"n_spotlights": 3}}
    cases = [case | {"cuts": [0, 290, N]}, case | {"cuts": [0, 500, N], "counts": True}]
    assert start(folder, cases, 2) == [0, 0]
    x, losses = np.load(folder / "x.npy"), np.load(folder / "losses.npy")
    for number, counts in enumerate([None, np.load(folder / "counts.npy")]):
        one = find_spotlights(x, losses, counts=counts, **case["options"])
        for rank in range(2):
            with np.load(folder / f"{number}-{rank}.npz") as shared:
                np.testing.assert_allclose(shared["weights"], one.weights, atol=1e-9)
                np.testing.assert_allclose(shared["centers"], one.centers, atol=1e-9)


def test_long_paths_preparations_and_adam_are_those_of_one_process(folder, monkeypatch):
    """Where a last digit would lead elsewhere, in the end."""
    monkeypatch.setattr(blocks, "UNIT", BLOCKS_OF_192)
    long = {"kernel": "squared_distance", "precision": "diagonal", "starts": 1, "size": 40}
    short = SHORT | {"precision": "diagonal"}
    asked = [
        long | {"n_spotlights": 2, "flip": True},
        short | {"prepare": "standardise"},
        short | {"prepare": "pca", "components": 3},
        short | {"prepare": "projection", "components": 4, "seed": 2},
        short | {"prepare": "pca", "components": 1},
        SHORT | {"solver": "adam", "max_steps": 40},
        SHORT | {"solver": "adam", "max_steps": 40, "precision": "full", "flip": True},
    ]
    cases = [{"cuts": [0, 333, N], "unit": BLOCKS_OF_192, "options": options} for options in asked]
    assert start(folder, cases, 2) == [0, 0]
    for number, options in enumerate(asked):
        check_like_one(folder, number, 2, options)


def test_three_processes_of_which_one_has_no_rows(folder):
    options = OPTIONS | {"n_spotlights": 1, "starts": 2}
    assert start(folder, [{"cuts": [0, 0, 90, N], "options": options}], 3) == [0, 0, 0]
    check_like_one(folder, 0, 3, options)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"narrow": 1}, "same dimensions: got process 0: 5, process 1: 3"),
        ({"other": 1}, "must have the same options: got process 0: {"),
        ({"broken": 1}, "process 1 of 2: embeddings must be finite: row 2 holds NaN"),
    ],
)
def test_a_process_with_other_data_is_named_by_all(folder, fault, told):
    assert start(folder, [{"cuts": [0, 300, N]} | fault], 2) == [3, 3]
    for rank in range(2):
        assert told in (folder / f"0-{rank}.txt").read_text()


def test_a_process_that_dies_is_missed_in_bounded_time(folder):
    cases = [{"cuts": [0, 300, N]}, {"cuts": [0, 300, N], "dies": 1, "patience": 2.0}]
    assert start(folder, cases, 2) == [3, 7]
    told = (folder / "1-0.txt").read_text()
    assert told.startswith("RankError: another process of this search stopped")
    assert "within 2 s" in told


@pytest.mark.parametrize(("unit", "leaves"), [(blocks.UNIT, 0), (BLOCKS_OF_192, 1)])
def test_a_process_that_stops_on_the_way_is_missed_by_the_other(folder, unit, leaves):
    """Also where the first one searches alone, and the other only hears of it."""
    case = {"cuts": [0, 300, N], "unit": unit, "leaves": leaves}
    case["options"] = OPTIONS | {"precision": "full"}
    codes = start(folder, [case], 2)
    assert codes[leaves] == 7
    assert codes[1 - leaves] == 3
    told = (folder / f"0-{1 - leaves}.txt").read_text()
    assert told.startswith("RankError: another process of this search stopped")


def test_alone_is_everybody():
    assert ALONE.place(5) == (0, 5, 5)
    assert own_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="above 0 s: got 0"), meeting(own_device("cpu"), 0):
        pass
