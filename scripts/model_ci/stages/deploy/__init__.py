"""deploy: an image serves in an environment, for all requests or for a share."""
