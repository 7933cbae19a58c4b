"""The largest numbers without sorting, against sorting."""

import numpy as np
import torch

from backend.core.strongest import kth_largest, largest


def test_counts_of_one_and_of_all_and_ties_agree_with_sorting() -> None:
    random = np.random.default_rng(0)
    lines = random.normal(size=(5, 40)).astype(np.float32)
    lines[3] = np.round(lines[3])
    lines[4] = 2.0
    for counts in ([1, 40, 7, 13, 5], [40, 1, 39, 2, 40]):
        found = kth_largest(torch.from_numpy(lines), torch.tensor(counts)).numpy()
        ordered = -np.sort(-lines, axis=1)
        np.testing.assert_array_equal(found, ordered[np.arange(5), np.array(counts) - 1])
        for line, count in zip(lines, counts, strict=True):
            at = largest(torch.from_numpy(line), count)
            assert len(set(at.tolist())) == count and (np.diff(at) > 0).all()
            np.testing.assert_array_equal(np.sort(line[at]), np.sort(line)[len(line) - count :])
