"""rollback: an environment serves again what it served before."""
