"""retrain: decide whether the model is trained again, and why."""
