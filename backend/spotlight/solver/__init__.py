"""The optimizer behind a spotlight."""
