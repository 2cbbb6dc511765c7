"""train: fit the model, from scratch or from the champion."""
