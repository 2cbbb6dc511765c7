"""What serves since a promote."""

from model_ci.release.section import blocks

__all__ = ["blocks"]
