"""What every topic stands on: array checks, errors, device choice, small statistics."""
