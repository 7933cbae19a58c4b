"""Projected gradients of the margin, example by example, from a live model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from backend.attribution.projection import check_dimensions, sign_blocks
from backend.core.errors import InputError

_VALUES = 2**25
"""Numbers of the per-example gradients that are held at once."""


def margin_gradients(
    model: nn.Module,
    inputs: Any,
    labels: Any,
    *,
    k: int | None = None,
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Projected margin gradients of a batch of examples, and 1 less the probability of their class.

    Gradients are taken by ``torch.func``, a few examples at a time, on the device of the model, and
    projected with the seeded signs of ``project_features``, so batches fit together.

    Parameters
    ----------
    model : nn.Module
        Gives logits (b, C) of two classes or more, each row from its own example alone. Taken in
        evaluation mode and left in the mode it was in.
    inputs : tensor or tuple of tensors, (b, ...)
        Positional arguments of the model.
    labels : int tensor of shape (b,)
    k : int, optional
        Dimensions of the projection; by default there is none.
    layers : sequence of str, optional
        Names of submodules: only their parameters count. By default all that are trained.
    seed : int

    Returns
    -------
    features : float32 array of shape (b, k) or (b, p)
    residuals : float64 array of shape (b,)

    Raises
    ------
    InputError
        If a layer does not exist or has no parameters, the outputs are no (b, C) logits with C of 2
        or more, a label is no column, or a gradient is not finite.
    """
    chosen = _parameters(model, layers)
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    device = next(iter(chosen.values())).device
    arguments = tuple(torch.as_tensor(one).to(device) for one in arguments)
    codes = torch.as_tensor(labels).to(device)
    others = {
        name: value.detach()
        for name, value in (*model.named_parameters(), *model.named_buffers())
        if name not in chosen
    }
    p = sum(value.numel() for value in chosen.values())
    if k is not None:
        check_dimensions(k)

    def margin(parameters: dict[str, Tensor], label: Tensor, *one: Tensor) -> Tensor:
        batch = tuple(value.unsqueeze(0) for value in one)
        logits = functional_call(model, {**parameters, **others}, batch)[0]
        own = torch.arange(logits.shape[-1], device=logits.device) == label
        rest = logits.masked_fill(own, -torch.inf)
        return logits.masked_fill(~own, 0.0).sum() - torch.logsumexp(rest, 0)

    training = model.training
    model.eval()
    try:
        residuals = _residuals(model, arguments, codes)
        slopes = vmap(grad(margin), in_dims=(None, 0, *(0 for _ in arguments)))
        parameters = {name: value.detach() for name, value in chosen.items()}
        features = np.empty((len(codes), p if k is None else k), np.float32)
        step = max(1, _VALUES // p)
        for start in range(0, len(codes), step):
            rows = slice(start, start + step)
            found = slopes(parameters, codes[rows], *(one[rows] for one in arguments))
            flat = torch.cat([found[name].flatten(1) for name in parameters], dim=1)
            if not bool(torch.isfinite(flat).all()):
                raise InputError(
                    "gradients of the margin must be finite: the model gives NaN or infinity for "
                    "some examples."
                )
            features[rows] = _projected(flat, k, seed)
    finally:
        model.train(training)
    return features, residuals


def _parameters(model: nn.Module, layers: Sequence[str] | None) -> dict[str, Tensor]:
    every: dict[str, Tensor] = {
        name: value for name, value in model.named_parameters() if value.requires_grad
    }
    if layers is not None:
        known = dict(model.named_modules())
        for layer in layers:
            if layer not in known:
                raise InputError(f"the model has no layer {layer!r}. It has {', '.join(known)}.")
        every = {
            name: value
            for name, value in every.items()
            if any(name.startswith(f"{layer}.") for layer in layers)
        }
    if not every:
        where = "the model" if layers is None else f"layers {', '.join(layers)}"
        raise InputError(f"{where} must have parameters that are trained: got none.")
    return every


def _residuals(
    model: nn.Module, arguments: tuple[Tensor, ...], codes: Tensor
) -> NDArray[np.float64]:
    with torch.no_grad():
        logits = model(*arguments)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(
            "the model must give logits (b, C) of two classes or more: got "
            f"{tuple(getattr(logits, 'shape', ())) or type(logits).__name__}."
        )
    if codes.shape != logits.shape[:1] or codes.is_floating_point():
        raise InputError(
            f"labels must be one whole number per example: got shape {tuple(codes.shape)} for "
            f"{len(logits)}."
        )
    if int(codes.min()) < 0 or int(codes.max()) >= logits.shape[1]:
        raise InputError(
            f"labels must be columns 0 to {logits.shape[1] - 1}: got {int(codes.min())} to "
            f"{int(codes.max())}."
        )
    chances = torch.softmax(logits.double(), 1)
    own = chances.gather(1, codes[:, None].long())[:, 0]
    residuals: NDArray[np.float64] = (1 - own).cpu().numpy()
    return residuals


def _projected(flat: Tensor, k: int | None, seed: int) -> NDArray[np.float32]:
    if k is None:
        return np.asarray(flat.float().cpu().numpy())
    projected = torch.zeros((len(flat), k), dtype=flat.dtype, device=flat.device)
    for start, signs in sign_blocks(flat.shape[1], k, seed):
        block = torch.from_numpy(signs).to(flat.device, flat.dtype)
        projected += flat[:, start : start + len(signs)] @ block
    return np.asarray(projected.float().cpu().numpy())
