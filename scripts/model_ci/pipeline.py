"""The stages in their order: what is unchanged is skipped, what a refusal forbids is left out, the rest is run."""

import hashlib
import json
import os
import platform
import shutil
import site
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from model_ci import __version__, git
from model_ci.ci import Context
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.run import Run, exclusive, of_this_version, run_folders, timestamp
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


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one stage, and why.

    `state` is runs; unchanged; left out, because nothing may be written here; or refused, because a stage before it
    said no.
    """

    stage: str
    state: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an order: the run, and what became of each ordered stage."""

    run: Run
    steps: Sequence[Step]

    @property
    def verdict(self) -> str:
        """Whether the ordered stages said no (failed), yes (passed), or nothing that can be judged (done)."""
        sections = (self.run.section(step.stage) for step in self.steps)
        said = {section["verdict"] for section in sections if section}
        if "failed" in said or any(step.state == "refused" for step in self.steps):
            return "failed"
        return "passed" if "passed" in said else "done"


@dataclass(kw_only=True)
class Progress:
    """Called as things happen; the defaults show nothing."""

    begins: Callable[[Step], None] = field(default=lambda step: None)
    ends: Callable[[str, str, float], None] = field(default=lambda stage, verdict, seconds: None)
    skips: Callable[[Step], None] = field(default=lambda step: None)


def execute(config: Config, order: Order, context: Context, progress: Progress) -> Outcome:
    """Run the ordered stages on the newest run, or on a new one when something that was recorded has changed.

    A section of a record is never rewritten: where one would have to be, a new run is begun that takes over what is
    unchanged before it.
    """
    with exclusive(config.root), _bounded_threads(config.train.threads):
        outcome = _Execution(config, order, context, progress).go()
        fallen = _fallen_back(config, order, outcome)
        return _Execution(*fallen, context, progress).go() if fallen else outcome


def _fallen_back(config: Config, order: Order, outcome: Outcome) -> tuple[Config, Order] | None:
    """Return what is to be done when the gates refused a model that went on from the champion's: train from scratch.

    It is a run of its own, so that both models stay on record; its settings stay as the file has them, so that the next
    order finds it unchanged.
    """
    trained, judged = outcome.run.section("train"), outcome.run.section("evaluate")
    ran = {step.stage for step in outcome.steps if step.state == "runs"}
    if not (trained and judged and "evaluate" in ran and "train" in order.stages):
        return None
    method = trained["method"]
    if judged["verdict"] != "failed" or method["used"] == "scratch" or not method["fall_back"]:
        return None
    reason = f"fall back to training from scratch: the gates refused the {method['used']} model of run {outcome.run.id}"
    scratch = replace(config, train=replace(config.train, mode="scratch"))
    said = "; ".join(text for text in (order.reason, reason) if text)
    return scratch, replace(order, run_id=outcome.run.id, force=False, anew="train", reason=said)


class _Execution:
    def __init__(self, config: Config, order: Order, context: Context, progress: Progress) -> None:
        self.config, self.order, self.context, self.progress = config, order, context, progress
        self.stages = ordered(order.stages)
        self.code = git.describe(config.root)
        self.checked = False
        self.line = _line(self.stages)
        base = _base(config, order, self.line)
        _require_needs(self.stages, base)
        _require_current(config, self.stages, base, order)
        first = STAGES[order.anew] if order.anew else self.stages[0]
        self.run = base if base and not (order.force or order.anew) else self._begin(base, first)

    def go(self) -> Outcome:
        steps: list[Step] = []
        refused = _refusal(self.run, self.stages)
        for stage in self.stages:
            step = _left_out(stage, self.context, refused) or self._stage(stage)
            if step.state in ("left out", "refused"):
                self.progress.skips(step)
            steps.append(step)
            section = self.run.section(stage.name)
            refused = refused or (stage.name if section and section["verdict"] == "failed" else None)
        return Outcome(run=self.run, steps=steps)

    def _stage(self, stage: Stage) -> Step:
        step, inputs = _step(stage, self.config, self.run, forced=self.order.force)
        if step.state == "unchanged":
            self.progress.skips(step)
            return step
        self._check()
        if _complete(self.run, stage) is not None and not stage.amends:
            self.run = self._begin(self.run, stage)
            inputs = _digests(stage.inputs(self.config, self.run))
        self.progress.begins(step)
        section = self._section(stage, inputs)
        self.run.complete(stage.name, section)
        self.progress.ends(stage.name, section["verdict"], section["duration_s"])
        return step

    def _section(self, stage: Stage, inputs: Mapping[str, str]) -> dict[str, Any]:
        begin = datetime.now(UTC)
        result = stage.run(self.config, self.run)
        end = datetime.now(UTC)
        return {
            "verdict": result.verdict,
            "fingerprint": _fingerprint(inputs),
            "inputs": dict(inputs),
            "settings": self.config.values.get(stage.name),
            "code_commit": self.code["commit"],
            "start": timestamp(begin),
            "end": timestamp(end),
            "duration_s": round((end - begin).total_seconds(), 3),
            **result.section,
        }

    def _check(self) -> None:
        """Find what would stop a later stage before the first one starts to work."""
        if not self.checked:
            self.checked = True
            for stage in self.stages:
                if not _left_out(stage, self.context, None):
                    stage.check(self.config)

    def _begin(self, old: Run | None, first: Stage) -> Run:
        """Begin a new run that takes over from `old` what is unchanged before `first`."""
        new = Run.create(self.config.root, _header(self.config, self.context, self.order.reason, self.code, self.line))
        for stage in _before(first) if old else ():
            section = old.section(stage.name) if old else None
            if old is None or section is None:
                continue
            if section["fingerprint"] != _fingerprint(_digests(stage.inputs(self.config, old))):
                break
            for name in stage.leaves:
                shutil.copytree(old.folder / name, new.folder / name, copy_function=_link)
            new.complete(stage.name, section | {"reused_from": section.get("reused_from", old.id)})
        return new


def plan(config: Config, order: Order, context: Context) -> Iterator[Step]:
    """Yield what `execute` would do with each stage, and why, without doing it."""
    stages = ordered(order.stages)
    run = _base(config, order, _line(stages))
    _require_needs(stages, run)
    _require_current(config, stages, run, order)
    before: str | None = None
    for stage in stages:
        if left_out := _left_out(stage, context, None):
            yield left_out
        elif before:
            yield Step(stage=stage.name, state="runs", why=f"{before} runs before it")
        else:
            step, _ = _step(stage, config, run, forced=order.force)
            yield step
            before = stage.name if step.state == "runs" else None


def ordered(names: Sequence[str]) -> list[Stage]:
    """Return the named stages in the graph's order; raise ConfigError for a name that is none."""
    allowed = f"allowed are {', '.join(STAGES)}"
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise ConfigError(*(f"--stages: {name!r} is no stage; {allowed}" for name in unknown))
    if not names:
        raise ConfigError(f"--stages: names no stage; {allowed}")
    return [stage for stage in STAGES.values() if stage.name in names]


def _line(stages: Sequence[Stage]) -> str | None:
    """Return the line that an order is for; None when it only records. Raise ConfigError for an order across both."""
    named = {stage.line: stage.name for stage in stages if not stage.always}
    if len(named) > 1:
        raise ConfigError(
            f"--stages: {named['model']} makes a model and {named['operation']} tells of the service; order them one after the other"
        )
    return next(iter(named), None)


def _base(config: Config, order: Order, line: str | None) -> Run | None:
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


def _require_needs(stages: Sequence[Stage], run: Run | None) -> None:
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


def _require_current(config: Config, stages: Sequence[Stage], run: Run | None, order: Order) -> None:
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
            inputs = _digests(STAGES[need].inputs(config, run))
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


def _step(stage: Stage, config: Config, run: Run | None, *, forced: bool) -> tuple[Step, dict[str, str]]:
    """Decide about one stage; return its inputs' digests too."""
    section = _complete(run, stage) if run else None
    if run is None or section is None:
        inputs = _digests(stage.inputs(config, run)) if run else {}
        return Step(stage=stage.name, state="runs", why="forced" if forced else "it has not run yet"), inputs
    inputs = _digests(stage.inputs(config, run))
    if forced or stage.line == "operation":
        return Step(stage=stage.name, state="runs", why="forced" if forced else "it tells of now"), inputs
    if section["fingerprint"] == _fingerprint(inputs):
        return Step(stage=stage.name, state="unchanged", why=f"{section['verdict']} in run {run.id}"), inputs
    changed = [name for name, digest in inputs.items() if section["inputs"].get(name) != digest]
    why = f"{', '.join(changed)} changed" if changed else "model-ci or Python changed"
    return Step(stage=stage.name, state="runs", why=why), inputs


def _complete(run: Run, stage: Stage) -> dict[str, Any] | None:
    """Return the stage's section, unless it tells of a problem outside: that is tried again, in the same run."""
    section = run.section(stage.name)
    return None if section is None or section.get("problem") else section


def _left_out(stage: Stage, context: Context, refused: str | None) -> Step | None:
    if stage.writes and context.only_reads:
        return Step(stage=stage.name, state="left out", why=context.only_reads)
    looks = stage.line == "operation" and not stage.writes  # drift is no reason not to look at the latency
    if refused and not (stage.always or looks):
        return Step(stage=stage.name, state="refused", why=f"{refused} said no")
    return None


def _refusal(run: Run, stages: Sequence[Stage]) -> str | None:
    """Name a stage that said no in this run and is not judged again now."""
    now = {stage.name for stage in stages}
    return next((n for n, s in run.record["stages"].items() if s["verdict"] == "failed" and n not in now), None)


def _before(stage: Stage) -> list[Stage]:
    names = list(STAGES)
    return [s for s in (STAGES[name] for name in names[: names.index(stage.name)]) if s.line == stage.line]


@contextmanager
def _bounded_threads(threads: int) -> Iterator[None]:
    """OpenMP spins while it waits: unbounded threads on a shared runner cost twenty times the work."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "numpy" not in sys.modules or find_spec("threadpoolctl") is None:
        yield
        return
    from threadpoolctl import threadpool_limits  # what the caller has loaded already no longer reads the variables

    with threadpool_limits(threads):
        yield


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _digests(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {name: _sha256(value)[:16] for name, value in inputs.items()}


def _fingerprint(inputs: Mapping[str, str]) -> str:
    return _sha256([__version__, platform.python_version(), dict(inputs)])


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _header(
    config: Config, context: Context, reason: str | None, code: Mapping[str, Any], line: str | None
) -> dict[str, Any]:
    """Return what a record says before its first stage: what, why, with which code and environment."""
    installed = sorted(p.name for folder in site.getsitepackages() for p in Path(folder).glob("*.dist-info"))
    return {
        "tool": {"name": "model-ci", "version": __version__},
        "line": line or "model",
        "model": {"name": config.model.name, "task": config.model.task},
        "trigger": {"event": context.event, "reason": reason},
        "ci": context.as_record(),
        "code": dict(code),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages_sha256": _sha256(installed),
        },
        "config": {"file": config.file, "values": config.values},
    }
