"""Drift: what the rows of today are like, against those that a model learnt from. It knows nothing of runs or platforms."""
