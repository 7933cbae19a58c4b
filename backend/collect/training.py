"""What has to be written down while a model trains: its confidence in every example, per epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.collect.errors import CollectError
from backend.collect.media import plain
from backend.collect.outputs import are_chances, chances_and_losses


class Indexed:
    """A data set whose items also say which row they are: ``(inputs, label)`` as ``(inputs, label, row)``.

    Parameters
    ----------
    data : sequence of tuples
        As a torch ``DataLoader`` takes it.
    """

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> tuple[Any, ...]:
        return (*self.data[row], row)


class Confidence:
    """Probability of the given label of every training example, epoch by epoch.

    Call ``add`` in the training loop, before the update, and ``end_epoch`` after each epoch; then
    give it to ``collect(..., confidence=...)``.

    Parameters
    ----------
    n : int
        Number of training examples.

    Examples
    --------
    >>> confidence = Confidence(2)
    >>> confidence.add([1, 0], [[0.0, 0.0], [2.0, 0.0]], [0, 0])
    >>> confidence.end_epoch()
    >>> confidence.values.round(2).tolist()
    [[0.88], [0.5]]

    References
    ----------
    D'souza, Nussbaum, Agarwal, Hooker, A Tale of Two Long Tails, 2021, arXiv:2107.13098.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._epochs: list[NDArray[np.float32]] = []
        self._now = np.full(n, np.nan, np.float32)

    def add(self, rows: Any, outputs: Any, labels: Any) -> None:
        """Note a batch: which rows they are, the model's outputs (logits, say), and the labels."""
        places = np.asarray(plain(rows)).reshape(-1)
        scores, codes = np.asarray(plain(outputs)), np.asarray(plain(labels)).reshape(-1)
        scores = scores[:, 0] if scores.ndim == 2 and scores.shape[1] == 1 else scores
        if not len(places) == len(scores) == len(codes):
            raise CollectError(
                f"rows, outputs and labels must be equally many: got {len(places)}, {len(scores)} "
                f"and {len(codes)}."
            )
        if len(places) and (places.min() < 0 or places.max() >= self.n):
            raise CollectError(
                f"rows must lie below {self.n}: got {places.min()} to {places.max()}."
            )
        kind = "probabilities" if are_chances(scores) else "logits"
        losses = chances_and_losses(scores, codes.astype(np.int64), kind)[1]
        self._now[places] = np.exp(-losses)

    def end_epoch(self) -> None:
        """Close an epoch, in which every example must have come."""
        missing = int(np.isnan(self._now).sum())
        if missing:
            first = int(np.isnan(self._now).argmax())
            raise CollectError(
                f"every example must come in every epoch: {missing} of {self.n} did not, the first "
                f"is row {first}. Set drop_last=False, or sample without replacement."
            )
        self._epochs.append(self._now)
        self._now = np.full(self.n, np.nan, np.float32)

    @property
    def values(self) -> NDArray[np.float32]:
        """Probabilities, shape (n, epochs)."""
        if not self._epochs:
            raise CollectError("no epoch was closed: call end_epoch() after each.")
        return np.stack(self._epochs, axis=1)
