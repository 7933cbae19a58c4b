"""The largest of many numbers: the same as a full sort says, ties in no order."""

from __future__ import annotations

import numpy as np
import torch

from backend.core.strongest import first_and_next, kth_largest, largest


def test_selections_hold_what_a_full_sort_holds() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        m = int(random.integers(1, 40))
        values = random.integers(0, 6, m).astype(np.float32)  # most numbers are tied
        falling = np.sort(values)[::-1]
        both = int(random.integers(1, m + 1))
        count = int(random.integers(1, both + 1))
        line = torch.from_numpy(values)

        top = largest(line, count)
        assert len(top) == count and (np.diff(top) > 0).all()
        assert np.array_equal(np.sort(values[top])[::-1], falling[:count])

        first, after = first_and_next(line, count, both)
        assert np.array_equal(np.sort(values[first])[::-1], falling[:count])
        assert np.array_equal(np.sort(values[after])[::-1], falling[count:both])
        assert len(np.union1d(first, after)) == both

        assert kth_largest(line[None], torch.tensor([count]))[0] == falling[count - 1]
