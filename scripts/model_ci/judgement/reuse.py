"""How often the same held-out rows were judged on: who tries often enough finds a challenger that passes by chance."""

import math
from dataclasses import replace
from typing import Final

from model_ci.config import Config
from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.git import Branch
from model_ci.records import challengers
from model_ci.run import Run

_MOST_RESAMPLES: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """How many different challengers were judged on a holdout, this one included; None when nobody knows, and why."""

    challengers: int | None
    problem: str | None = None


def count(config: Config, run: Run, identity: str) -> Reuse:
    """Count the challengers that were judged on the holdout; raise ServiceError when `adjust` needs what cannot be read."""
    adjust = config.evaluate.uncertainty.reuse == "adjust"
    mine = str(run.require("train", wanted_by="evaluate")["fingerprint"])
    try:
        branch = _branch(config, everywhere=adjust or run.in_ci)
        return Reuse(challengers=len(challengers.judged_on(identity, config.root, branch) | {mine}))
    except (ConfigError, ServiceError) as error:
        if adjust:
            raise ServiceError(
                "evaluate.uncertainty.reuse: adjust needs the records of earlier verdicts, which cannot be read: "
                f"{error}"
            ) from None
        return Reuse(challengers=None, problem=str(error))


def _branch(config: Config, *, everywhere: bool) -> Branch | None:
    """Return the records branch; None outside a repository, which has none, and where a laptop would have to ask a remote."""
    if not any((folder / ".git").exists() for folder in (config.root, *config.root.parents)):
        return None
    branch = Branch(root=config.root, name=config.record.branch, remote=config.record.remote)
    return branch if everywhere or branch.is_local() else None


def level_of(confidence: float, challenger: int) -> float:
    """Return with which chance the k-th challenger on a holdout may err."""
    return (1 - confidence) / (challenger * (challenger + 1))


def adjusted(config: Config, reuse: Reuse) -> Config:
    """Return the configuration whose confidence leaves the k-th challenger (1 - confidence) / (k (k + 1)) to err by.

    Over any number of challengers that adds up to 1 - confidence (Bonferroni; alpha spending, Foster and Stine 2008).
    """
    sure = config.evaluate.uncertainty
    if sure.reuse != "adjust" or reuse.challengers is None:
        return config
    level = level_of(sure.confidence, reuse.challengers)
    # Beyond the outermost resample nothing is known: bounds that hold more surely take more of them.
    resamples = min(max(sure.resamples, math.ceil(2 / level)), _MOST_RESAMPLES)
    sure = replace(sure, confidence=1 - level, resamples=max(resamples, sure.resamples))
    return replace(config, evaluate=replace(config.evaluate, uncertainty=sure))
