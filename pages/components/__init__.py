"""Widgets and chart builders the pages share."""
