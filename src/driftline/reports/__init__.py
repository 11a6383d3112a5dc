"""Evidently reports: a page and its numbers for each episode, made from row samples in a process of its own."""
