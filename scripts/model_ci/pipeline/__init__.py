"""The stages in their order: what is unchanged is skipped, what a refusal forbids is left out, the rest is run."""

from model_ci.pipeline.execution import Outcome, Progress, execute
from model_ci.pipeline.order import Order
from model_ci.pipeline.step import Step, plan

__all__ = ["Order", "Outcome", "Progress", "Step", "execute", "plan"]
