"""The ordered stages, done."""

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
from typing import Any

from model_ci import __version__, git
from model_ci.ci import Context
from model_ci.config import Config
from model_ci.pipeline import fingerprint
from model_ci.pipeline.fingerprint import digests, sha256
from model_ci.pipeline.order import Order, base_of, line_of, ordered, require_current, require_needs
from model_ci.pipeline.step import Step, complete_section, decide, left_out, refusal
from model_ci.run import Run, exclusive, timestamp
from model_ci.stages import STAGES, Stage
from model_ci.terms import Verdict


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an order: the run, and what became of each ordered stage."""

    run: Run
    steps: Sequence[Step]

    @property
    def verdict(self) -> Verdict:
        """Whether the ordered stages said no (failed), yes (passed), or nothing that can be judged (done)."""
        sections = (self.run.section(step.stage) for step in self.steps)
        said = {section["verdict"] for section in sections if section}
        if Verdict.FAILED in said or any(step.state == "refused" for step in self.steps):
            return Verdict.FAILED
        return Verdict.PASSED if Verdict.PASSED in said else Verdict.DONE


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
    if judged["verdict"] != Verdict.FAILED or method["used"] == "scratch" or not method["fall_back"]:
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
        self.line = line_of(self.stages)
        old = base_of(config, order, self.line)
        require_needs(self.stages, old)
        require_current(config, self.stages, old, order)
        first = STAGES[order.anew] if order.anew else self.stages[0]
        self.run = old if old and not (order.force or order.anew) else self._begin(old, first)

    def go(self) -> Outcome:
        steps: list[Step] = []
        refused = refusal(self.run, self.stages)
        for stage in self.stages:
            step = left_out(stage, self.context, refused) or self._stage(stage)
            if step.state in ("left out", "refused"):
                self.progress.skips(step)
            steps.append(step)
            section = self.run.section(stage.name)
            refused = refused or (stage.name if section and section["verdict"] == Verdict.FAILED else None)
        return Outcome(run=self.run, steps=steps)

    def _stage(self, stage: Stage) -> Step:
        step, inputs = decide(stage, self.config, self.run, forced=self.order.force)
        if step.state == "unchanged":
            self.progress.skips(step)
            return step
        self._check()
        if complete_section(self.run, stage) is not None and not stage.amends:
            self.run = self._begin(self.run, stage)
            inputs = digests(stage.inputs(self.config, self.run))
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
            "fingerprint": fingerprint.of(inputs),
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
                if not left_out(stage, self.context, None):
                    stage.check(self.config)

    def _begin(self, old: Run | None, first: Stage) -> Run:
        """Begin a new run that takes over from `old` what is unchanged before `first`."""
        new = Run.create(self.config.root, _header(self.config, self.context, self.order.reason, self.code, self.line))
        for stage in _before(first) if old else ():
            section = old.section(stage.name) if old else None
            if old is None or section is None:
                continue
            if section["fingerprint"] != fingerprint.of(digests(stage.inputs(self.config, old))):
                break
            for name in stage.leaves:
                shutil.copytree(old.folder / name, new.folder / name, copy_function=_link)
            new.complete(stage.name, section | {"reused_from": section.get("reused_from", old.id)})
        return new


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
            "packages_sha256": sha256(installed),
        },
        "config": {"file": config.file, "values": config.values},
    }
