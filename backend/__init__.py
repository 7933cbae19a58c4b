"""Errorscope's engine: audits, optimizer and storage, usable without a browser."""

__version__ = "0.1.0"

import backend.core.threads  # noqa: F401  before anything loads PyTorch
