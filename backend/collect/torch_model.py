"""A torch module, asked batch by batch: hooks on its layers, nothing of it left changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.media import plain
from backend.collect.projection import TOKEN_DIMENSIONS, projected_tokens
from backend.collect.seen import Seen, inputs_and_labels

if TYPE_CHECKING:
    import torch

INPUT_KEYS = ("inputs", "input", "image", "images", "pixel_values", "x")
TOKENS = ("mean", "first", "last", "concatenate")
"""How the states of tokens become one vector."""
IGNORED = -100
"""The label of tokens that do not count, as torch has it."""
PRECISIONS = ("float16", "bfloat16")
ANSWER = ("start_logits", "end_logits", "start_positions", "end_positions")
"""What marks a model that answers questions by where the answer begins and ends."""


@dataclass(frozen=True)
class Call:
    """One batch as the model is called with it: positional and named arguments, and labels."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    labels: Any

    @property
    def mask(self) -> NDArray[Any] | None:
        """Which tokens are there, (b, T), where the batch says so."""
        mask = self.keywords.get("attention_mask")
        return None if mask is None else np.asarray(plain(mask))


def call_of(batch: Any, device: torch.device, columns: Sequence[str] = ()) -> Call:
    """How the model is called with a batch; ``columns`` of a dictionary are not for the model."""
    import torch

    if isinstance(batch, Mapping) and set(ANSWER[2:]) <= set(batch):
        ends = torch.stack([torch.as_tensor(batch[key]) for key in ANSWER[2:]], dim=1)
        rest = {key: value for key, value in batch.items() if key not in ANSWER[2:]}
        given, labels = rest, ends
    else:
        given, labels = inputs_and_labels(batch)
        labels = torch.as_tensor(labels)
    if not isinstance(batch, Mapping):
        return Call((moved(given, device),), {}, labels)
    rest = {name: moved(value, device) for name, value in given.items() if name not in columns}
    if len(rest) == 1 and next(iter(rest)) in INPUT_KEYS:
        return Call(tuple(rest.values()), {}, labels)
    return Call((), rest, labels)


def moved(value: Any, device: torch.device) -> Any:
    """Tensors on the device, also inside of lists and dictionaries; arrays become tensors."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        tensor = torch.as_tensor(value)
        single = tensor.dtype == torch.float64  # what numpy makes, and models do not compute in
        return tensor.to(device, torch.get_default_dtype() if single else tensor.dtype)
    if isinstance(value, Mapping):
        return {key: moved(one, device) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(moved(one, device) for one in value)
    return value


def logits_of(output: Any) -> torch.Tensor:
    """The logits in what a model returned."""
    import torch

    if isinstance(output, Mapping) and set(ANSWER[:2]) <= set(output):
        return torch.stack([output[key] for key in ANSWER[:2]], dim=2)  # (b, T, 2)
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, (tuple, list)):
        output = output[0]
    else:
        output = getattr(output, "logits", output)
    if not isinstance(output, torch.Tensor):
        raise CollectError(
            f"the model must give logits as a tensor: got a {type(output).__name__}."
        )
    return output


def device_of(named: str | torch.device) -> torch.device:
    """The device that is meant; ``"auto"`` is the accelerator, where there is one."""
    import torch

    if named == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(named)
    except (RuntimeError, TypeError) as error:
        raise CollectError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:<number>': got {named!r}."
        ) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise CollectError(
            f"device {str(found)!r} was asked for, but torch finds {torch.cuda.device_count()} CUDA "
            "devices here. Use 'cpu' or 'auto'."
        )
    return found


def named_module(model: torch.nn.Module, name: str) -> torch.nn.Module:
    """The module of this name, or an error that lists the last ones."""
    modules = dict(model.named_modules())
    if name not in modules:
        names = ", ".join(list(modules)[-8:])
        raise CollectError(
            f"layer must be a module of the model: got {name!r}. The last are {names}."
        )
    return modules[name]


class Evaluating:
    """A module in evaluation mode on a device; afterwards every part of it is as it was."""

    def __init__(self, model: torch.nn.Module, device: torch.device) -> None:
        self.model, self.device = model, device

    def __enter__(self) -> Evaluating:
        import torch

        self._modes = {module: module.training for module in self.model.modules()}
        self._home = next((one.device for one in self.model.parameters()), torch.device("cpu"))
        self.was_training = any(self._modes.values())
        self.model.eval()
        self.model.to(self.device)
        return self

    def __exit__(self, *_: object) -> None:
        self.model.to(self._home)
        for module, training in self._modes.items():
            module.training = training


@contextlib.contextmanager
def tapped(module: torch.nn.Module, take_input: bool) -> Iterator[list[Any]]:
    """What goes into (or comes out of) ``module`` while the block runs."""
    seen: list[Any] = []

    def hook(_: Any, inputs: Any, output: Any) -> None:
        value = inputs[0] if take_input else output
        if isinstance(value, (tuple, list)):
            value = value[0]
        elif not hasattr(value, "detach"):  # what Hugging Face models return
            value = getattr(value, "last_hidden_state", value)
        seen.append(value.detach())

    handle = module.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


class TorchModel:
    """A torch module as a source.

    Parameters
    ----------
    model : nn.Module
    device : str or torch.device
    layer : str or module, optional
        Embeddings are the output of this one; else the input of the last ``nn.Linear`` that runs
        and whose output is as wide as the model's.
    layers : sequence of str
        Names of more modules whose outputs are kept.
    precision : str, optional
        ``"float16"`` or ``"bfloat16"``: compute in mixed precision.
    tokens : str, optional
        How states of tokens become one vector: one of ``TOKENS``.
    loss : callable, optional
        ``loss(output, labels)`` gives one loss per example.
    columns : sequence of str
        Keys of dictionary batches that are not for the model.
    seed : int
        Of the projection of tokens.
    """

    kind = "scores"
    classes = None

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        device: str | torch.device = "auto",
        layer: str | torch.nn.Module | None = None,
        layers: Sequence[str] = (),
        precision: str | None = None,
        tokens: str | None = None,
        loss: Any = None,
        columns: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        if isinstance(layers, str):
            raise CollectError(f"layers must be a list of names: got the single text {layers!r}.")
        if precision not in (None, *PRECISIONS):
            raise CollectError(
                f"precision must be one of {', '.join(PRECISIONS)}: got {precision!r}."
            )
        if tokens not in (None, *TOKENS):
            raise CollectError(f"tokens must be one of {', '.join(TOKENS)}: got {tokens!r}.")
        self.model, self.device = model, device_of(device)
        self.tap = named_module(model, layer) if isinstance(layer, str) else layer
        self.take_input = layer is None
        self.others = {name: named_module(model, name) for name in layers}
        self.precision, self.tokens, self.loss = precision, tokens, loss
        self.columns, self.seed = tuple(columns), seed
        self.notes: list[str] = []
        if precision:
            self.notes.append(f"outputs and embeddings: computed in mixed precision, {precision}.")
        self._mode = Evaluating(model, self.device)

    def __enter__(self) -> TorchModel:
        self._mode.__enter__()
        if self._mode.was_training:
            self.notes.append(
                "the model was in training mode, at least in part: it was switched to evaluation "
                "mode while it was collected, and back."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._mode.__exit__()

    def call(self, batch: Any) -> Call:
        """How the model is called with a batch."""
        return call_of(batch, self.device, self.columns)

    def run(self, call: Call) -> Any:
        """What the model returns, without gradients and in the precision asked for."""
        import torch

        with torch.no_grad(), self.mixed():
            return self.model(*call.arguments, **call.keywords)

    def mixed(self) -> contextlib.AbstractContextManager[Any]:
        """The precision that was asked for."""
        import torch

        if self.precision is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def output(self, batch: Any) -> NDArray[Any]:
        """Logits, or whatever the model puts out in their place."""
        return one_column(as_array(logits_of(self.run(self.call(batch)))))

    def see(self, batch: Any, training: bool = False) -> Seen:
        """Embeddings, outputs, labels and layers of a batch."""
        call = self.call(batch)
        if self.tap is None:
            self.tap = self.last_linear(call)
        with ExitStack() as stack:
            seen = stack.enter_context(tapped(self.tap, self.take_input))
            beside = {
                name: stack.enter_context(tapped(module, False))
                for name, module in self.others.items()
            }
            returned = self.run(call)
        n = len(call.labels)
        raw = logits_of(returned)
        labels = labels_of(call.labels)
        by_token = raw.ndim == 3
        vectors = self.vectors(seen, n, "the layer", call, by_token)
        layers = {
            name: self.vectors(held, n, f"layer {name!r}", call, by_token)
            for name, held in beside.items()
        }
        if self.loss is not None:
            losses = as_array(self.loss(returned, moved(call.labels, self.device))).reshape(-1)
            if len(losses) != n:
                raise CollectError(
                    f"loss must give one loss per example: got {len(losses)} for {n} labels. Use "
                    "reduction='none'."
                )
            scored = raw.ndim < 3 and labels.ndim == 1
            empty = np.zeros(n, np.float32)
            output, labels = (one_column(as_array(raw)), labels) if scored else (empty, empty)
            losses = losses.astype(np.float64)
            return Seen(vectors, output, labels, losses, layers, scored=scored)
        if by_token:
            losses, columns = token_losses(raw, call.labels)
            empty = np.zeros(n, np.float32)
            return Seen(vectors, empty, empty, losses, layers, columns, scored=False)
        if labels.ndim != 1:
            raise CollectError(f"labels must be (b,): got shape {labels.shape}.")
        return Seen(vectors, one_column(as_array(raw)), labels, None, layers)

    def vectors(
        self, seen: list[Any], n: int, what: str, call: Call, by_token: bool
    ) -> NDArray[Any]:
        """What a layer gave last, as one vector per example."""
        if not seen:
            raise CollectError(f"{what} did not run. Name one that does.")
        given = seen[-1]
        if given.ndim == 4:
            given = given.mean((2, 3))
        if given.ndim == 3 and len(given) == n:
            how = self.tokens or ("concatenate" if by_token else None)
            if how is None and what == "the layer" and self.take_input:
                how = "last"  # one logit per token, of which such models take the last
            if how is not None:
                told = told_of_tokens(how, what)
                if told not in self.notes:
                    self.notes.append(told)
                return one_vector(as_array(given), call.mask, how, self.seed)
        if given.ndim != 2 or len(given) != n:
            more = (
                "" if given.ndim != 3 else f", or say what to do with tokens ({', '.join(TOKENS)})"
            )
            raise CollectError(
                f"{what} must give one vector per example: got shape {tuple(given.shape)} for "
                f"{n} labels. Name another layer{more}."
            )
        return as_array(given)

    def last_linear(self, call: Call) -> torch.nn.Module:
        """The last ``nn.Linear`` to run whose output is as wide as the model's."""
        import torch

        ran: list[tuple[torch.nn.Module, int]] = []

        def hook(module: torch.nn.Module, _: Any, output: Any) -> None:
            ran.append((module, output.shape[-1]))

        handles = [
            module.register_forward_hook(hook)
            for module in self.model.modules()
            if isinstance(module, torch.nn.Linear)
        ]
        try:
            output = logits_of(self.run(call))
        finally:
            for handle in handles:
                handle.remove()
        width = output.shape[-1] if output.ndim > 1 else 1
        for module, wide in reversed(ran):
            if wide == width:
                return module
        raise CollectError(
            f"no nn.Linear with {width} outputs ran in the model, so the last hidden layer is not "
            "known. Name it: layer='...', the module whose output is the embedding."
        )


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor as numpy; bfloat16, which numpy lacks, becomes float32."""
    return np.asarray(plain(tensor))


def one_column(output: NDArray[Any]) -> NDArray[Any]:
    """Outputs (b, 1) as (b,)."""
    return output[:, 0] if output.ndim == 2 and output.shape[1] == 1 else output


def labels_of(labels: Any) -> NDArray[Any]:
    """Labels as numpy, (b, 1) as (b,)."""
    array = np.asarray(plain(labels))
    array = one_column(array)
    return array.astype(np.int64) if array.dtype.kind in "bu" else array


def told_of_tokens(how: str, what: str) -> str:
    """A sentence on how states of tokens became one vector."""
    of = "embeddings" if what == "the layer" else what
    if how == "concatenate":
        return (
            f"{of}: the states of all tokens, concatenated and projected to {TOKEN_DIMENSIONS} "
            "dimensions by random signs."
        )
    return f"{of}: the {how} state of the tokens that are not padding."


def one_vector(
    states: NDArray[Any], mask: NDArray[Any] | None, how: str, seed: int
) -> NDArray[Any]:
    """States (b, T, h) of tokens as one vector per example."""
    mask = np.ones(states.shape[:2]) if mask is None else mask
    if how == "concatenate":
        return projected_tokens(states, mask, TOKEN_DIMENSIONS, seed)
    rows = np.arange(len(states))
    if how == "first":
        return np.asarray(states[rows, mask.argmax(axis=1)])
    if how == "last":
        return np.asarray(states[rows, (mask * np.arange(1, mask.shape[1] + 1)).argmax(axis=1)])
    weights = mask[:, :, None] / np.maximum(mask.sum(axis=1), 1)[:, None, None]
    return (states * weights).sum(axis=1).astype(states.dtype)


def token_losses(
    raw: torch.Tensor, labels: torch.Tensor
) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]]]:
    """Losses of outputs per token, and columns that say how many tokens were right.

    Of logits (b, T, C) with labels (b, T), the mean over tokens that count; of the logits of begin
    and end (b, T, 2) with their places (b, 2), the mean of both.
    """
    import torch

    raw, labels = raw.detach().cpu().double(), labels.cpu().long()
    if raw.shape[:2] == labels.shape:
        each = torch.nn.functional.cross_entropy(
            raw.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED
        )
        counted = labels != IGNORED
        right = (raw.argmax(2) == labels) & counted
        count = counted.sum(1)
        several = count.clamp(min=1)
        return as_array(each.sum(1) / several), {
            "tokens": as_array(count),
            "tokens right": as_array(right.sum(1) / several),
        }
    if raw.shape[2] == labels.shape[-1] == 2 and len(raw) == len(labels):
        each = torch.nn.functional.cross_entropy(raw, labels, reduction="none")
        return as_array(each.mean(1)), {
            "answer right": as_array((raw.argmax(1) == labels).all(1)),
        }
    raise CollectError(
        f"labels must be (b, T) for logits (b, T, C) of tokens: got {tuple(labels.shape)} for "
        f"{tuple(raw.shape)}. Give 'loss', or a model that puts out (b, C)."
    )
