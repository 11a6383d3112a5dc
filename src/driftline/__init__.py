"""Driftline."""
