"""Metrics and the gates that judge them; nothing here knows of runs, registries or platforms."""
