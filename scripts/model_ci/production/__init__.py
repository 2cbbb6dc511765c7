"""What a service left: the log of its predictions, and what came of them."""
