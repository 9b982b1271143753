"""A simulated two-sided live-streaming market, and what can be played in it."""
