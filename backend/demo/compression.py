"""Make the compression demo: populations of small networks on Fashion-MNIST, really trained.

Ten networks each stay as they are, lose 70 % or 90 % of their weights during training, or have
their weights rounded to 4 bits; no two share a seed. All of them answer the same test images, as
they are and spoiled in five ways.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.demo.compact import Plan, ask, image_network, log_probabilities, train_plan
from backend.demo.images import CLASSES, DATA, Pixels, image_attributes, read_split
from backend.demo.pool import Arrays
from backend.demo.populations import by_population, judged, plans, told, trained
from backend.demo.shifts import IID, SHIFTS
from backend.demo.writing import write_zip

VERSION = 1  # raise it when training or asking changes: kept results are then made anew
BASELINE = "baseline"
POPULATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        BASELINE: MappingProxyType({}),
        "pruned-70": MappingProxyType({"sparsity": 0.70}),
        "pruned-90": MappingProxyType({"sparsity": 0.90}),
        "int4": MappingProxyType({"bits": 4}),
    }
)
"""What sets the networks of a population apart, by name."""

SCORED = "contrast"  # the test of the stress scores: probability of the true label, to 0.01
LEVELS = {
    "width": ("narrow", "medium", "wide"),
    "brightness": ("dark", "medium", "bright"),
    "texture": ("plain", "medium", "textured"),
}


@dataclass(frozen=True)
class CompressionTraining:
    """One network, and which images it sees. ``first`` also keeps its embeddings and logits."""

    data: Path
    n_train: int
    n_test: int
    subset_seed: int
    plan: Plan
    first: bool = False


def build(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] = DATA,
    n_train: int = 20_000,
    n_test: int = 6_000,
    n_models: int = 10,
    epochs: int = 6,
    seed: int = 0,
    workers: int = 2,
    keep: str | os.PathLike[str] | None = None,
    progress: Progress = ignore_progress,
) -> dict[str, float]:
    """Train the populations and write the bundle to ``path``, replacing it at the end.

    Every network's answers are kept as soon as it is trained: a run that was stopped, or killed,
    goes on with the missing ones. The same arguments give the same bytes on the same machine with
    the same packages.

    Parameters
    ----------
    path : path
        The ``.zip`` to write.
    data : path
        Folder of the four ``.gz`` files of Fashion-MNIST.
    n_train : int
        Training images, drawn without replacement; all networks see the same ones.
    n_test : int
        Test images, equally many of each class, in the order of the test set.
    n_models : int
        Networks per population, 3 or more.
    epochs : int
        Passes over the training images.
    seed : int
        Decides the training and test images, and the seeds of the networks.
    workers : int
        Processes that train at once, one thread each. 1 trains in this process.
    keep : path, optional
        Folder of the single networks' answers. Without one they lie in the home folder and are
        removed when the bundle is written.
    progress : Progress
        Raising ``JobCancelled`` there stops the work and leaves an existing file as it was.

    Returns
    -------
    dict
        ``n``, ``n_models``, mean test ``accuracy`` of each population by its name, ``size_bytes``.

    Raises
    ------
    InputError
        If the images are missing, or a count is out of range.
    """
    least = {"n_train": 1, "n_test": len(CLASSES), "n_models": 3, "epochs": 1, "workers": 1}
    given = dict(zip(least, (n_train, n_test, n_models, epochs, workers), strict=True))
    for name, value in given.items():
        if value < least[name]:
            raise InputError(f"{name} must be {least[name]} or more: got {value}.")
    data = Path(data)
    available = len(read_split(data, "train")[1])
    if n_train > available:
        raise InputError(f"n_train must be at most the {available} images there: got {n_train}.")
    images, labels = read_split(data, "t10k")
    rows = stratified_rows(labels, n_test, seed)

    members = [
        CompressionTraining(data, n_train, n_test, seed, plan, first=index == 0)
        for index, plan in enumerate(plans(POPULATIONS, n_models, epochs, seed))
    ]
    fingerprint = _fingerprint(data)
    tasks = [(_key(member, fingerprint), member) for member in members]
    truth, path = labels[rows], Path(path)
    with trained(
        train_member, tasks, keep, "compression", workers=workers, progress=progress
    ) as answers:
        split = by_population(answers, tuple(POPULATIONS))
        own = answers[0]
        arrays: Arrays = {
            "embeddings": own["embeddings"].astype(np.float16),
            **judged(own["logits"], truth, split[BASELINE][0], CLASSES, np.float16),
            "images": images[rows],
            # Of the baseline alone: its networks differ by nothing but their seed.
            "stress_scores": np.stack([answer["scores"] for answer in answers[:n_models]]),
        }
        arrays |= {f"populations/{name}": predictions for name, predictions in split.items()}
        stress = stress_table(answers, n_models)
        write_zip(path, arrays, {"examples": examples_table(images, rows), "stress": stress})
    return told(path, truth, split)


def stratified_rows(labels: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """``n`` rows in ascending order, equally many of each class as far as n divides.

    Raises
    ------
    InputError
        If a class has too few examples.
    """
    random = np.random.default_rng(seed)
    classes = len(CLASSES)
    chosen = []
    for code in range(classes):
        held = np.flatnonzero(labels == code)
        wanted = n // classes + (code < n % classes)
        if wanted > len(held):
            raise InputError(
                f"n_test must leave at most {len(held)} images to {CLASSES[code]}: got {n}, "
                f"which needs {wanted}."
            )
        chosen.append(random.permutation(held)[:wanted])
    return np.sort(np.concatenate(chosen))


def train_member(member: CompressionTraining, after: Callable[[float], None]) -> Arrays:
    """Train one network and ask it every test. Runs in this process or in a worker."""
    images, labels = read_split(member.data, "train")
    chosen = np.random.default_rng(member.subset_seed).permutation(len(labels))[: member.n_train]
    test, truth = read_split(member.data, "t10k")
    rows = stratified_rows(truth, member.n_test, member.subset_seed)
    test, truth = test[rows], truth[rows]
    network = train_plan(
        image_network,
        _tensor(images[chosen]),
        torch.from_numpy(labels[chosen]),
        member.plan,
        after_batch=after,
    )
    kept: Arrays = {}
    accuracy, loss = [], []
    for name, shift in SHIFTS.items():
        answers = ask(network, shift(_tensor(test)))
        log_p = log_probabilities(answers.logits)
        own = log_p[np.arange(len(truth)), truth]
        said = answers.logits.argmax(1)
        accuracy.append(float((said == truth).mean()))
        loss.append(float(-own.mean()))
        if name == SCORED:
            kept["scores"] = np.exp(own).round(2).astype(np.float16)
        if name == IID:
            kept["predictions"] = said.astype(np.int8)
            if member.first:
                kept |= {"embeddings": answers.embeddings, "logits": answers.logits}
        kept[f"shifted/{name}"] = said.astype(np.int8)
    return kept | {"accuracy": np.array(accuracy), "loss": np.array(loss)}


def stress_table(answers: list[Arrays], n_models: int) -> pd.DataFrame:
    """One row per network and test: ``model``, ``population``, ``test``, ``accuracy``, ``loss``.

    Tests as ``SHIFTS``, "iid" first; models in the order of the rows of the populations.
    """
    names = [name for name in POPULATIONS for _ in range(n_models)]
    numbers = [number + 1 for _ in POPULATIONS for number in range(n_models)]
    width = len(str(n_models))
    return pd.DataFrame(
        {
            "model": f"{name} {number:0{width}d}",
            "population": name,
            "test": test,
            "accuracy": answer["accuracy"][place],
            "loss": answer["loss"][place],
        }
        for name, number, answer in zip(names, numbers, answers, strict=True)
        for place, test in enumerate(SHIFTS)
    )


def examples_table(images: Pixels, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Ids, the three measured attributes, and each as one of three levels.

    ``images`` is the whole test set: levels are its thirds, whichever rows are taken.
    """
    columns: dict[str, Any] = {"id": [f"test-{row:05d}" for row in rows]}
    for name, values in image_attributes(images).items():
        columns[name] = values[rows]
        cuts = np.nanquantile(values, [1 / 3, 2 / 3])
        levels = np.array(LEVELS[name])[np.searchsorted(cuts, values, side="left")]
        columns[f"{name}_level"] = np.where(np.isnan(values), "", levels)[rows]
    return pd.DataFrame(columns)


def _key(member: CompressionTraining, fingerprint: str) -> dict[str, Any]:
    """Everything that decides a network's answers, as JSON; not where the images lie."""
    key = asdict(member)
    del key["data"]
    return key | {"images": fingerprint, "version": VERSION, "torch": torch.__version__}


def _fingerprint(data: Path) -> str:
    digest = hashlib.sha256()
    for part in ("train", "t10k"):
        for values in read_split(data, part):
            digest.update(values.tobytes())
    return digest.hexdigest()


def _tensor(images: Pixels) -> torch.Tensor:
    """Images as float32 (n, 1, h, w) in [0, 1]."""
    return torch.from_numpy(images[:, None].astype(np.float32) / 255)
