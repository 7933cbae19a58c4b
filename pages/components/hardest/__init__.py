"""Which examples are hardest, by one score after another, and the two long tails."""
