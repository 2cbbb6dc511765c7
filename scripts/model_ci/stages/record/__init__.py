"""record: the run's record becomes a commit on the records branch."""
