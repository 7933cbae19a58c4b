"""Time, memory and disk of scores of many training examples, and how they grow.

    python -m tests.benchmarks.attribution_scale [--k 512] [--d 64]

One checkpoint, features in float32 files that are mapped, scores written to a float32 file. Printed
are the whole matrix of TRAK and of the influence of the last layer (ten classes), and the scores of
one group, which need no matrix; each in a process of its own, with the most memory it held that is
no mapped file. The exponents are slopes of the logarithms between the smallest and the largest.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = ((12_500, 1_250), (25_000, 2_500), (50_000, 5_000))
KINDS = ("TRAK, whole matrix", "TRAK, one group", "influence, whole matrix", "influence, one group")


def write(folder: Path, n_train: int, n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(0)
    for name, rows in (("train", n_train), ("targets", n)):
        for what, width in (("features", k), ("embeddings", d)):
            place = np.lib.format.open_memmap(
                folder / f"{name}_{what}.npy", "w+", np.float32, (rows, width)
            )
            for start in range(0, rows, 4096):
                place[start : start + 4096] = rng.standard_normal(place[start : start + 4096].shape)
        logits = rng.standard_normal((rows, 10)) * 2
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.save(folder / f"{name}_probabilities.npy", chances.astype(np.float32))
        np.save(folder / f"{name}_labels.npy", rng.integers(0, 10, rows))


def measure(folder: Path, kind: str) -> None:
    """Printed: seconds, MiB of memory, MB of disk."""
    import threading

    from backend.attribution import default_regularizer, gauss_newton_influence, trak_scores
    from backend.attribution.gauss_newton import GaussNewton, margin_gradients_of
    from backend.core.memory import anonymous_bytes

    most, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], anonymous_bytes() or 0)

    held = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r")
        for name in (f"{a}_{b}" for a in ("train", "targets")
                     for b in ("features", "embeddings", "probabilities", "labels"))
    }  # fmt: skip
    n_train, n = len(held["train_labels"]), len(held["targets_labels"])
    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    began, used = time.perf_counter(), time.process_time()
    out = None
    if kind.endswith("matrix"):
        out = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float32, (n_train, n))
    if kind.startswith("TRAK"):
        train, targets = held["train_features"][None], held["targets_features"][None]
        if out is None:
            targets = targets[:, : n // 50].mean(1, keepdims=True)
        residuals = 1 - held["train_probabilities"][:, 0][None]
        trak_scores(train, targets, residuals, regularizer=default_regularizer(train), out=out)
    else:
        names = "embeddings", "probabilities", "labels"
        train = [held[f"train_{name}"] for name in names]
        targets = [held[f"targets_{name}"] for name in names]
        if out is None:
            layer = GaussNewton.of(*train)
            few = [one[: n // 50] for one in targets]
            gradients = margin_gradients_of(*few, bias=True)
            layer.scores(gradients.mean(0, keepdims=True))
        else:
            gauss_newton_influence(*train, *targets, out=out)
    if out is not None:
        out.flush()
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    stop.set()
    watch.join()
    disk = 0 if out is None else (folder / "scores.npy").stat().st_size
    print(seconds, processor, most[0] / 2**20, disk / 1e6)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--k", type=int, default=512)
    options.add_argument("--d", type=int, default=64)
    options.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure:
        measure(Path(given.measure[0]), given.measure[1])
        return
    print("| training x targets | | seconds | of processor | MiB | MB of disk |")
    print("| --- | --- | --- | --- | --- | --- |")
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for n_train, n in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, n_train, n, given.k, given.d)
            for kind in KINDS:
                done = subprocess.run(
                    [sys.executable, "-m", "tests.benchmarks.attribution_scale",
                     "--measure", name, kind],
                    check=True, capture_output=True, text=True,
                )  # fmt: skip
                numbers = [float(one) for one in done.stdout.split()]
                found[kind].append(numbers)
                seconds, processor, memory, disk = numbers
                print(
                    f"| {n_train:,} x {n:,} | {kind} | {seconds:.1f} | {processor:.1f} | "
                    f"{memory:,.0f} | {disk:,.0f} |",
                    flush=True,
                )
    for kind, numbers in found.items():
        grown = np.log(np.array(numbers[-1])[[1, 2]] / np.array(numbers[0])[[1, 2]]) / np.log(4)
        print(f"{kind}: processor grows with exponent {grown[0]:.2f}, memory {grown[1]:.2f}")


if __name__ == "__main__":
    main()
