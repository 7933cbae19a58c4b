"""Where the examples lie on the map, and what is drawn there."""
