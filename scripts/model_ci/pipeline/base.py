"""Which run an invocation goes on with, and whether it can."""

from collections.abc import Sequence
from typing import Final, Protocol

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.pipeline.invocation import Invocation
from model_ci.pipeline.surroundings import CODE, ENVIRONMENT, MODULES
from model_ci.run import Run, command_for, named, runs_of
from model_ci.stages import STAGES, Stage
from model_ci.terms import Verdict

_ITS_OWN: Final = ("train section", CODE, MODULES)  # a model whose run is named keeps its own
_SINCE: Final = ("champion", ENVIRONMENT)  # whoever is champion by now, and whatever this job has installed


class Decisions(Protocol):
    """What is asked about an invocation and its stages to choose the run to go on with."""

    config: Config
    invocation: Invocation
    line: str | None
    stages: list[Stage]

    def unchanged(self, stage: Stage, run: Run) -> bool:
        """Whether the run's section of the stage is what running it now would give."""

    def changed(self, stage: Stage, run: Run, leave: Sequence[str] = ()) -> list[str]:
        """Say in words what the stage depends on and what is not as it was when it ran."""

    def left_out(self, stage: Stage) -> bool:
        """Whether the stage does not run here, whatever comes before it."""


def choose(decider: Decisions) -> Run | None:
    """Return the run to go on with: the named one, or the newest of this model and file; none for an operation.

    A newer run that adds nothing current to an older one is passed over: an invocation that was refused or killed
    half-way must not make the next one train again what is there.
    """
    invocation, line = decider.invocation, decider.line
    if invocation.run_id and invocation.force:
        raise ConfigError("--force: starts a new run, and --run names an old one; leave one of them out")
    if invocation.run_id:
        return named(decider.config, invocation.run_id)
    if line == "operation":
        return None
    needed = _needed(decider.stages)
    candidates = (
        run
        for run in runs_of(decider.config)
        if run.record["stages"] and run.record["line"] == (line or run.record["line"]) and _holds(run, needed)
    )
    chosen = next(candidates, None)
    if chosen is None:
        return None
    chain = _chain(decider)
    current = _current(decider, chosen, chain)
    if len(current) == len(chain) or _ends_in_a_failure(chosen, current):
        return chosen
    for older in candidates:
        theirs = _current(decider, older, chain)
        if len(theirs) > len(current) and theirs[: len(current)] == current:
            chosen, current = older, theirs
        if _holds(older, [stage.name for stage in chain]):
            break
    return chosen


def require_needs(decider: Decisions, run: Run | None) -> None:
    """Raise ConfigError for a stage that needs another which neither ran nor is about to."""
    missing = [name for name in _needed(decider.stages) if run is None or run.section(name) is None]
    if not missing:
        return
    model = decider.config.model.name
    has = f"run {run.id} has no" if run else f"there is no run of {model} with a"
    helps = command_for([stage.name for stage in STAGES.values() if stage.name in _closure(missing, run)])
    raise ConfigError(
        *(
            f"{stage.name}: {has} {need}; run `model-ci {helps}` first"
            for stage in decider.stages
            for need in stage.needs
            if need in missing
        )
    )


def require_current(decider: Decisions, run: Run | None) -> None:
    """Raise ConfigError for a stage that would judge what is no longer made so, unless its run was named.

    Even a run that was named is not judged on other rows than it was made for.
    """
    run_id = decider.invocation.run_id
    coming = {stage.name for stage in decider.stages}
    leave = (*_SINCE, *_ITS_OWN) if run_id else _SINCE
    problems = []
    for stage in decider.stages:
        for need in stage.of_now:
            section = run.section(need) if run else None
            if run is None or section is None or need in coming:
                continue
            changed = decider.changed(STAGES[need], run, leave)
            if changed:
                rest = "" if run_id else f", or name that run to judge it as it is: --run {run.id}"
                problems.append(
                    f"{stage.name}: {', '.join(changed)} changed since {need} ended in run {run.id}; "
                    f"run `model-ci {need}` first{rest}"
                )
    if problems:
        raise ConfigError(*problems)


def _needed(stages: Sequence[Stage]) -> list[str]:
    """Name the stages that must have run before: what these need and does not run with them."""
    coming = {stage.name for stage in stages}
    return list(dict.fromkeys(need for stage in stages for need in stage.needs if need not in coming))


def needed(stages: Sequence[Stage]) -> set[str]:
    """Name the stages whose sections these need and that do not run with them, with what those were made from."""
    names: set[str] = set()
    waiting = _needed(stages)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += STAGES[name].reads
    return names - {stage.name for stage in stages}


def _closure(names: Sequence[str], run: Run | None) -> set[str]:
    """Return the stages, and those that they need and that the run does not hold, so that the advice helps."""
    missing = {name for name in names if run is None or run.section(name) is None}
    return missing.union(*(_closure(STAGES[name].needs, run) for name in missing))


def _chain(decider: Decisions) -> list[Stage]:
    """Return the stages by which runs are compared: what runs now, and what that needs."""
    names = {stage.name for stage in decider.stages if not (stage.always or decider.left_out(stage))}
    names |= set(_needed(decider.stages))
    return [stage for stage in STAGES.values() if stage.name in names]


def _current(decider: Decisions, run: Run, chain: Sequence[Stage]) -> list[tuple[str, str]]:
    """Identify the leading sections that the run holds and that need not be made anew."""
    coming = {stage.name for stage in decider.stages}
    judged = coming | {need for stage in decider.stages for need in stage.of_now}
    current = []
    for stage in chain:
        section = run.section(stage.name)
        if section is None or (stage.name in judged and not decider.unchanged(stage, run)):
            break
        current.append((stage.name, str(section["start"])))
        if section["verdict"] == Verdict.FAILED:
            break
    return current


def _ends_in_a_failure(run: Run, current: Sequence[tuple[str, str]]) -> bool:
    return bool(current) and current[-1][0] in run.failed()


def _holds(run: Run, names: Sequence[str]) -> bool:
    return all(run.section(name) is not None for name in names)
