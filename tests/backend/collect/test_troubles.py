"""What goes wrong when people collect: each trouble is noticed, said, or harmless."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from backend.collect import CollectError, collect

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(24, 4)).astype(np.float32))
Y = torch.arange(24) % 3
DATA = TensorDataset(X, Y)


class Net(nn.Module):
    """A hidden layer, dropout that ``always`` keeps on, and frozen batch norm."""

    def __init__(self, *, always: bool = False, last: nn.Module | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.norm, self.always, self.last = nn.BatchNorm1d(6), always, last or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.norm(self.first(x)))
        hidden = nn.functional.dropout(hidden, 0.5, self.training or self.always)
        return self.last(self.head(hidden))


class Noisy(nn.Module):
    """A layer that draws random numbers before the embeddings, and outputs that do not show it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + torch.randn_like(x))


def batches(labels: torch.Tensor = Y, size: int = 10) -> list[Any]:
    return list(zip(X.split(size), labels.split(size), strict=True))


def training() -> nn.Module:
    model = Net().train()
    model.norm.eval()  # frozen on purpose: it has to stay so
    return model


def one_pass() -> Iterator[Any]:
    yield from batches()


TABLE = {"age": range(24)}
SAID: dict[str, tuple[Callable[[], Any], Callable[[], Any], dict[str, Any], str]] = {
    # What somebody does, with what options, and what the bundle says of it.
    "train mode": (training, batches, {}, "was in training mode, at least in part"),
    "a shuffling loader": (
        Net, lambda: DataLoader(DATA, 10, shuffle=True), {},
        "the loader: its RandomSampler shuffles: rows are in the order in which they came.",
    ),
    "a sampler inside": (
        Net, lambda: DataLoader(DATA, batch_sampler=BatchSampler(RandomSampler(DATA), 10, False)),
        {}, "its RandomSampler shuffles",
    ),
    "drawn with replacement": (
        Net, lambda: DataLoader(DATA, 8, sampler=WeightedRandomSampler([1.0] * 24, 24)), {},
        "WeightedRandomSampler draws examples with replacement",
    ),
    "the last batch left out": (
        Net, lambda: DataLoader(DATA, 10, drop_last=True), {}, "leaves out the examples of the last batch (4)",
    ),
    "dropout left on, allowed": (
        lambda: Net(always=True), batches, {"allow": ["random"]}, "what is here is one draw.",
    ),
    "probabilities in place of logits": (
        lambda: Net(last=nn.Softmax(1)), batches, {},
        "each row is not negative and sums to 1, so they were taken for probabilities",
    ),
    "a sigmoid per class": (
        lambda: Net(last=nn.Sigmoid()), batches, {}, "taken for logits, although all lie between 0 and 1",
    ),
    "labels from 1": (
        Net, lambda: batches(Y + 1), {}, "labels: they are counted from 1 to 3, so the label 1",
    ),
    "an iterator without length": (Net, one_pass, {}, "cross-entropy"),
    "NaN": (
        Net, lambda: [(torch.where(torch.arange(24)[:, None] == 5, torch.nan, X), Y)], {},
        "embeddings: 1 examples hold NaN or infinity, the first is row 5",
    ),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], Any], Callable[[], Any], dict[str, Any], str]] = {
    "dropout left on": (lambda: Net(always=True), batches, {}, "other outputs for the same batch .* dropout is left on"),
    "a random layer": (Noisy, batches, {}, "other embeddings for the same batch"),
    "a shuffling loader and a table": (
        Net, lambda: DataLoader(DATA, 10, shuffle=True), {"examples": TABLE, "texts": ["a"] * 24},
        "since examples, texts have one row for each: its RandomSampler shuffles.*shuffle=False",
    ),
    "too short a table": (Net, batches, {"examples": {"age": range(23)}}, "'age' must have one cell per example: got 23 and 24"),
    "too few pictures": (Net, batches, {"images": np.zeros((3, 2, 2), np.uint8)}, "one per example: got 3 and 24"),
    "an empty generator": (Net, lambda: iter(()), {}, "one batch or more: got none. A generator that was used"),
    "labels from 0 and beyond": (Net, lambda: batches(Y.clone().index_fill(0, torch.tensor([20]), 3)), {}, "class codes below 3: got 0 to 3"),
    "labels below 0": (Net, lambda: batches(Y - 1), {}, "class codes below 3: got -1"),
    "labels from 1 and gradients": (Net, lambda: batches(Y + 1), {"checkpoints": [Net(), Net()]}, "counted from 1, say first_label=1"),
    "logits called probabilities": (
        lambda: lambda x: {"embeddings": x, "probabilities": x[:, :3]}, batches, {},
        "must sum to 1 in each row, and they do not.*as 'logits'",
    ),
    "a text with no classes": (lambda: lambda x: x[:, :3], lambda: (X, np.array(["a"] * 24)), {"embedding": lambda x: x}, r"give classes=\[...\]"),
    "classes that are too few": (Net, batches, {"classes": ["a", "b"]}, "got 2 names and 3 outputs"),
    "a class it does not know": (
        lambda: LogisticRegression().fit(X, Y), lambda: (X, Y + 1), {}, "got 3, which it was not fitted on",
    ),
    "an option of torch": (lambda: LogisticRegression().fit(X, Y), lambda: (X, Y), {"layer": "1"}, "layer is for torch models: got a LogisticRegression"),
    "no model at all": (lambda: 7, batches, {}, "a torch module, a fitted scikit-learn estimator or a function"),
    "no loader": (Net, lambda: 7, {}, "loader must give batches: got a int"),
    "a mean loss": (Net, batches, {"loss": nn.functional.cross_entropy}, "one loss per example: got 1 for 10"),
    "a tensor per token": (
        lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(16, 3)),
        lambda: [(torch.zeros(5, 4).long(), Y[:5])], {"layer": "0"}, "say what to do with tokens",
    ),
    "another width": (
        nn.Identity, lambda: [(X[:5, :2], Y[:5] % 2), (X[:5, :3], Y[:5] % 2)], {"layer": ""},
        "equally wide in every batch",
    ),
    "attribution without a training set": (Net, batches, {"attribution": 8}, "attribution needs train="),
    "training pictures without a training set": (
        Net, batches, {"train_images": np.zeros((24, 2, 2), np.uint8)}, "need train=, the loader of the training set",
    ),
    "too few training pictures": (
        Net, batches, {"train": (X, Y), "train_images": np.zeros((3, 2, 2), np.uint8)}, "train_images must be one per example: got 3 and 24 examples came from train",
    ),
    "training pictures as files": (
        Net, batches, {"train": (X, Y), "train_images": [b"a"] * 24}, "train_images must be pixels .* under train/images/",
    ),
    "too short a table of training": (
        Net, batches, {"train": (X, Y), "train_examples": {"age": range(23)}}, "'age' must have one cell per example: got 23 and 24 training examples",
    ),
    "a training column called as a field": (
        Net, batches, {"train": (X, Y), "train_examples": {"labels": range(24)}}, "cannot be called 'labels'",
    ),
    "a shuffling training loader and a table": (
        Net, batches, {"train": DataLoader(DATA, 10, shuffle=True), "train_texts": ["a"] * 24}, "since train_texts .*RandomSampler shuffles",
    ),
    "attribution of amounts": (
        lambda: nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1)), lambda: (X, X[:, 0]), {"attribution": 8, "train": (X, X[:, 0])},
        "attribution needs class labels",
    ),
    "one checkpoint": (Net, batches, {"checkpoints": [Net()]}, "two or more: got 1"),
    "what nobody knows to allow": (Net, batches, {"allow": ["dropout"]}, "allow can hold 'random': got 'dropout'"),
    "a precision": (Net, batches, {"precision": "int8"}, "float16, bfloat16: got 'int8'"),
    "a device": (Net, batches, {"device": "tpu:x"}, "device must be"),
    "another suffix": (Net, batches, {"out": "bundle.pkl"}, "must end in .npz or .zip, or be a folder"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", SAID)
def test_what_is_noticed_is_said(trouble: str, tmp_path: Path) -> None:
    model, loader, options, told = SAID[trouble]
    network = model()
    modes = {module: module.training for module in network.modules()}
    collected = collect(network, loader(), out=tmp_path / "run.npz", **options)
    assert told in " ".join(collected.notes)
    assert {module: module.training for module in network.modules()} == modes
    assert not any(module._forward_hooks for module in network.modules())
    assert collected.n == (20 if trouble == "the last batch left out" else 24)
    plain = collect(Net(), batches(), out=tmp_path / "plain.npz")
    if trouble in (
        "labels from 1",
        "probabilities in place of logits",
        "an iterator without length",
    ):
        assert collected.mean_loss == pytest.approx(plain.mean_loss, abs=1e-6)
        assert collected.accuracy == plain.accuracy


@pytest.mark.parametrize("trouble", REFUSED)
def test_what_cannot_be_collected_is_refused(trouble: str, tmp_path: Path) -> None:
    model, loader, options, told = REFUSED[trouble]
    options = {**options, "out": tmp_path / options.get("out", "run")}
    with pytest.raises(CollectError) as refusal:
        collect(model(), loader(), **options)
    assert re.search(told, str(refusal.value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_stopping_leaves_nothing_behind(stop: type[BaseException], tmp_path: Path) -> None:
    model, told = training(), []

    def progress(fraction: float, message: str) -> None:
        told.append((fraction, message))
        if len(told) == 2:
            raise stop

    with pytest.raises(stop):
        collect(model, one_pass(), out=tmp_path / "run.npz", progress=progress)
    assert told == [(0.5, "Batch 1"), (1 - 1 / 3, "Batch 2")]
    assert not list(tmp_path.iterdir()) and model.training and not model.norm.training
    assert not any(module._forward_hooks for module in model.modules())


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(CollectError, match="new or empty folder"):
        collect(Net(), batches(), out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_batches_are_not_held(tmp_path: Path) -> None:
    """What is allocated does not grow with the number of batches."""
    import tracemalloc

    model, x, y = Net(), torch.randn(1000, 4), torch.zeros(1000).long()

    def loader(count: int) -> Iterator[Any]:
        for _ in range(count):
            yield x, y

    peaks = []
    for count in (4, 40):
        tracemalloc.start()
        options = {"images": lambda batch: np.zeros((1000, 20, 20), np.uint8)}
        collect(
            model,
            loader(count),
            out=tmp_path / f"{count}",
            texts=lambda b: ["a text"] * 1000,
            **options,
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    written = (tmp_path / "40" / "images.npy").stat().st_size
    assert written == 256 + 40 * 400_000
    assert peaks[1] < peaks[0] + written / 2
