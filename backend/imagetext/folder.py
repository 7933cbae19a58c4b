"""An image-text model whose weights lie in a folder that whoever runs the server names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.core.errors import InputError
from backend.imagetext.models import FOLDER, WordVectors
from backend.imagetext.pixels import on_white

BATCH = 16


class FolderModel:
    """CLIP, SigLIP and their like, as transformers keeps them: safetensors only, nothing fetched.

    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021,
    arXiv:2103.00020.
    """

    def __init__(self) -> None:
        folder = Path(os.environ.get(FOLDER, ""))
        weights_of(folder)
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._net = AutoModel.from_pretrained(folder, use_safetensors=True, **local).eval()
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            self._pixels = AutoImageProcessor.from_pretrained(folder, use_fast=False, **local)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise InputError(
                f"{FOLDER} must be a model that transformers can read: {str(error)[:300]}"
            ) from error
        if not (
            hasattr(self._net, "get_image_features") and hasattr(self._net, "get_text_features")
        ):
            raise InputError(
                f"{FOLDER} must be a model of pictures and texts, such as CLIP or SigLIP: "
                f"got {type(self._net).__name__}."
            )

    @torch.inference_mode()
    def pictures(self, files: Sequence[bytes]) -> WordVectors:
        found = []
        for start in range(0, len(files), BATCH):
            shown = [on_white(file) for file in files[start : start + BATCH]]
            asked = self._pixels(images=shown, return_tensors="pt")
            found.append(self._net.get_image_features(**asked))
        return encoded(found)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> WordVectors:
        found = []
        for start in range(0, len(texts), BATCH):
            # Padded to the full length, as SigLIP was taught; CLIP does not mind.
            asked = self._tokenizer(
                list(texts[start : start + BATCH]),
                padding="max_length",
                max_length=self._net.config.text_config.max_position_embeddings,
                truncation=True,
                return_tensors="pt",
            )
            found.append(self._net.get_text_features(**asked))
        return encoded(found)


def weights_of(folder: Path) -> list[Path]:
    """The safetensors files of a folder.

    Raises
    ------
    InputError
        If there are none; pickles beside them are never read.
    """
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if found:
        return found
    pickles = [
        one.name for one in sorted(folder.glob("*")) if one.suffix in (".bin", ".pt", ".pth")
    ]
    if pickles:
        raise InputError(
            f"{FOLDER} must hold safetensors: got {pickles[0]}, a pickle, which can run code. Convert "
            "it with safetensors.torch.save_file."
        )
    raise InputError(f"{FOLDER} must be a folder with *.safetensors: got {str(folder)[:200]!r}.")


def encoded(parts: list[torch.Tensor]) -> WordVectors:
    """What a model gave in parts, of length 1."""
    vectors = torch.nn.functional.normalize(torch.cat(parts).float()).numpy()
    return WordVectors(vectors, np.ones(len(vectors), np.float32))
