"""check-data: the data against its contract, and whether it can be judged on."""
