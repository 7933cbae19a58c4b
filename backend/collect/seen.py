"""What a model of any kind gives for one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from numpy.typing import NDArray

from backend.collect.errors import CollectError

LABEL_KEYS = ("labels", "label", "targets", "target", "y")


@dataclass
class Seen:
    """One batch of b examples.

    Attributes
    ----------
    embeddings : array of shape (b, d)
    output : array of shape (b, C) or (b,)
        Logits, probabilities, one number, or predicted codes: what ``ModelSource.kind`` says.
    labels : array of shape (b,)
        Codes, or the numbers of a regression.
    losses : array of shape (b,), or None
        Where they are not made from output and labels.
    layers : dict of {name: (b, d_l) array}
    columns : dict of {name: (b,) array}
    parts : dict of {name: list of arrays of shape (b, ...)}
        One array per checkpoint.
    vog : array of shape (b,), or None
    scored : bool
        Whether ``output`` and ``labels`` say anything, or there are only losses.
    """

    embeddings: NDArray[Any]
    output: NDArray[Any]
    labels: NDArray[Any]
    losses: NDArray[Any] | None = None
    layers: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    parts: Mapping[str, Sequence[NDArray[Any]]] = field(default_factory=dict)
    vog: NDArray[Any] | None = None
    scored: bool = True


class ModelSource(Protocol):
    """A model of any kind, ready to be asked batch by batch inside its ``with`` block."""

    kind: str
    classes: tuple[str, ...] | None
    notes: list[str]

    def __enter__(self) -> ModelSource: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def see(self, batch: Any, training: bool = False) -> Seen:
        """Everything about one batch, of the training set or of the other one."""

    def output(self, batch: Any) -> NDArray[Any]:
        """What the model puts out for a batch, and nothing else."""


def inputs_and_labels(batch: Any) -> tuple[Any, Any]:
    """Inputs and labels of a batch; a dictionary is left without its labels.

    Raises
    ------
    CollectError
        If it is neither a dictionary with labels nor (inputs, labels).
    """
    if isinstance(batch, Mapping):
        key = next((key for key in LABEL_KEYS if key in batch), None)
        if key is None:
            raise CollectError(
                f"batches must hold one of {', '.join(LABEL_KEYS)}: got {', '.join(map(str, batch))}."
            )
        return {name: value for name, value in batch.items() if name != key}, batch[key]
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise CollectError(f"batches must be (inputs, labels): got a {type(batch).__name__}.")
    return batch[0], batch[1]
