"""Errorscope's engine: audits, optimizer and storage, usable without a browser."""

__version__ = "0.1.0"
