"""A user's own condition: what their function said, and whether that is a yes."""

from model_ci.gates.condition import Outcome
from model_ci.terms import State


def judge(name: str, answer: object) -> Outcome:
    """Judge what `name` returned: whether the condition holds, or that and the reason.

    Nothing but True itself passes: neither a number nor a text nor None is a yes.
    """
    import numpy as np

    holds, reason = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    if not isinstance(holds, (bool, np.bool_)) or not isinstance(reason, (str, type(None))):
        return refused(name, f"returned {answer!r:.80}; return True or False, or that and the reason")
    words = reason or ("holds" if holds else "does not hold")
    return Outcome(
        metric=name, condition="own", limit=None, state=State.PASSED if holds else State.FAILED, reason=words
    )


def refused(name: str, reason: str) -> Outcome:
    """Return the outcome of a condition that gave no answer."""
    return Outcome(metric=name, condition="own", limit=None, reason=f"{reason}; what is not there does not pass")
