"""Errorscope's engine: audits, optimizer and storage, usable without a browser."""
