"""What is counted of a room: names and rows."""

METRICS = ("exposures", "retained", "comments", "follows", "negative", "watched", "minutes")
EXPOSURES, RETAINED, COMMENTS, FOLLOWS, NEGATIVE, WATCHED, MINUTES = range(len(METRICS))
VIEWERS = (RETAINED, FOLLOWS, NEGATIVE, WATCHED)  # of which there are at most as many as exposures
WHOLE = METRICS[:5]  # counted in whole numbers
