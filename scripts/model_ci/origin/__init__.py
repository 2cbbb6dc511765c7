"""What a model was made of and which rows it was trained on, written with its version."""
