"""Names of groups of examples: short, told apart from one another, the same wherever they are shown."""

from backend.describe.naming.groups import name_groups, name_regions

__all__ = ["name_groups", "name_regions"]
