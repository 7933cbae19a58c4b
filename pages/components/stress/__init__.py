"""Models under stress tests."""
