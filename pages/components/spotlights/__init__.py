"""Searching for regions, and how sure they are."""
