"""Two problems to retrain on: pictures with a mark that goes with a class, and a census.

Both hold out the examples of a demo bundle, so that results can be set beside it:

    python -m backend demo marked --out marked.zip
    python -m backend import marked.zip --name marked
    python -m backend retrain backend.retraining.problems:marked --bundle marked
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from backend.core.progress import ignore_progress
from backend.demo.adult import CLASSES as INCOMES
from backend.demo.adult import FILE, model_inputs, read_adult
from backend.demo.compact import Embedder, table_network
from backend.demo.domains.packages import table_path
from backend.demo.images import CLASSES, DATA
from backend.demo.marked import MARKED, as_tensor, draw, mark_words, with_mark
from backend.demo.splits import split_rows
from backend.retraining.problem import RetrainingProblem, Sample, Schedule

RARE = 0.1
"""Of the women with a high income in training, those that are left."""
_PAD = 2


def marked(*, n_train: int = 4000, n_test: int = 2000, seed: int = 0) -> RetrainingProblem:
    """Fashion-MNIST with the marks of ``python -m backend demo marked``; groups are class x mark.

    The planted examples are the coats with a mark: they teach that the mark says coat.
    """
    drawn = draw(DATA, n_train, n_test, seed)
    pairs = []
    for (images, labels), mark in (
        (drawn.train, drawn.train_mark),
        (drawn.test, drawn.test_mark),
    ):
        words = [
            f"{CLASSES[one]}, {word}" for one, word in zip(labels, mark_words(mark), strict=True)
        ]
        pairs.append(Sample(as_tensor(with_mark(images, mark)), labels, words))
    return RetrainingProblem(
        network=picture_network,
        train=pairs[0],
        held_out=pairs[1],
        classes=CLASSES,
        schedule=Schedule(passes=4, batch=64, rate=0.004),
        augment=shifted,
        planted=drawn.train_mark & (drawn.train[1] == CLASSES.index(MARKED)),
        planted_name="coats with a mark",
        ids=[f"test-{row:05d}" for row in range(n_test)],
        name="marked",
    )


def census(*, n_train: int = 12_000, n_test: int | None = None, seed: int = 0) -> RetrainingProblem:
    """Adult, nine of ten women with a high income being left out of training; groups are gender x income.

    Held out are the people of ``python -m backend demo adult``, or the first ``n_test`` of them. Nobody
    is planted.
    """
    table = read_adult(table_path(FILE, ignore_progress))
    train, test = split_rows(len(table), 0.3, 0)
    test = test[:n_test]
    labels = (table["income"] == INCOMES[1]).to_numpy(dtype=np.int64)
    women = (table["gender"] == "Female").to_numpy()
    rng = np.random.default_rng(seed)
    rare = women[train] & (labels[train] == 1)
    chosen = rng.permutation(train[~rare | (rng.random(len(train)) < RARE)])[:n_train]
    inputs = model_inputs(table, train)
    samples = [
        Sample(
            inputs[rows],
            labels[rows],
            [
                f"{a}, {INCOMES[b]}"
                for a, b in zip(table["gender"].iloc[rows], labels[rows], strict=True)
            ],
        )
        for rows in (chosen, test)
    ]
    return RetrainingProblem(
        network=partial(table_network, inputs.shape[1]),
        train=samples[0],
        held_out=samples[1],
        classes=INCOMES,
        schedule=Schedule(passes=6, batch=64, rate=0.003),
        ids=[f"adult-{row:05d}" for row in test],
        name="census",
    )


def picture_network() -> Embedder:
    """Two convolutions (16, 32) on pictures of half the size, a hidden layer of 32, ten logits."""
    body = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 3 * 3, 32), nn.ReLU(),
    )  # fmt: skip
    return Embedder(body, 32, 10)


def shifted(inputs: Tensor) -> Tensor:
    """Pictures (b, c, h, w) moved by up to two pixels, and half of them mirrored."""
    height, width = inputs.shape[2:]
    padded = torch.nn.functional.pad(inputs, (_PAD,) * 4)
    places = torch.randint(0, 2 * _PAD + 1, (len(inputs), 2)).tolist()
    moved = torch.stack(
        [one[:, y : y + height, x : x + width] for one, (y, x) in zip(padded, places, strict=True)]
    )
    mirrored = torch.rand(len(inputs)) < 0.5
    moved[mirrored] = moved[mirrored].flip(-1)
    return moved
