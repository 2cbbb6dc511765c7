"""How often, and how long apart, a service that is away is asked again."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from model_ci.registry.client import AwayError
from model_ci.registry.store import T

PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)


def patiently(work: Callable[[], T], pauses_s: Sequence[float]) -> T:
    """Call `work` until the service answers, after each pause (a little more or less, by chance) once more."""
    for pause_s in pauses_s:
        try:
            return work()
        except AwayError:
            time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads tries, keeps no secret
    return work()
