"""Whether the parts of a problem fit together; the form in which recipes use it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.core.arrays import as_numpy, check_finite
from backend.core.content import content_key
from backend.core.errors import InputError
from backend.retraining.problem import RetrainingProblem, Sample, Schedule
from backend.retraining.training import last_linear

Codes = NDArray[np.int64]
FEWEST = 4
"""Held-out examples of a group: two choose and two report, at least."""
MOST_PARAMETERS = 5_000_000
"""Of a network that is trained here by the dozen, on one processor."""


@dataclass(frozen=True)
class Checked:
    """A problem whose arrays fit together, as recipes use it.

    Attributes
    ----------
    problem : RetrainingProblem
    x, z : Tensor
        Training and held-out inputs.
    y, own : int64 arrays
        Their labels.
    groups : tuple of str
    train_group, own_group : int64 arrays
        Group of each training and held-out example.
    planted : bool array of shape (n_train,) or None
    key : str
        Names everything that decides what a recipe gives.
    """

    problem: RetrainingProblem
    x: Tensor = field(repr=False)
    z: Tensor = field(repr=False)
    y: Codes = field(repr=False)
    own: Codes = field(repr=False)
    groups: tuple[str, ...]
    train_group: Codes = field(repr=False)
    own_group: Codes = field(repr=False)
    planted: NDArray[np.bool_] | None = field(repr=False)
    key: str

    @property
    def n_train(self) -> int:
        return len(self.y)

    @property
    def n_classes(self) -> int:
        return len(self.problem.classes)


def checked(problem: RetrainingProblem, *, version: int = 0) -> Checked:
    """Check a problem once, and name its content.

    Parameters
    ----------
    problem : RetrainingProblem
    version : int
        Of the recipes; part of the name.

    Raises
    ------
    InputError
        If shapes or dimensions differ, a label is no class or a class has no training example, a
        group has no training example or fewer than four held-out ones, the schedule cannot be followed,
        or the network is too large or ends in no linear layer.
    """
    if not isinstance(problem, RetrainingProblem):
        raise InputError(
            "the factory must return a RetrainingProblem (backend.retraining): got "
            f"{type(problem).__name__}."
        )
    _check_schedule(problem.schedule)
    if len(problem.classes) < 2:
        raise InputError(f"classes must be two or more: got {list(problem.classes)}.")
    x, y, train_words = _examples("train", problem.train, problem.classes)
    z, own, own_words = _examples("held_out", problem.held_out, problem.classes)
    if x.shape[1:] != z.shape[1:]:
        raise InputError(
            "training and held-out inputs must have the same dimensions: got "
            f"{x.shape[1:]} and {z.shape[1:]}."
        )
    if absent := sorted(set(range(len(problem.classes))) - set(y.tolist())):
        raise InputError(
            f"every class needs a training example: {problem.classes[absent[0]]!r} has none."
        )
    names, codes = np.unique(np.concatenate([train_words, own_words]), return_inverse=True)
    train_group, own_group = codes[: len(y)].astype(np.int64), codes[len(y) :].astype(np.int64)
    _check_groups([str(one) for one in names], train_group, own_group)
    planted = None
    if problem.planted is not None:
        planted = as_numpy(problem.planted)
        if planted.shape != y.shape or planted.dtype != bool:
            raise InputError(
                f"planted must be true or false for each of {len(y)} training examples: got "
                f"{planted.dtype} of shape {planted.shape}."
            )
    ids = None if problem.ids is None else np.asarray(problem.ids).astype(np.str_)
    if ids is not None and (ids.shape != own.shape or len(np.unique(ids)) < len(ids)):
        raise InputError(f"ids must be different, one for each of {len(own)} held-out examples.")
    network = problem.network()
    size = sum(one.numel() for one in network.parameters())
    if size > MOST_PARAMETERS:
        raise InputError(
            f"the network has {size:,} parameters, and is trained by the dozen on one processor: at "
            f"most {MOST_PARAMETERS:,}. Take a smaller one, or freeze what lies below its last layers."
        )
    outputs = last_linear(network).out_features
    if outputs != len(problem.classes):
        raise InputError(
            f"the network's last linear layer must have one output per class: got {outputs} for "
            f"{len(problem.classes)} classes."
        )
    changed = getattr(problem.augment, "__qualname__", None) or str(problem.augment is not None)
    key = content_key(
        version, str(torch.__version__), repr(network), size, changed, list(problem.classes),
        vars(problem.schedule), x, y, train_group, z, own, own_group, [str(one) for one in names],
        *([] if planted is None else [planted]),
    )  # fmt: skip
    return Checked(
        problem,
        torch.from_numpy(x),
        torch.from_numpy(z),
        y,
        own,
        tuple(map(str, names)),
        train_group,
        own_group,
        planted,
        key,
    )


def _examples(
    name: str, given: Sample, classes: tuple[str, ...]
) -> tuple[NDArray[np.float32], Codes, NDArray[np.str_]]:
    inputs = as_numpy(given.inputs)
    if inputs.ndim < 2 or not len(inputs) or inputs.dtype.kind not in "biuf":
        raise InputError(
            f"{name}.inputs must be numbers (n, ...), one example a row: got {inputs.dtype} of shape "
            f"{inputs.shape}."
        )
    inputs = np.ascontiguousarray(inputs, np.float32)
    check_finite(f"{name}.inputs", inputs.reshape(len(inputs), -1))
    labels = as_numpy(given.labels)
    groups = np.asarray(given.groups).astype(np.str_)
    for what, values in (("labels", labels), ("groups", groups)):
        if values.shape != (len(inputs),):
            raise InputError(
                f"{name}.{what} must be one per example: got shape {values.shape} for "
                f"{len(inputs)} examples."
            )
    if labels.dtype.kind not in "biu" or labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"{name}.labels must be whole numbers from 0 to {len(classes) - 1}: got "
            f"{labels.dtype}, {labels.min()} to {labels.max()}."
        )
    return inputs, labels.astype(np.int64), groups


def _check_groups(names: list[str], train: Codes, own: Codes) -> None:
    if len(names) < 2:
        raise InputError(f"groups must be two or more: there is {names[0]!r} alone.")
    counts = [np.bincount(codes, minlength=len(names)) for codes in (train, own)]
    for where, least, found in (("training", 1, counts[0]), ("held-out", FEWEST, counts[1])):
        if (found < least).any():
            at = int(found.argmin())
            raise InputError(
                f"every group needs {least} {where} example{'s' if least > 1 else ''} or more: group "
                f"{names[at]!r} has {found[at]}. Add examples, or make groups coarser."
            )


def _check_schedule(plan: Schedule) -> None:
    for name in ("passes", "batch"):
        value = getattr(plan, name)
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise InputError(f"schedule.{name} must be a whole number from 1: got {value!r}.")
    if not 0 < plan.rate < np.inf or not 0 <= plan.decay < np.inf:
        raise InputError(
            f"schedule.rate must be above 0 and schedule.decay 0 or more: got {plan.rate} and {plan.decay}."
        )
