"""Promote: what serves in one environment becomes the champion of the next, or a challenger that of its own."""

from collections.abc import Mapping

from model_ci.config import Config
from model_ci.release import promotion
from model_ci.run import Result, Run
from model_ci.targets import settings


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The sections; what serves is observed anew each time."""
    return {"promote section": config.values["promote"], "deploy section": config.values["deploy"]}


def check(config: Config) -> None:
    """Raise ConfigError for environments that are not there."""
    settings(config, config.promote.to)
    settings(config, promotion.source(config))


def run(config: Config, run: Run) -> Result:
    """Move traffic, names and ledger; the verdict is failed when the change is refused or taken back."""
    return promotion.make(config, run)
