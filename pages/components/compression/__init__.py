"""Populations of models beside one another."""
