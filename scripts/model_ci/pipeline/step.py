"""What becomes of one stage, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_ci.ci import Context
from model_ci.config import Config
from model_ci.pipeline import fingerprint
from model_ci.pipeline.fingerprint import digests
from model_ci.pipeline.order import Order, base_of, line_of, ordered, require_current, require_needs
from model_ci.run import Run, sections
from model_ci.stages import Stage
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import Section


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one stage, and why.

    `state` is runs; unchanged; left out, because nothing may be written here; or refused, because a stage before it
    said no.
    """

    stage: str
    state: str
    why: str


def plan(config: Config, order: Order, context: Context) -> Iterator[Step]:
    """Yield what `execute` would do with each stage, and why, without doing it."""
    stages = ordered(order.stages)
    run = base_of(config, order, line_of(stages))
    require_needs(stages, run)
    require_current(config, stages, run, order)
    before: str | None = None
    for stage in stages:
        if out := left_out(stage, context, None):
            yield out
        elif before:
            yield Step(stage=stage.name, state="runs", why=f"{before} runs before it")
        else:
            step, _ = decide(stage, config, run, forced=order.force)
            yield step
            before = stage.name if step.state == "runs" else None


def decide(stage: Stage, config: Config, run: Run | None, *, forced: bool) -> tuple[Step, dict[str, str]]:
    """Decide about one stage; return its inputs' digests too."""
    section = complete_section(run, stage) if run else None
    if run is None or section is None:
        inputs = digests(stage.inputs(config, run)) if run else {}
        return Step(stage=stage.name, state="runs", why="forced" if forced else "it has not run yet"), inputs
    inputs = digests(stage.inputs(config, run))
    if forced or stage.line == "operation":
        return Step(stage=stage.name, state="runs", why="forced" if forced else "it tells of now"), inputs
    if section["fingerprint"] == fingerprint.of(inputs):
        return Step(stage=stage.name, state="unchanged", why=f"{section['verdict']} in run {run.id}"), inputs
    changed = [name for name, digest in inputs.items() if section["inputs"].get(name) != digest]
    why = f"{', '.join(changed)} changed" if changed else "model-ci or Python changed"
    return Step(stage=stage.name, state="runs", why=why), inputs


def complete_section(run: Run, stage: Stage) -> "Section | None":
    """Return the stage's section, unless it tells of a problem outside: that is tried again, in the same run."""
    section = run.section(stage.name)
    return None if section is None or section.get("problem") else section


def left_out(stage: Stage, context: Context, refused: str | None) -> Step | None:
    """Tell of a stage that is not run: nothing may be written here, or the stage `refused` said no."""
    if stage.writes and context.only_reads:
        return Step(stage=stage.name, state="left out", why=context.only_reads)
    looks = stage.line == "operation" and not stage.writes  # drift is no reason not to look at the latency
    if refused and not (stage.always or looks):
        return Step(stage=stage.name, state="refused", why=f"{refused} said no")
    return None


def refusal(run: Run, stages: Sequence[Stage]) -> str | None:
    """Name a stage that said no in this run and is not judged again now."""
    now = {stage.name for stage in stages}
    return next((n for n, s in sections(run.record).items() if s["verdict"] == Verdict.FAILED and n not in now), None)
