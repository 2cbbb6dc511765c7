"""build-image: the image that serves the model is built, tried, pushed and signed."""
