"""The device is taken at its word, or refused with what to do."""

from __future__ import annotations

import pytest
import torch

from backend.core.device import choose_device
from backend.core.errors import InputError


def test_words_and_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"'cuda:1' was asked for, but torch finds no CUDA device"):
        choose_device("cuda:1")


def test_a_gpu_too_many(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(InputError, match="only 2 CUDA devices, numbered from 0"):
        choose_device("cuda:2")


@pytest.mark.parametrize("device", ["abacus", "cuda:x", 1.5])
def test_no_device_at_all(device):
    with pytest.raises(InputError, match="device must be 'auto', 'cpu', 'cuda'"):
        choose_device(device)
