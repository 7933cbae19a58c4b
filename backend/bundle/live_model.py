"""A bundle from a live torch model: one pass over a loader, with a hook on the last hidden layer."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backend.bundle.bundle import Bundle
from backend.bundle.live import bundle_from
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.difficulty import variance_of_gradients

INPUT_KEYS = ("inputs", "input", "image", "images", "pixel_values", "x")
LABEL_KEYS = ("labels", "label", "targets", "target", "y")

Checkpoint = Mapping[str, Tensor] | str | os.PathLike[str]


@dataclass
class Gathered:
    """What the batches gave so far."""

    embeddings: list[Tensor] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    vog: list[np.ndarray] = field(default_factory=list)
    layers: dict[str, list[Tensor]] = field(default_factory=dict)


def collect(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: str | torch.device = "auto",
    layer: str | nn.Module | None = None,
    layers: Sequence[str] = (),
    checkpoints: Sequence[Checkpoint] | None = None,
    classes: Sequence[str] | None = None,
    examples: Any = None,
    images: Any = None,
    name: str = "collected",
    progress: Progress = ignore_progress,
) -> Bundle:
    """Embeddings, losses, predictions and probabilities of a model on a held-out set.

    Parameters
    ----------
    model : nn.Module
        Gives logits (b, C); one logit (b,) or (b, 1) for two classes; or, with float labels, one
        number of a regression. Float labels that are all 0 or 1, as binary cross-entropy wants
        them, are two classes; a note says so. An object with ``.logits``, a dictionary with ``"logits"`` or a
        tuple that starts with them will do. Run in evaluation mode, left in the mode it was in.
    loader : iterable
        Batches ``(inputs, labels)``, or dictionaries with a label under ``labels``, ``label``,
        ``targets``, ``target`` or ``y`` and the rest passed to the model: one entry by position,
        several by name. Must not shuffle if ``examples`` are given. Labels are class codes.
    device : str or torch.device
        Where to compute; the model is moved there and back. ``"auto"`` is the accelerator, if
        there is one.
    layer : str or module, optional
        Embeddings are the *output* of this layer. By default they are the *input* of the last
        ``nn.Linear`` that runs and whose output is as wide as the model's. Maps (b, c, h, w) are
        averaged over h and w.
    layers : sequence of str, optional
        Names of more submodules (as ``model.named_modules`` has them), whose outputs are kept
        beside the embeddings, under the same names.
    checkpoints : sequence of state dicts or paths, optional
        Two or more training checkpoints of the model; adds ``vog``, the variance of gradients of
        the label's logit with respect to the input, channels (axis 1 of image batches) averaged.
        Paths are loaded with ``weights_only=True``.
    classes : sequence of str, optional
        Names of the classes, in the order of the logits.
    examples : DataFrame or dict of columns, optional
        One row per example, in the loader's order.
    images : optional
        As for ``write_bundle``.
    name : str
        What to call the bundle.
    progress : Progress
        Told after every batch.

    Returns
    -------
    Bundle
        In memory. Keep it with ``write_bundle(path, **bundle.fields())``.

    Raises
    ------
    InputError
        If no last linear layer is found, a layer has no such name or does not run, outputs or batches are not of the shapes above, or
        gradients with respect to the inputs do not exist (token ids, say).
    BundleError
        If what the model gave is not sound: NaN in the embeddings, for example.

    References
    ----------
    Agarwal, D'souza, Hooker, Estimating Example Difficulty using Variance of Gradients, CVPR 2022,
    arXiv:2008.11600 (for ``checkpoints``).
    """
    home = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    where = choose_device(device)
    gathered = Gathered()
    training = model.training
    model.eval()
    try:
        model.to(where)
        models = _checkpoint_models(model, checkpoints)
        total = len(loader) if isinstance(loader, Sized) else None
        tap: nn.Module | None = _named_layer(model, layer)
        others = {other: _module(model, other) for other in _names("layers", layers)}
        for k, batch in enumerate(loader):
            arguments, keywords, labels = _split(batch, where)
            if tap is None:
                tap = _last_linear(model, arguments, keywords)
            _add(gathered, model, tap, layer is None, others, arguments, keywords, labels)
            if models:
                gathered.vog.append(_vog(models, arguments, keywords, labels))
            done = (k + 1) / total if total else 1 - 1 / (k + 2)
            progress(min(1.0, done), f"Batch {k + 1}" + (f" of {total}" if total else ""))
    finally:
        model.to(home)
        model.train(training)
    if not gathered.labels:
        raise InputError("loader must give one batch or more: got none.")
    return _bundle(gathered, name, classes, examples, images)


def _bundle(gathered: Gathered, name: str, classes: Any, examples: Any, images: Any) -> Bundle:
    labels = torch.cat(gathered.labels)
    notes = []
    if labels.is_floating_point() and labels.unique().tolist() == [0.0, 1.0]:
        labels = labels.long()
        notes.append(_as_two_classes(gathered, labels))
    predictions = torch.cat(gathered.predictions)
    regression = labels.is_floating_point()
    measure = "squared error" if regression else "cross-entropy of the model's logits, in nats"
    notes.insert(0, f"losses: {measure}.")
    return bundle_from(
        name,
        tuple(notes),
        embeddings=torch.cat(gathered.embeddings),
        layers={name: torch.cat(parts) for name, parts in gathered.layers.items()} or None,
        losses=torch.cat(gathered.losses),
        predictions=predictions,
        labels=None if regression else labels,
        targets=labels if regression else None,
        probabilities=None if regression else torch.cat(gathered.probabilities),
        vog=np.concatenate(gathered.vog) if gathered.vog else None,
        classes=classes,
        examples=examples,
        images=images,
    )


def _as_two_classes(gathered: Gathered, labels: Tensor) -> str:
    """Read one output per example as the score of class 1; says what the labels were taken for."""
    output = torch.cat(gathered.predictions)
    if bool(((output >= 0) & (output <= 1)).all()):
        kind = "probability"
        tiny = torch.finfo(output.dtype).tiny
        pair = torch.log(torch.stack([1 - output, output], dim=1).clamp(min=tiny))
    else:
        kind = "logit"
        pair = torch.stack([torch.zeros_like(output), output], dim=1)
    gathered.predictions = [pair.argmax(1)]
    gathered.probabilities = [pair.softmax(1).float()]
    gathered.losses = [nn.functional.cross_entropy(pair, labels, reduction="none")]
    return (
        f"labels: all are 0.0 or 1.0, so they are two classes, and the output is the {kind} of "
        "class 1. For a regression, scale the labels otherwise."
    )


def _split(batch: Any, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any], Tensor]:
    """Positional and named arguments of the model, and labels."""
    if isinstance(batch, Mapping):
        key = next((key for key in LABEL_KEYS if key in batch), None)
        if key is None:
            raise InputError(
                f"batches must hold one of {', '.join(LABEL_KEYS)}: got {', '.join(map(str, batch))}."
            )
        rest = {name: _moved(value, device) for name, value in batch.items() if name != key}
        labels = torch.as_tensor(batch[key])
        if len(rest) == 1 and next(iter(rest)) in INPUT_KEYS:
            return tuple(rest.values()), {}, labels
        return (), rest, labels
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise InputError(f"batches must be (inputs, labels): got a {type(batch).__name__}.")
    return (_moved(batch[0], device),), {}, torch.as_tensor(batch[1])


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _logits(output: Any) -> Tensor:
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, (tuple, list)):
        output = output[0]
    else:
        output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise InputError(f"the model must give logits as a tensor: got a {type(output).__name__}.")
    return output


def _named_layer(model: nn.Module, layer: str | nn.Module | None) -> nn.Module | None:
    if layer is None or isinstance(layer, nn.Module):
        return layer
    return _module(model, layer)


def _names(what: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str):
        raise InputError(f"{what} must be a list of names: got the single text {names!r}.")
    return list(names)


def _module(model: nn.Module, layer: str) -> nn.Module:
    modules = dict(model.named_modules())
    if layer not in modules:
        names = ", ".join(list(modules)[-8:])
        raise InputError(
            f"layer must be a module of the model: got {layer!r}. The last are {names}."
        )
    return modules[layer]


def _last_linear(model: nn.Module, arguments: Any, keywords: Any) -> nn.Module:
    """The last ``nn.Linear`` to run whose output is as wide as the model's."""
    ran: list[tuple[nn.Module, int]] = []
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output: ran.append((module, output.shape[-1]))
        )
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            output = _logits(model(*arguments, **keywords))
    finally:
        for handle in handles:
            handle.remove()
    width = output.shape[-1] if output.ndim > 1 else 1
    for module, wide in reversed(ran):
        if wide == width:
            return module
    raise InputError(
        f"no nn.Linear with {width} outputs ran in the model, so the last hidden layer is not "
        "known. Name it: layer='...', the module whose output is the embedding."
    )


@contextmanager
def _tapped(module: nn.Module, take_input: bool) -> Iterator[list[Tensor]]:
    """What goes into (or comes out of) ``module`` while the block runs."""
    seen: list[Tensor] = []

    def hook(_: nn.Module, inputs: Any, output: Any) -> None:
        value = inputs[0] if take_input else output
        seen.append((value[0] if isinstance(value, (tuple, list)) else value).detach())

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def _add(
    gathered: Gathered,
    model: nn.Module,
    tap: nn.Module,
    take_input: bool,
    others: Mapping[str, nn.Module],
    arguments: Any,
    keywords: Any,
    labels: Tensor,
) -> None:
    with torch.no_grad(), ExitStack() as stack:
        seen = stack.enter_context(_tapped(tap, take_input))
        beside = {
            name: stack.enter_context(_tapped(module, False)) for name, module in others.items()
        }
        output = _logits(model(*arguments, **keywords))
    gathered.embeddings.append(_vectors(seen, len(labels), "the layer"))
    for name, held in beside.items():
        vectors = _vectors(held, len(labels), f"layer {name!r}")
        gathered.layers.setdefault(name, []).append(vectors)
    output, labels = output.detach().double().cpu(), labels.detach().cpu()
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(f"labels must be (b,): got shape {tuple(labels.shape)}.")
    if output.ndim == 2 and output.shape[1] == 1:
        output = output[:, 0]
    if len(output) != len(labels) or output.ndim > 2:
        raise InputError(
            f"logits must be (b, C): got {tuple(output.shape)} for {len(labels)} labels."
        )
    if labels.is_floating_point():
        if output.ndim != 1:
            raise InputError(
                f"float labels need one output per example: got {tuple(output.shape)}. "
                "Class codes must be integers."
            )
        gathered.predictions.append(output)
        gathered.losses.append((output - labels) ** 2)
    else:
        if output.ndim == 1:  # one logit for two classes is the second of a pair whose first is 0
            output = torch.stack([torch.zeros_like(output), output], dim=1)
        _check_codes(labels, output.shape[1])
        gathered.predictions.append(output.argmax(1))
        gathered.probabilities.append(output.softmax(1).float())
        gathered.losses.append(nn.functional.cross_entropy(output, labels.long(), reduction="none"))
    gathered.labels.append(labels)


def _vectors(seen: list[Tensor], n: int, what: str) -> Tensor:
    """What a layer gave last, as one vector per example."""
    if not seen:
        raise InputError(f"{what} did not run. Name one that does.")
    given = seen[-1]
    if given.ndim == 4:
        given = given.mean((2, 3))
    if given.ndim != 2 or len(given) != n:
        raise InputError(
            f"{what} must give one vector per example: got shape {tuple(given.shape)} for "
            f"{n} labels. Name another layer."
        )
    # Embeddings in half the precision stay so; bfloat16, which numpy lacks, becomes float32.
    return given.float().cpu() if given.dtype == torch.bfloat16 else given.cpu()


def _check_codes(labels: Tensor, n_classes: int) -> None:
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= n_classes):
        raise InputError(
            f"labels must be class codes below {n_classes}: got {int(labels.min())} to "
            f"{int(labels.max())}."
        )


def _checkpoint_models(
    model: nn.Module, checkpoints: Sequence[Checkpoint] | None
) -> list[nn.Module]:
    if checkpoints is None:
        return []
    if len(checkpoints) < 2:
        raise InputError(f"checkpoints must be two or more: got {len(checkpoints)}.")
    where = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    models = []
    for checkpoint in checkpoints:
        state = checkpoint
        if not isinstance(state, Mapping):
            state = torch.load(state, map_location=where, weights_only=True)
        twin = copy.deepcopy(model)
        try:
            twin.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"a checkpoint does not fit the model: {error}") from error
        models.append(twin.eval().requires_grad_(False))
    return models


def _vog(models: list[nn.Module], arguments: Any, keywords: Any, labels: Tensor) -> np.ndarray:
    """Raw VoG of one batch, shape (b,): fresh gradients of the label's logit per checkpoint."""
    named = next((key for key in INPUT_KEYS if key in keywords), None)
    given = arguments[0] if arguments else keywords.get(named) if named else None
    if not isinstance(given, Tensor) or not given.is_floating_point():
        raise InputError(
            "checkpoints need inputs with gradients, one float tensor per batch: got "
            f"{given.dtype if isinstance(given, Tensor) else type(given).__name__}."
        )
    gradients = []
    for model in models:
        inputs = given.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            output = _logits(
                model(inputs, *arguments[1:])
                if arguments
                else model(**{**keywords, str(named): inputs})
            )
            if output.ndim == 2 and output.shape[1] > 1 and not labels.is_floating_point():
                rows = torch.arange(len(labels), device=output.device)
                output = output[rows, labels.to(output.device).long().reshape(-1)]
            (gradient,) = torch.autograd.grad(output.sum(), inputs)
        gradients.append(gradient.double().cpu().numpy())
    stacked = np.stack(gradients)
    return variance_of_gradients(stacked, channel_axis=2 if stacked.ndim == 5 else None).raw
