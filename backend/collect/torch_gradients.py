"""Gradients of a torch model: with respect to the inputs for VoG, to the parameters for attribution."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.media import plain
from backend.collect.outputs import are_chances, chances_and_losses
from backend.collect.projection import blocks_of
from backend.collect.seen import Seen
from backend.collect.torch_model import (
    INPUT_KEYS,
    Call,
    Evaluating,
    TorchModel,
    as_array,
    labels_of,
    logits_of,
    named_module,
    one_column,
)

if TYPE_CHECKING:
    import torch

GRADIENTS_HELD = 2**26
"""Numbers of the gradients of several examples that are held at a time (256 MiB)."""


def loaded(model: torch.nn.Module, checkpoint: Any, what: str) -> torch.nn.Module:
    """The model with the weights of a checkpoint: itself one, a state dict, or the path of one."""
    import torch

    if isinstance(checkpoint, torch.nn.Module):
        return checkpoint
    state = checkpoint
    if not isinstance(state, Mapping):
        where = next((one.device for one in model.parameters()), torch.device("cpu"))
        state = torch.load(os.fspath(state), map_location=where, weights_only=True)
    twin = copy.deepcopy(model)
    try:
        twin.load_state_dict(state)
    except RuntimeError as error:
        raise CollectError(f"{what} does not fit the model: {error}") from error
    return twin


class TorchGradients:
    """A torch source that also takes gradients, at several checkpoints or at the model as it is.

    Parameters
    ----------
    source : TorchModel
    checkpoints : sequence of modules, state dicts or paths, optional
    keep : bool
        Whether the gradients of the inputs are kept beside their variance.
    dimensions : int, optional
        Project the gradients of the margin to so many dimensions, for attribution.
    layers : sequence of str
        Only the parameters of these modules.
    first : int
        The code of the first class.
    seed : int
        Of the projection; every checkpoint has its own.

    References
    ----------
    Agarwal, D'souza, Hooker, Estimating Example Difficulty using Variance of Gradients, CVPR 2022,
    arXiv:2008.11600. Park et al., TRAK: Attributing Model Behavior at Scale, ICML 2023, section 3,
    arXiv:2303.14186.
    """

    def __init__(
        self,
        source: TorchModel,
        checkpoints: Sequence[Any] | None,
        *,
        keep: bool = False,
        dimensions: int | None = None,
        layers: Sequence[str] = (),
        first: int = 0,
        seed: int = 0,
    ) -> None:
        if checkpoints is not None and len(checkpoints) < 2:
            raise CollectError(f"checkpoints must be two or more: got {len(checkpoints)}.")
        if dimensions is not None and dimensions < 1:
            raise CollectError(f"attribution must be a number of dimensions: got {dimensions}.")
        self.source, self.first, self.seed = source, first, seed
        self.kind, self.classes, self.notes = source.kind, source.classes, source.notes
        self.models = [loaded(source.model, one, "a checkpoint") for one in checkpoints or ()]
        self.vog, self.keep, self.dimensions = checkpoints is not None, keep, dimensions
        for module in layers:
            named_module(source.model, module)
        self.parameters = [
            name
            for name, parameter in source.model.named_parameters()
            if parameter.requires_grad
            and (not layers or any(name.startswith(f"{layer}.") for layer in layers))
        ]
        if dimensions is not None and not self.parameters:
            raise CollectError("attribution needs parameters that are trained: the model has none.")
        self._modes = [Evaluating(model, source.device) for model in self.models]
        self._chances: bool | None = None
        self._together = True
        if dimensions is not None:
            total = sum(
                parameter.numel()
                for name, parameter in source.model.named_parameters()
                if name in self.parameters
            )
            of = f"of {', '.join(layers)}" if layers else "of the model"
            self.notes.append(
                f"attribution: gradients of the margin by {total} parameters {of}, projected to "
                f"{dimensions} dimensions by random signs (seed {seed}), at "
                f"{max(1, len(self.models))} checkpoint{'s' * (len(self.models) > 1)}."
            )

    def __enter__(self) -> TorchGradients:
        self.source.__enter__()
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for mode in reversed(self._modes):
            mode.__exit__()
        self.source.__exit__(kind, error, trace)

    def output(self, batch: Any) -> NDArray[Any]:
        """What the model puts out for a batch."""
        return self.source.output(batch)

    def see(self, batch: Any, training: bool = False) -> Seen:
        """Everything about a batch, with its gradients."""
        seen = self.source.see(batch, training)
        call = self.source.call(batch)
        labels = labels_of(call.labels)
        if labels.dtype.kind in "iu":
            labels = self._codes(labels, seen.output)
        parts: dict[str, Sequence[NDArray[Any]]] = {}
        if self.vog and not training:
            gradients = [input_gradients(model, call, labels) for model in self.models]
            seen.vog = variance(np.stack(gradients), call.mask)
            if self.keep:
                parts["gradients"] = [one.astype(np.float32) for one in gradients]
        if self.dimensions is not None:
            parts |= self._attribution(call, labels)
        seen.parts = parts
        return seen

    def _codes(self, labels: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
        n_classes = output.shape[1] if output.ndim == 2 else 2
        codes = labels - self.first
        if len(codes) and (codes.min() < 0 or codes.max() >= n_classes):
            raise CollectError(
                f"labels must be class codes below {n_classes} for gradients: got {codes.min()} to "
                f"{codes.max()}. If they are counted from 1, say first_label=1."
            )
        return codes

    def _attribution(self, call: Call, codes: NDArray[Any]) -> dict[str, Sequence[NDArray[Any]]]:
        """Projected gradients and residuals of a batch, one array per checkpoint."""
        import torch

        features, residuals = [], []
        for number, model in enumerate(self.models or [self.source.model]):
            with torch.no_grad():
                raw = logits_of(model(*call.arguments, **call.keywords))
            output = one_column(as_array(raw))
            if self._chances is None:
                self._chances = are_chances(output)
            if codes.dtype.kind == "f":
                if not np.isin(codes, (0.0, 1.0)).all():
                    raise CollectError(
                        "attribution needs class labels, since its margin is that of a class: got "
                        f"the label {codes[~np.isin(codes, (0.0, 1.0))][0]}."
                    )
                codes = codes.astype(np.int64)
            kind = "probabilities" if self._chances else "logits"
            losses = chances_and_losses(output.astype(np.float64), codes, kind)[1]
            residuals.append((1 - np.exp(-losses)).astype(np.float32))
            features.append(self._projected(model, call, codes, number))
        return {"features": features, "residuals": residuals}

    def _projected(
        self, model: torch.nn.Module, call: Call, codes: NDArray[Any], number: int
    ) -> NDArray[np.float32]:
        import torch

        assert self.dimensions is not None
        chosen = {
            name: parameter.detach()
            for name, parameter in model.named_parameters()
            if name in self.parameters
        }
        total = sum(parameter.numel() for parameter in chosen.values())
        step = max(1, GRADIENTS_HELD // total)
        labels = torch.as_tensor(codes, device=self.source.device)
        made = []
        for start in range(0, len(codes), step):
            rows = slice(start, start + step)
            flat = self._gradients(model, chosen, part_of(call, rows), labels[rows])
            total_of = torch.zeros(len(flat), self.dimensions, device=flat.device)
            for begin, block in blocks_of(flat.shape[1], self.dimensions, [self.seed, number]):
                total_of += flat[:, begin : begin + len(block)] @ torch.from_numpy(block).to(
                    flat.device
                )
            made.append(as_array(total_of) / np.float32(np.sqrt(self.dimensions)))
        return np.concatenate(made)

    def _gradients(
        self,
        model: torch.nn.Module,
        chosen: dict[str, torch.Tensor],
        call: Call,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Gradients of the margin of each example, shape (b, p): all at once where that is possible."""
        import torch

        chances = bool(self._chances)

        def margin(
            weights: Any, arguments: Any, keywords: Any, label: torch.Tensor
        ) -> torch.Tensor:
            single = tuple(each_row(one, lambda tensor: tensor[None]) for one in arguments)
            named = each_row(keywords, lambda tensor: tensor[None])
            output = torch.func.functional_call(model, weights, single, named)
            return margin_of(logits_of(output), label, chances)

        if self._together:
            together = torch.func.vmap(torch.func.grad(margin), (None, 0, 0, 0), randomness="error")
            try:
                found = together(chosen, call.arguments, call.keywords, labels)
                return torch.cat([found[name].flatten(1) for name in chosen], dim=1).float()
            except (RuntimeError, ValueError, TypeError):
                self._together = False  # it looks at values, or holds what is no tensor
        rows = []
        for row in range(len(labels)):
            one = part_of(call, slice(row, row + 1))
            weights = {name: weight.clone().requires_grad_(True) for name, weight in chosen.items()}
            with torch.enable_grad():
                output = torch.func.functional_call(model, weights, one.arguments, one.keywords)
                value = margin_of(logits_of(output), labels[row], chances)
                found = torch.autograd.grad(
                    value, list(weights.values()), allow_unused=True, materialize_grads=True
                )
            rows.append(torch.cat([gradient.flatten() for gradient in found]))
        return torch.stack(rows).float()


def margin_of(output: torch.Tensor, label: torch.Tensor, chances: bool) -> torch.Tensor:
    """``log(p / (1 - p))`` of the label's probability p for one example, without leaving logits.

    Park et al. 2023, section 3: the logit of the label less the logarithm of the summed exponentials
    of all others.
    """
    import torch

    output = output.reshape(-1)
    if len(output) == 1:
        value = torch.logit(output[0]) if chances else output[0]
        return value * (2 * label - 1)
    scores = output.log() if chances else output
    own = torch.arange(len(scores), device=scores.device) == label
    least = torch.finfo(scores.dtype).min
    others = torch.where(own, torch.full_like(scores, least), scores)
    return torch.where(own, scores, torch.zeros_like(scores)).sum() - others.logsumexp(0)


def each_row(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Every tensor in a value, changed; everything else as it is."""
    import torch

    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: each_row(one, change) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(each_row(one, change) for one in value)
    return value


def part_of(call: Call, rows: slice) -> Call:
    """Some of the examples of a batch."""

    def take(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[rows] if tensor.ndim else tensor

    return Call(
        each_row(call.arguments, take), each_row(call.keywords, take), each_row(call.labels, take)
    )


def input_gradients(
    model: torch.nn.Module, call: Call, labels: NDArray[Any]
) -> NDArray[np.float64]:
    """Gradient of the label's logit with respect to the input, colour channels averaged with sign.

    Where the inputs are token ids, with respect to what the model embeds them as: (b, T), averaged
    over the dimensions of the embedding.
    """
    import torch

    named = next((key for key in INPUT_KEYS if key in call.keywords), None)
    given = call.arguments[0] if call.arguments else call.keywords.get(named) if named else None
    held: list[torch.Tensor] = []
    handle = None
    arguments, keywords = call.arguments, dict(call.keywords)
    words = embedding_module(model)
    if isinstance(given, torch.Tensor) and given.is_floating_point():
        held.append(given.detach().clone().requires_grad_(True))
        if arguments:
            arguments = (held[0], *arguments[1:])
        else:
            keywords[str(named)] = held[0]
    elif words is not None:

        def hook(_: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            held.append(output.detach().requires_grad_(True))
            return held[-1]

        handle = words.register_forward_hook(hook)
    else:
        kind = given.dtype if isinstance(given, torch.Tensor) else type(given).__name__
        raise CollectError(
            f"checkpoints need inputs with gradients, one float tensor per batch: got {kind}."
        )
    try:
        with torch.enable_grad():
            output = logits_of(model(*arguments, **keywords))
            if output.ndim == 2 and output.shape[1] > 1 and labels.dtype.kind in "iu":
                rows = torch.arange(len(labels), device=output.device)
                output = output[rows, torch.as_tensor(labels, device=output.device)]
            (gradient,) = torch.autograd.grad(output.sum(), held[0])
    finally:
        if handle is not None:
            handle.remove()
    found = np.asarray(plain(gradient), dtype=np.float64)
    if handle is not None:
        return found.mean(axis=-1) if found.ndim == 3 else found
    return found.mean(axis=1) if found.ndim == 4 else found


def embedding_module(model: torch.nn.Module) -> torch.nn.Module | None:
    """What turns token ids into vectors, where the model has such a thing."""
    import torch

    if hasattr(model, "get_input_embeddings"):
        ask: Any = model.get_input_embeddings
        found: torch.nn.Module = ask()
        return found
    return next((one for one in model.modules() if isinstance(one, torch.nn.Embedding)), None)


def variance(
    gradients: NDArray[np.float64], mask: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """VoG (b,) of gradients (t, b, ...): mean over inputs of the standard deviation over checkpoints."""
    moved = gradients - gradients[:1]  # what never changes is then exactly 0, not rounding error
    deviation = moved.std(axis=0)
    if mask is not None and deviation.shape == mask.shape:
        return np.asarray((deviation * mask).sum(axis=1) / np.maximum(mask.sum(axis=1), 1))
    return np.asarray(deviation.reshape(len(deviation), -1).mean(axis=1))
