"""The largest of many numbers, without sorting the rest."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def kth_largest(lines: Tensor, counts: Tensor) -> Tensor:
    """(k,) of each of (k, m) lines the number that as many numbers reach as its count says.

    NumPy's selection is several times as fast as PyTorch's on a processor.
    """
    if lines.device.type != "cpu":
        top = lines.topk(int(counts.max())).values
        return top.gather(1, counts[:, None] - 1)[:, 0]
    places = (lines.shape[1] - counts).tolist()
    found = [np.partition(line, at)[at] for line, at in zip(lines.numpy(), places, strict=True)]
    return torch.from_numpy(np.array(found, dtype=lines.numpy().dtype))


def first_and_next(
    line: Tensor, count: int, both: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the ``count`` largest of (m,) numbers, and of the next, ``both`` together.

    In no order, nor are ties; 1 <= count <= both <= m.
    """
    if line.device.type != "cpu":
        top = line.topk(both).indices.cpu().numpy()
        return top[:count], top[count:]
    least, first = len(line) - both, len(line) - count
    order = np.argpartition(line.numpy(), (least, first))
    return order[first:], order[least:first]


def largest(line: Tensor, count: int) -> NDArray[np.int64]:
    """(count,) positions of the largest of (m,) numbers, ascending; ties in no order.

    ``count`` is at least 1 and at most m.
    """
    if line.device.type != "cpu":
        return np.sort(line.topk(count).indices.cpu().numpy())
    values = line.numpy()
    least = np.partition(values, len(values) - count)[len(values) - count]
    reach = np.flatnonzero(values >= least)
    if len(reach) > count:  # of those that are equal to the least as many as are wanted
        equal = np.flatnonzero(values[reach] == least)
        reach = np.delete(reach, equal[len(equal) - (len(reach) - count) :])
    return reach
