"""What serves since a promote: told as a deployment is."""

from model_ci.stages.deploy.section import blocks

__all__ = ["blocks"]
