"""Rates per subgroup."""
