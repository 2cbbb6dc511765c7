"""What becomes of each stage, and why: decided in one place, for the dry run and for the run."""

import platform
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from model_ci import __version__
from model_ci.ci import Context
from model_ci.config import Config
from model_ci.frozen import dataclass
from model_ci.pipeline import base, fingerprint
from model_ci.pipeline.fingerprint import digests, sha256
from model_ci.pipeline.invocation import Invocation, line_of, selected
from model_ci.pipeline.surroundings import Surroundings
from model_ci.run import Run, sections
from model_ci.stages import STAGES, Stage

if TYPE_CHECKING:
    from model_ci.record_types import Section


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one stage, and why.

    `state` is runs; unchanged; left out, because nothing may be written here; or refused, because a stage before it
    failed.
    """

    stage: str
    state: str
    why: str


def plan(config: Config, invocation: Invocation, context: Context) -> Iterator[Step]:
    """Yield what `execute` would do with each stage if every stage that runs passed, without doing it."""
    decider = Decider(config, invocation, context)
    for stage in decider.stages:
        yield decider.step(stage)


def preview(config: Config, invocation: Invocation, context: Context) -> tuple[Run, Step]:
    """Return the run in which the invocation's only stage would run, and what would become of it."""
    decider = Decider(config, invocation, context)
    step = decider.step(decider.stages[0])
    return decider.run, step


class Decider:
    """Goes through the stages: decides about each, and keeps the run that the invocation is at.

    A section of a record is never rewritten. Where one would have to be, a new run is started that takes over what is
    unchanged before it; until a stage really runs, that run is in memory only.
    """

    def __init__(self, config: Config, invocation: Invocation, context: Context) -> None:
        self.config, self.invocation, self.context = config, invocation, context
        self.stages = selected(invocation.stages)
        self.line = line_of(self.stages)
        self.surroundings = Surroundings(config)
        self.code = self.surroundings.checkout.describe()
        self._digests: dict[object, dict[str, str]] = {}
        self._ran: list[str] = []
        old = base.choose(self)
        base.require_needs(self, old)
        base.require_current(self, old)
        self._held = set(old.record["stages"]) if old else set()
        start_at = STAGES[invocation.start_at] if invocation.start_at else self.stages[0]
        self.run = old if old and not (invocation.force or invocation.start_at) else self._start(old, start_at)

    def step(self, stage: Stage) -> Step:
        """Decide about the next stage, and move on to the run in which it runs."""
        step = self._decide(stage)
        if step.state == "runs":
            if complete_section(self.run, stage) is not None and not stage.amends:
                self.run = self._start(self.run, stage)
            self._ran.append(stage.name)
        return step

    def inputs(self, stage: Stage, run: Run) -> dict[str, str]:
        """Return the digest of everything that the stage's result depends on."""
        key = (stage.name, run.id, *((name, section["end"]) for name, section in sections(run.record).items()))
        if key not in self._digests:
            self._digests[key] = digests({**stage.inputs(self.config, run), **self.surroundings.inputs(stage, run)})
        return self._digests[key]

    def unchanged(self, stage: Stage, run: Run) -> bool:
        """Whether the run's section of the stage is what running it now would give."""
        section = complete_section(run, stage)
        return section is not None and section["fingerprint"] == fingerprint.of(self.inputs(stage, run))

    def changed(self, stage: Stage, run: Run, leave: Sequence[str] = ()) -> list[str]:
        """Say in words what the stage depends on and what is not as it was when it ran."""
        known = sections(run.record)[stage.name]["inputs"]
        names = [n for n, digest in self.inputs(stage, run).items() if known.get(n) != digest and n not in leave]
        around = self.surroundings.inputs(stage, run)
        return [w for n in names for w in (self.surroundings.changed(n, stage, run) if n in around else [n])]

    def left_out(self, stage: Stage) -> bool:
        """Whether the stage does not run here, whatever comes before it."""
        return bool(stage.writes and self.context.only_reads)

    def _decide(self, stage: Stage) -> Step:
        if self.left_out(stage):
            return Step(stage=stage.name, state="left out", why=str(self.context.only_reads))
        if failed := self._failed_before(stage):
            return Step(stage=stage.name, state="refused", why=f"{failed} failed")
        if why := self._why(stage):
            return Step(stage=stage.name, state="runs", why=why)
        section = sections(self.run.record)[stage.name]
        return Step(stage=stage.name, state="unchanged", why=f"{section['verdict']} in run {self.run.id}")

    def _failed_before(self, stage: Stage) -> str | None:
        """Name a stage before this one that failed; drift does not keep anybody from checking the latency."""
        if stage.always or (stage.line == "operation" and not stage.writes):
            return None
        names = list(STAGES)
        before = names[: names.index(stage.name)]
        return next((name for name in self.run.failed() if name in before), None)

    def _why(self, stage: Stage) -> str | None:
        """Return why the stage runs, None when it is unchanged."""
        section = complete_section(self.run, stage)
        if self.invocation.force:
            return "forced"
        if stage.line == "operation":
            return "it is never cached"
        if section is None:
            return f"{self._ran[-1]} runs before it" if self._ran and stage.name in self._held else "it has not run yet"
        if read := [name for name in stage.reads if name in self._ran]:
            return f"{read[-1]} runs before it"
        if self.unchanged(stage, self.run):
            return stage.observe(self.config, self.run)
        changed = self.changed(stage, self.run)
        return f"{', '.join(changed)} changed" if changed else "model-ci changed"

    def _start(self, old: Run | None, first: Stage) -> Run:
        """Return a new run, in memory, with what is unchanged before `first`, and what the invocation needs as it is."""
        new = Run.create(self.config.root, self._header())
        needed = base.needed(self.stages)
        dropped: set[str] = set()
        for stage in _before(first) if old else ():
            section = old.section(stage.name) if old else None
            if old is None or section is None:
                continue
            if stage.name in needed or (self.unchanged(stage, old) and dropped.isdisjoint(stage.reads)):
                new.take_over(stage.name, section, old, stage.leaves)
            else:
                dropped.add(stage.name)
        return new

    def _header(self) -> dict[str, object]:
        """Return what a record says before its first stage: what, why, with which code and environment."""
        return {
            "tool": {"name": "model-ci", "version": __version__},
            "line": self.line or "model",
            "model": {"name": self.config.model.name, "task": self.config.model.task},
            "trigger": {"event": self.context.event, "reason": self.invocation.reason},
            "ci": self.context.as_record(),
            "code": dict(self.code),
            "environment": {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "packages_sha256": sha256(self.surroundings.packages),
                "packages": self.surroundings.packages,
            },
            "config": {
                "file": self.config.file,
                "folder": self.surroundings.folder,
                "values": self.config.values,
            },
        }


def complete_section(run: Run, stage: Stage) -> "Section | None":
    """Return the stage's section, unless it records a problem outside: that is tried again, in the same run."""
    section = run.section(stage.name)
    return None if section is None or section.get("problem") else section


def _before(stage: Stage) -> Sequence[Stage]:
    names = list(STAGES)
    return [s for s in (STAGES[name] for name in names[: names.index(stage.name)]) if s.line == stage.line]
