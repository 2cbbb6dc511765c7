"""What serves since a rollback."""

from model_ci.release.section import blocks

__all__ = ["blocks"]
