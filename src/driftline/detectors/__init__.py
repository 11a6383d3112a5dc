"""The pure core: summaries that merge at will, references, the decider, distances. No clock, no I/O, no unseeded randomness."""
