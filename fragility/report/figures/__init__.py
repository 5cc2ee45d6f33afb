"""Figures: pure functions from rows to one SVG string each."""
