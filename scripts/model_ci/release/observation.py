"""Whether an environment is still as a deployment left it, observed anew."""

from typing import TYPE_CHECKING

from model_ci.config import Config
from model_ci.errors import ModelCIError, first_line
from model_ci.release import smoke
from model_ci.targets import RolloutError, open_target

if TYPE_CHECKING:
    from model_ci.record_types import Deployment as DeploymentRecord


def differs(config: Config, environment: str, deployment: "DeploymentRecord") -> str | None:
    """Return in what the environment differs from the recorded deployment: what serves, and whether it answers."""
    try:
        target = open_target(config, environment)
        now = target.current()
        address = target.address()
    except ModelCIError as error:
        return f"what serves in {environment} cannot be seen: {first_line(error)}"
    if now is None:
        return f"nothing serves in {environment} any more"
    if now.as_record() != deployment:
        return f"{environment} does not serve what was deployed"
    try:
        if address:
            smoke.require_ready(smoke.over_http(address, config.deploy.smoke.timeout_s))
    except RolloutError as error:
        return f"{environment} does not answer: {first_line(error)}"
    return None
