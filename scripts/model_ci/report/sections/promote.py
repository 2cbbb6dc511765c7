"""What serves since a promote: told as a deployment is."""

from model_ci.report.sections.deploy import blocks

__all__ = ["blocks"]
