"""check-drift: rows of today compared with the rows that the model was trained on."""
