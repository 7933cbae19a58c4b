"""A bundle from a live model of any kind, streamed to disk batch by batch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.checks import RANDOM, told_of_loader
from backend.collect.errors import CollectError
from backend.collect.estimators import Estimator, Function
from backend.collect.gathering import TRAIN, BesideModel, Collected, Gathering
from backend.collect.seen import ModelSource
from backend.collect.spool import Spool, spooled
from backend.collect.torch_gradients import TorchGradients, loaded
from backend.collect.torch_model import TorchModel
from backend.collect.training import Confidence


def silent(fraction: float, message: str) -> None:
    """The progress of a caller who does not ask for any."""


def collect(
    model: Any,
    loader: Any,
    *,
    out: str | os.PathLike[str],
    train: Any = None,
    device: Any = "auto",
    layer: Any = None,
    layers: Sequence[str] = (),
    tokens: str | None = None,
    precision: str | None = None,
    embedding: Callable[[Any], Any] | None = None,
    classes: Sequence[str] | None = None,
    first_label: int | None = None,
    loss: Callable[[Any, Any], Any] | None = None,
    examples: Any = None,
    columns: Sequence[str] = (),
    images: Any = None,
    texts: Any = None,
    train_examples: Any = None,
    train_images: Any = None,
    train_texts: Any = None,
    populations: Mapping[str, Sequence[Any]] | None = None,
    checkpoints: Sequence[Any] | None = None,
    gradients: bool = False,
    attribution: int | None = None,
    gradient_layers: Sequence[str] = (),
    confidence: Confidence | None = None,
    batch_size: int = 256,
    allow: Sequence[str] = (),
    seed: int = 0,
    progress: Callable[[float, str], None] = silent,
) -> Collected:
    """Embeddings, losses, predictions and probabilities of a model on a held-out set, on disk.

    Parameters
    ----------
    model : nn.Module, scikit-learn estimator or callable
        A torch module gives logits (b, C); one logit (b,) or (b, 1) for two classes; one number of
        a regression; or logits of tokens (b, T, C). An object with ``.logits``, a dictionary with
        ``"logits"`` or a tuple that starts with them will do. It is run in evaluation mode and left
        as it was. A function gives, for the inputs of a batch, a dictionary with ``embeddings`` and
        ``logits``, ``probabilities`` or ``predictions``.
    loader : iterable, or a tuple of two arrays or lists
        Batches ``(inputs, labels)``, or dictionaries with a label under ``labels``, ``label``,
        ``targets``, ``target`` or ``y`` and the rest passed to the model: one entry by position,
        several by name. Two arrays or lists ``(X, y)`` are cut into batches. It may have no length,
        but has to end.
    out : path-like
        ``.npz``, ``.zip``, or without a suffix a new folder. It is there when it is whole; a process
        that is killed leaves a folder ``.collect-...`` beside it, which may be removed.
    train : optional
        The same for the training set, which adds ``train/``.
    device : str or torch.device
        Where torch computes; the model is moved there and back.
    layer : str or module, optional
        Embeddings are the *output* of this layer of a torch model. By default they are the *input*
        of the last ``nn.Linear`` that runs and whose output is as wide as the model's. Maps
        (b, c, h, w) are averaged over h and w.
    layers : sequence of str
        Names of more submodules, whose outputs are kept beside the embeddings.
    tokens : {"mean", "first", "last", "concatenate"}, optional
        How states (b, T, h) of tokens become one vector. By default, of models that put out logits
        of tokens all are concatenated and projected to 1000 dimensions, as d'Eon et al. 2021 did.
    precision : {"float16", "bfloat16"}, optional
        Compute in mixed precision.
    embedding : callable, optional
        ``embedding(inputs)`` gives the embeddings of a scikit-learn model or of a function.
    classes : sequence of str, optional
        Names of the classes, in the order of the outputs.
    first_label : int, optional
        The code of the first class. By default 0, or 1 where labels run from 1 to C.
    loss : callable, optional
        ``loss(output, labels)`` gives one loss per example, for torch models.
    examples : DataFrame, dict of columns, or callable, optional
        One row per example, in the loader's order; or a function of a batch that gives columns.
    columns : sequence of str
        Keys of dictionary batches that are columns of the examples and not for the model; also of
        the training examples, where batches of ``train`` have them.
    images : optional
        One picture per example (pixels (n, h, w) or (n, h, w, c), or a list of files as bytes,
        pixels or PIL images); a function of a batch that gives them; or ``"inputs"``.
    texts : optional
        One text per example; a function of a batch that gives them; or the tokenizer.
    train_examples, train_images, train_texts : optional
        The same for the training set; pictures as pixels of one size.
    populations : dict of {name: list of models}, optional
        More models, whose predictions are kept; for torch also state dicts, or their paths. All are
        held at once.
    checkpoints : sequence of modules, state dicts or paths, optional
        Two or more of a torch model; adds ``vog``, the variance over them of the gradient of the
        label's logit with respect to the input. Paths are loaded with ``weights_only=True``.
    gradients : bool
        Keep those gradients as well, so that early and late checkpoints can be told apart.
    attribution : int, optional
        Project gradients of the margin to so many dimensions and keep them, at every checkpoint or
        at the model as it is; needs ``train``. No more than a quarter of the training examples.
    gradient_layers : sequence of str
        For that, only the parameters of these modules.
    confidence : Confidence, optional
        What was written down while the model trained; its rows are those of ``train``.
    batch_size : int
        Of two arrays.
    allow : sequence of str
        ``"random"`` for models whose outputs change from call to call.
    seed : int
        Of random projections.
    progress : callable
        Called as ``progress(fraction, message)`` after every batch; what it raises stops the work,
        and nothing is left behind.

    Returns
    -------
    Collected

    Raises
    ------
    CollectError
        If no last linear layer is found, a layer has no such name or does not run, outputs, labels
        or batches are not of the shapes above, a shuffling loader meets tables in order, outputs
        change from call to call, or an option does not go with this kind of model.
    """
    target = Path(out)
    torch_only = {
        "device": None if device == "auto" else device,
        "layer": layer,
        "layers": layers,
        "tokens": tokens,
        "precision": precision,
        "loss": loss,
        "checkpoints": checkpoints,
        "attribution": attribution,
    }
    if unknown := sorted({*allow} - {RANDOM}):
        raise CollectError(f"allow can hold '{RANDOM}': got {unknown[0]!r}.")
    if attribution is not None and train is None:
        raise CollectError("attribution needs train=, the loader of the training set.")
    of_train = (train_examples, train_images, train_texts)
    kept = {"": BesideModel(examples, images, texts), TRAIN: BesideModel(*of_train)}
    if train is None and any(value is not None for value in of_train):
        raise CollectError(
            "train_examples, train_images and train_texts need train=, the loader of the training set."
        )
    if gradients and checkpoints is None:
        raise CollectError("gradients=True needs checkpoints=, two or more.")
    if gradient_layers and attribution is None:
        raise CollectError("gradient_layers goes with attribution=, the number of dimensions.")
    source: Any
    if is_torch(model):
        if embedding is not None:
            raise CollectError("embedding= is for other models: name a layer of a torch model.")
        source = TorchModel(
            model,
            device=device,
            layer=layer,
            layers=layers,
            precision=precision,
            tokens=tokens,
            loss=loss,
            columns=columns,
            seed=seed,
        )
        if checkpoints is not None or attribution is not None:
            source = TorchGradients(
                source,
                checkpoints,
                keep=gradients,
                dimensions=attribution,
                layers=gradient_layers,
                first=first_label or 0,
                seed=seed,
            )
    else:
        given = [name for name, value in torch_only.items() if value is not None and value != ()]
        if given:
            raise CollectError(f"{given[0]} is for torch models: got a {type(model).__name__}.")
        source = other_source(model, embedding, classes, seed)
    passes = {"": loader} if train is None else {"": loader, TRAIN: train}
    in_order = {"": kept[""].tables(), TRAIN: [f"train_{one}" for one in kept[TRAIN].tables()]}
    in_order[TRAIN] += ["confidence"] * (confidence is not None)
    with spooled(target) as spool, ExitStack() as stack:
        for part, batches in passes.items():
            what = "train" if part else "the loader"
            spool.notes += told_of_loader(batches, what, in_order[part])
        stack.enter_context(source)
        members = population_sources(model, source, populations, device, classes, columns)
        for several in members.values():
            for one in several:
                stack.enter_context(one)
        gathering = Gathering(spool, source, members, classes, first_label, columns, allow, kept)
        for number, (part, batches) in enumerate(passes.items()):
            gathering.part(part, batches, batch_size, OnePass(progress, number, len(passes)))
        if confidence is not None:
            add_confidence(spool, confidence, train is not None)
        collected = gathering.close(target)
        spool.write(target, lambda message: progress(1.0, message))
    return collected


@dataclass(frozen=True)
class OnePass:
    """Progress of one of several passes."""

    progress: Callable[[float, str], None]
    number: int
    of: int

    def __call__(self, done: float, message: str) -> None:
        self.progress(min(1.0, (self.number + done) / self.of), message)


def is_torch(model: Any) -> bool:
    """Whether it is a torch module; torch is not loaded for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def other_source(
    model: Any,
    embedding: Callable[[Any], Any] | None,
    classes: Sequence[str] | None,
    seed: int = 0,
) -> Estimator | Function:
    """The source of a model that is no torch module."""
    if hasattr(model, "predict") and hasattr(model, "fit"):
        return Estimator(model, embedding, seed)
    if callable(model):
        return Function(model, embedding, classes)
    raise CollectError(
        "model must be a torch module, a fitted scikit-learn estimator or a function: got a "
        f"{type(model).__name__}."
    )


def population_sources(
    model: Any,
    source: ModelSource,
    populations: Mapping[str, Sequence[Any]] | None,
    device: Any,
    classes: Sequence[str] | None,
    columns: Sequence[str],
) -> dict[str, list[ModelSource]]:
    """The models of every population, each as a source."""
    made: dict[str, list[ModelSource]] = {}
    for name, several in (populations or {}).items():
        if not name.strip() or "/" in name or "\\" in name:
            raise CollectError(f"a population needs a plain name: got {name!r}.")
        if not isinstance(several, (list, tuple)) or not several:
            raise CollectError(f"population {name!r} must be a list of one model or more.")
        for one in several:
            found: Any
            if is_torch(model):
                twin = loaded(model, one, f"a model of population {name!r}")
                found = TorchModel(twin, device=device, columns=columns)
            else:
                found = other_source(one, None, classes)
                if isinstance(found, Estimator) and found.classes != source.classes:
                    raise CollectError(
                        f"models of population {name!r} must know the classes of the model: got "
                        f"{found.classes} where it has {source.classes}."
                    )
            made.setdefault(name, []).append(found)
    return made


def add_confidence(spool: Spool, confidence: Confidence, trained: bool) -> None:
    """Write the confidence over training as ``train/msp``."""
    values: NDArray[np.float32] = confidence.values
    rows = spool.rows(f"{TRAIN}embeddings")
    if trained and rows != len(values):
        raise CollectError(
            f"confidence must have one row per training example: got {len(values)} and train gave "
            f"{rows}."
        )
    spool.add(f"{TRAIN}msp", values)
