"""The data: where it is, which version it is, which rows count, and whether they are sound."""
