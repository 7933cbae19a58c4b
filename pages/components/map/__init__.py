"""The map of all examples, and what is drawn on it."""
