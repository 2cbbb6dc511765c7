"""Whether an environment is still as a deployment left it, observed anew: what serves, and that it answers as known."""

from collections.abc import Mapping
from dataclasses import replace

from model_ci.config import Config
from model_ci.release import smoke
from model_ci.serving.probe import Probe
from model_ci.targets import Deployment, Variant, open_target


def differs(config: Config, left: Deployment, subject: Variant, probes: Mapping[str, Probe]) -> str | None:
    """Return in what the environment is not as `left` says, None where it is, and answers a request as known.

    Raises RolloutError or ServiceError where it does not answer.
    """
    environment = left.environment
    target = open_target(config, environment)
    current = target.current()
    if current is None:
        return f"nothing serves in {environment} any more"
    if steps := target.plan(left):
        return f"{environment} is not as it was left: {'; '.join(steps)}"
    if current != left:
        return f"{environment} does not serve what was deployed"
    brief = replace(config.deploy.smoke, requests=1, max_latency_ms=None)
    address = target.address()
    ask = smoke.over_http(address, brief.timeout_s) if address else target.asking(left)
    if ask is None:
        return f"nothing in {environment} can be asked"
    largest = max(left.variants, key=lambda variant: variant.weight)
    asked = (left.variant(subject.name) if address else None) or largest
    smoke.through(ask, asked, probes.get(asked.digest), brief)
    return None
