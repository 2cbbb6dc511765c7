"""The stages in sequence: what is unchanged is skipped, what a failure forbids is left out, the rest is run."""

from model_ci.pipeline.decision import Step, plan, preview
from model_ci.pipeline.execution import Outcome, Progress, execute
from model_ci.pipeline.invocation import Invocation

__all__ = ["Invocation", "Outcome", "Progress", "Step", "execute", "plan", "preview"]
