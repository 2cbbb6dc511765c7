"""What the caller asks for: which stages, on which run."""

from collections.abc import Sequence

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.stages import STAGES, Stage


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One call of the pipeline."""

    stages: Sequence[str]
    run_id: str | None = None
    force: bool = False
    reason: str | None = None
    start_at: str | None = None  # the stage from which on a new run is started, whatever is unchanged


def selected(names: Sequence[str]) -> list[Stage]:
    """Return the named stages in the graph's sequence; raise ConfigError for a name that no stage has."""
    allowed = f"allowed are {', '.join(STAGES)}"
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise ConfigError(*(f"--stages: {name!r} is no stage; {allowed}" for name in unknown))
    if not names:
        raise ConfigError(f"--stages: names no stage; {allowed}")
    return [stage for stage in STAGES.values() if stage.name in names]


def line_of(stages: Sequence[Stage]) -> str | None:
    """Return the line that the stages belong to; None when they only record. Raise ConfigError for a mixture."""
    named = {stage.line: stage.name for stage in stages if not stage.always}
    if len(named) > 1:
        raise ConfigError(
            f"--stages: {named['model']} makes a model and {named['operation']} checks or changes the service; "
            "run them one after the other"
        )
    return next(iter(named), None)
