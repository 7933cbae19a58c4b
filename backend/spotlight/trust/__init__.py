"""How sure a found spotlight is."""
