"""How one or more models serve groups: worst groups, thresholds, counterfactual pairs, one table."""
