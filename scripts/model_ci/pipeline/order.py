"""What is asked for: which stages, on which run, and whether that can be done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.pipeline.fingerprint import digests
from model_ci.run import Run, of_this_version, run_folders
from model_ci.stages import STAGES, Stage

_ITS_OWN: Final = ("train section", "code")  # a model whose run is named keeps its own
_SINCE: Final = ("champion",)  # whoever is champion by now, the model is the same


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the caller wants done."""

    stages: Sequence[str]
    run_id: str | None = None
    force: bool = False
    reason: str | None = None
    anew: str | None = None  # the stage from which on a new run is begun, whatever is unchanged


def ordered(names: Sequence[str]) -> list[Stage]:
    """Return the named stages in the graph's order; raise ConfigError for a name that is none."""
    allowed = f"allowed are {', '.join(STAGES)}"
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise ConfigError(*(f"--stages: {name!r} is no stage; {allowed}" for name in unknown))
    if not names:
        raise ConfigError(f"--stages: names no stage; {allowed}")
    return [stage for stage in STAGES.values() if stage.name in names]


def line_of(stages: Sequence[Stage]) -> str | None:
    """Return the line that an order is for; None when it only records. Raise ConfigError for an order across both."""
    named = {stage.line: stage.name for stage in stages if not stage.always}
    if len(named) > 1:
        raise ConfigError(
            f"--stages: {named['model']} makes a model and {named['operation']} tells of the service; order them one after the other"
        )
    return next(iter(named), None)


def base_of(config: Config, order: Order, line: str | None) -> Run | None:
    """Return the run to go on with: the named one, or the newest that has anything in it; none for an operation."""
    folders = run_folders(config.root)
    if not order.run_id:
        if line == "operation":
            return None
        newest_first = (Run.open(folder) for folder in reversed(folders) if of_this_version(folder))
        return next(
            (r for r in newest_first if r.record["stages"] and r.record["line"] == (line or r.record["line"])), None
        )
    if order.force:
        raise ConfigError("--force: begins a new run, and --run names an old one; leave one of them out")
    for folder in folders:
        if folder.name == order.run_id:
            return Run.open(folder)
    newest = ", ".join(folder.name for folder in folders[-5:])
    raise ConfigError(f"--run {order.run_id}: no such run in {config.root}; the newest are {newest or 'none'}")


def require_needs(stages: Sequence[Stage], run: Run | None) -> None:
    """Raise ConfigError for a stage that needs another which neither ran nor is about to."""
    coming = {stage.name for stage in stages}
    missing = {
        need: stage.name
        for stage in stages
        for need in stage.needs
        if need not in coming and (run is None or run.section(need) is None)
    }
    if missing:
        has = f"run {run.id} has no" if run else "there is no run with a"
        raise ConfigError(
            *(f"{name}: {has} {need}; run `model-ci {need}` first, or `model-ci run`" for need, name in missing.items())
        )


def require_current(config: Config, stages: Sequence[Stage], run: Run | None, order: Order) -> None:
    """Raise ConfigError for a stage that would judge what is no longer made so, unless its run was named.

    Even a run that was named is not judged on other rows than it was made for.
    """
    coming = {stage.name for stage in stages}
    found = []
    for stage in stages:
        for need in stage.of_now:
            section = run.section(need) if run else None
            if run is None or section is None or need in coming:
                continue
            inputs = digests(STAGES[need].inputs(config, run))
            leave = (*_SINCE, *_ITS_OWN) if order.run_id else _SINCE
            changed = [n for n, digest in inputs.items() if section["inputs"].get(n) != digest and n not in leave]
            if changed:
                rest = "" if order.run_id else f", or name that run to judge it as it is: --run {run.id}"
                found.append(
                    f"{stage.name}: {', '.join(changed)} changed since {need} ended in run {run.id}; "
                    f"run `model-ci {need}` first{rest}"
                )
    if found:
        raise ConfigError(*found)
