"""Threads wait asleep, or there is one of them."""

import os
import subprocess
import sys

import pytest

ASK = "import torch; from backend.core.threads import calm_threads\nwith calm_threads(): print(torch.get_num_threads())\nprint(torch.get_num_threads())"


@pytest.mark.parametrize(
    ("first", "policy", "inside"),
    [
        ("import backend", None, 2),  # asked to sleep in time
        ("import torch", None, 1),  # too late: one thread
        ("import torch", "passive", 2),  # somebody asked before
        ("import backend", "active", 1),  # somebody insists on spinning
    ],
)
def test_many_threads_only_where_they_sleep(first, policy, inside):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    environment["OMP_NUM_THREADS"] = "2"
    if policy:
        environment["OMP_WAIT_POLICY"] = policy
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{ASK}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    outside = min(2, os.cpu_count() or 1)  # PyTorch takes no more threads than there are cores
    assert done.stdout.split() == [str(min(inside, outside)), str(outside)]
