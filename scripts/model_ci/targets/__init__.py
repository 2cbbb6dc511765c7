"""Where services run: one small protocol, and a package for each kind of target."""

from importlib import import_module
from typing import Final

from model_ci.config import Config, Environment
from model_ci.errors import ConfigError
from model_ci.targets.deployment import (
    CHALLENGER,
    CHAMPION,
    Answer,
    Ask,
    Deployment,
    Reads,
    Renders,
    RolloutError,
    Target,
    Trial,
    Variant,
)
from model_ci.terms import TargetKind

__all__ = [
    "CHALLENGER", "CHAMPION", "Answer", "Ask", "Deployment", "Reads", "Renders", "RolloutError", "Target", "Trial", "Variant",
    "open_target", "settings",
]  # fmt: skip

# Each module has open(config, environment, settings, trial) -> Target.
_MODULES: Final = {kind: f"model_ci.targets.{kind}" for kind in TargetKind}


def open_target(config: Config, environment: str, trial: Trial | None = None) -> Target:
    """Open the environment's target; `trial` tries a new variant before its traffic, where the target can.

    Raises ConfigError when the configuration has no such environment.
    """
    chosen = settings(config, environment)
    return import_module(_MODULES[chosen.target]).open(config, environment, chosen, trial)  # type: ignore[no-any-return]


def settings(config: Config, environment: str) -> Environment:
    """Return the environment's section; raise ConfigError when there is none."""
    known = config.deploy.environments
    if environment not in known:
        names = ", ".join(known) or "none"
        raise ConfigError(f"{config.file}: deploy.environments: no environment {environment!r}; there are {names}")
    return known[environment]
