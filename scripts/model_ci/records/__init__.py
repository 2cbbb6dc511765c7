"""Earlier runs, read from this folder and from the records branch."""
