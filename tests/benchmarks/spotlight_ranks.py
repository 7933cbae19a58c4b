"""How far the regions that several processes find are from those of one, for every kind of search.

    python tests/benchmarks/spotlight_ranks.py [--rows 700] [--dimensions 5] [--unit 60]
        [--starts 2] [--worlds 2 3] [--single]

Every kernel, shape, direction, mode, with and without counts, on uneven shares of which (from three
processes on) one has no rows: the largest differences of weights, centers (in units of the data)
and precisions (as shares of the largest). A small unit of ``backend.spotlight.solver.blocks`` spreads
small data over blocks as large data is; ``--single`` searches in single precision.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import socket
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import backend  # noqa: F401  threads that sleep while they wait, before torch is loaded

import numpy as np  # isort: skip
import torch  # isort: skip

from backend.spotlight import Spotlights, find_spotlights
from backend.spotlight.options import SearchOptions
from backend.spotlight.ranks_search import search_together
from backend.spotlight.solver import blocks, rows
from backend.spotlight.solver.ranks import meeting

SEARCHES = list(
    product(
        ("gaussian", "squared_distance"),
        ("spherical", "diagonal", "full"),
        (False, True),
        ("successive", "distinct"),
        (False, True),
    )
)


def data(n: int, d: int) -> tuple[Any, Any, Any]:
    """Rows, losses and counts; a tenth of the rows lie together and are lost more often."""
    rng = np.random.default_rng(3)
    x, losses = rng.normal(size=(n, d)) + 3.0, rng.exponential(0.3, n)
    x[: n // 10] = 0.5 * x[: n // 10] + 4.0
    losses[: n // 10] += 2.0
    order = rng.permutation(n)
    return x[order].astype(np.float32), losses[order], rng.integers(0, 4, n).astype(float)


def cuts(n: int, world: int) -> list[int]:
    """Uneven shares; the second of three or more processes has none."""
    inner = sorted(n * (rank + 1) // (world + 1) + 1 for rank in range(world - 1))
    if world > 2:
        inner[1] = inner[0]
    return [0, *inner, n]


def searches(given: argparse.Namespace) -> dict[tuple[Any, ...], Spotlights | None]:
    """Every search, in this process alone or together with others (of which the first has it)."""
    torch.set_num_threads(1)
    blocks.UNIT = given.unit
    if given.single:
        rows.EXACT_NUMBERS = 0
    x, losses, counts = data(given.rows, given.dimensions)
    found: dict[tuple[Any, ...], Spotlights | None] = {}
    base = {"size": 0.06, "n_spotlights": 2, "starts": given.starts, "seed": 0}
    for one in SEARCHES:
        kernel, precision, flip, mode, counted = one
        asked = base | {"kernel": kernel, "precision": precision, "flip": flip, "mode": mode}
        if given.rank is None:
            found[one] = find_spotlights(x, losses, counts=counts if counted else None, **asked)
            continue
        own = slice(*cuts(given.rows, given.world)[given.rank : given.rank + 2])
        found[one] = search_together(
            x[own],
            losses[own],
            SearchOptions(**asked),
            counts=counts[own] if counted else None,
            device=torch.device("cpu"),
            progress=None,
            control=given.control,
            patience=300.0,
        )
    return found


def together(given: argparse.Namespace, world: int) -> dict[tuple[Any, ...], Spotlights]:
    """Every search, by so many processes."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found"
        shared = os.environ | {
            "WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        command = [sys.executable, *sys.argv, "--world", str(world), "--out", str(out), "--rank"]
        started = [
            subprocess.Popen([*command, str(rank)], env=shared | {"RANK": str(rank)})
            for rank in range(world)
        ]
        codes = [process.wait() for process in started]
        if any(codes):
            sys.exit("a process failed")
        return pickle.loads(out.read_bytes())  # type: ignore[no-any-return]


def apart(one: Spotlights, other: Spotlights) -> str:
    """The three differences."""
    if one.weights.shape != other.weights.shape:
        return f"{len(one)} regions, {len(other)} regions"
    most = np.abs(one.precisions).max()
    differences = (
        np.abs(one.weights - other.weights).max(),
        np.abs(one.centers - other.centers).max(),
        np.abs(one.precisions - other.precisions).max() / most,
    )
    return "".join(f"{difference:>10.1e}" for difference in differences)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=700)
    parser.add_argument("--dimensions", type=int, default=5)
    parser.add_argument("--unit", type=int, default=60)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--worlds", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--single", action="store_true")
    for name in ("--rank", "--world"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank is not None:
        with meeting(torch.device("cpu")) as given.control:
            ours = searches(given)
        if given.rank == 0:
            Path(given.out).write_bytes(pickle.dumps(ours))
        sys.exit()
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread per process")
    begin = time.perf_counter()
    alone = searches(given)
    took = [time.perf_counter() - begin]
    shared = []
    for world in given.worlds:
        begin = time.perf_counter()
        shared.append(together(given, world))
        took.append(time.perf_counter() - begin)
    told = ", ".join(
        f"{world}: {spent:.0f} s" for world, spent in zip([1, *given.worlds], took, strict=True)
    )
    print(f"{given.rows} x {given.dimensions}, processes: {told}")
    print("largest differences of weights, centers, precisions, for each number of processes")
    for one in SEARCHES:
        kernel, precision, flip, mode, counted = one
        name = f"{kernel} {precision} {mode}{' flip' * flip}{' counts' * counted}"
        print(f"{name:<56}" + "  ".join(apart(alone[one], found[one]) for found in shared))
