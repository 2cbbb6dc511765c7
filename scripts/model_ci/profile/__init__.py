"""Profiles: what the columns of a table are like, as small sketches that can be merged. They know nothing of runs or platforms."""
