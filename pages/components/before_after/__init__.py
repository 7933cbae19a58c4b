"""Two runs on the same examples: the links between them, and what changed."""
