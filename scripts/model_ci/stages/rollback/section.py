"""What serves since a rollback: told as a deployment is."""

from model_ci.stages.deploy.section import blocks

__all__ = ["blocks"]
