"""A bundle from a live model: collected to disk by ``backend.collect``, then read like any upload."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backend import collect as collector
from backend.bundle.bundle import Bundle
from backend.bundle.home import read_bundle
from backend.bundle.live import bundle_from
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress


def collect(
    model: Any,
    loader: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    name: str = "collected",
    progress: Progress = ignore_progress,
    **options: Any,
) -> Bundle:
    """Embeddings, losses, predictions and probabilities of a model on a held-out set.

    Parameters
    ----------
    model : nn.Module, scikit-learn estimator or callable
        A torch module is run in evaluation mode and left as it was.
    loader : iterable, or a tuple of two arrays
        Batches ``(inputs, labels)``, or dictionaries with the labels under ``labels``. Two arrays
        ``(X, y)`` are cut into batches.
    out : path-like, optional
        Write the bundle here, batch by batch: ``.npz``, ``.zip``, or without a suffix a new folder,
        whose arrays are memory-mapped afterwards. By default it is in memory.
    name : str
        What to call the bundle.
    progress : Progress
        Told after every batch; what it raises stops the work, and nothing is left behind.
    **options
        As for ``backend.collect.collect``: ``device``, ``layer``, ``layers``, ``tokens``,
        ``precision``, ``embedding``, ``classes``, ``first_label``, ``loss``, ``train``, ``examples``,
        ``columns``, ``images``, ``texts``, ``populations``, ``checkpoints``, ``gradients``,
        ``attribution``, ``gradient_layers``, ``confidence``, ``batch_size``, ``allow``, ``seed``.

    Returns
    -------
    Bundle
        Without ``out``, keep it with ``write_bundle(path, **bundle.fields())``.

    Raises
    ------
    InputError
        If the model, the loader or an option cannot be used: what was needed, what came.
    BundleError
        If what the model gave is not sound: NaN in the embeddings, for example.

    Notes
    -----
    Beside training code that knows nothing of Errorscope the same is done by one file:
    ``python -m backend collect --standalone collector.py``.
    """
    try:
        if out is not None:
            collector.collect(model, loader, out=out, progress=progress, **options)
            return replace(read_bundle(out), name=name)
        with tempfile.TemporaryDirectory(prefix="errorscope-collect-") as folder:
            path = Path(folder) / "collected.npz"
            collector.collect(model, loader, out=path, progress=progress, **options)
            with np.load(path, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
    except collector.CollectError as error:
        raise InputError(str(error)) from error
    return bundle_from(name, arrays)
