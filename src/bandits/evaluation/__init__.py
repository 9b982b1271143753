"""Was it better? The value of a policy, read from the log of another."""
