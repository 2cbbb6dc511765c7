"""The service: one process that answers for one model. It ships in the image and imports nothing of the rest."""
