"""What serves since a deploy."""

from model_ci.release.section import blocks

__all__ = ["blocks"]
