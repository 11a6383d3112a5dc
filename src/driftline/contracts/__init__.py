"""What crosses a boundary: events, topics, settings, errors. Imports nothing else of Driftline."""
