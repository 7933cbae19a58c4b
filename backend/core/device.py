"""The one place where a device is chosen."""

from __future__ import annotations

import torch

from backend.core.errors import InputError


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Device that the work should run on.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` takes the first CUDA device where there is one and the CPU elsewhere. Anything
        else is taken at its word: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If the text names no device, or a CUDA device that this machine does not have.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:<number>': got {device!r}."
        ) from error
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                f"device {str(chosen)!r} was asked for, but torch finds no CUDA device here. "
                "Use 'cpu' or 'auto', or install a CUDA build of torch and its driver."
            )
        if chosen.index is not None and chosen.index >= torch.cuda.device_count():
            raise InputError(
                f"device {str(chosen)!r} was asked for, but there are only "
                f"{torch.cuda.device_count()} CUDA devices, numbered from 0."
            )
    return chosen
