"""An image-text model whose weights lie in a folder as open_clip keeps them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from backend.core.errors import InputError
from backend.imagetext.folder import BATCH, encoded
from backend.imagetext.models import FOLDER, OPEN_CLIP, WordVectors
from backend.imagetext.pixels import on_white

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Names that the library takes before any pickle."""


class OpenClipModel:
    """CLIP and its like, as open_clip keeps them: ``open_clip_config.json`` beside the weights.

    References
    ----------
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021,
    arXiv:2103.00020.
    """

    def __init__(self) -> None:
        folder = Path(os.environ.get(FOLDER, "").strip())
        if not any((folder / name).is_file() for name in WEIGHTS):
            raise InputError(
                f"{FOLDER} must hold {WEIGHTS[0]} beside {OPEN_CLIP}: got none of {', '.join(WEIGHTS)}. A "
                "pickle is never read; convert it with safetensors.torch.save_file."
            )
        import open_clip

        place = f"local-dir:{folder}"
        try:
            self._net, self._pixels = open_clip.create_model_from_pretrained(place)
            self._tokenizer = open_clip.get_tokenizer(place)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
            raise InputError(
                f"{FOLDER} must be a model that open_clip can read: {str(error)[:300]}"
            ) from error
        self._net.eval()

    @torch.inference_mode()
    def pictures(self, files: Sequence[bytes]) -> WordVectors:
        found: list[Any] = []
        for start in range(0, len(files), BATCH):
            shown = [self._pixels(on_white(file)) for file in files[start : start + BATCH]]
            found.append(self._net.encode_image(torch.stack(shown)))
        return encoded(found)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> WordVectors:
        found: list[Any] = []
        for start in range(0, len(texts), BATCH):
            asked = self._tokenizer(list(texts[start : start + BATCH]))
            found.append(self._net.encode_text(asked))
        return encoded(found)
