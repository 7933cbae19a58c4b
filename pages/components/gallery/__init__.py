"""Examples as tiles, the keys that tag them, and one example whole."""
