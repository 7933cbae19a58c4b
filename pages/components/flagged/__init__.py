"""What was flagged: hypotheses, the blind check, the report."""
