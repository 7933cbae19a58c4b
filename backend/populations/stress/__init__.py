"""Models under stress tests: how far seeds differ, by which tests, and where it shows."""
