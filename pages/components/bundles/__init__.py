"""Uploading what a model produced."""
