"""The pure core of govern: episodes, sentences, retraining policy. No clock, no I/O; imports only contracts."""
