"""What Driftline costs and what it sees, measured against named peers."""
