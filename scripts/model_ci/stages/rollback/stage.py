"""Rollback: an environment serves again what it served before."""

from collections.abc import Mapping

from model_ci.config import Config
from model_ci.release import reversal
from model_ci.run import Result, Run
from model_ci.targets import settings


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The sections; what serves is observed anew each time."""
    return {"rollback section": config.values["rollback"], "deploy section": config.values["deploy"]}


def check(config: Config) -> None:
    """Raise ConfigError for an environment that is not there."""
    settings(config, reversal.environment(config))


def run(config: Config, run: Run) -> Result:
    """Move traffic, names and ledger back; the verdict is failed when the change is refused or taken back."""
    return reversal.make(config, run)
