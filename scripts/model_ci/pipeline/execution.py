"""The stages, done."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from model_ci.ci import Context
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.pipeline import fingerprint
from model_ci.pipeline.decision import Decider, Step
from model_ci.pipeline.invocation import Invocation
from model_ci.pipeline.surroundings import MODULES
from model_ci.run import Run, exclusive, timestamp
from model_ci.stages import Stage
from model_ci.terms import Verdict


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an invocation: the run, and what became of each stage."""

    run: Run
    steps: Sequence[Step]

    @property
    def verdict(self) -> Verdict:
        """Return failed when a stage failed or was refused, else passed when one judged, else done."""
        sections = (self.run.section(step.stage) for step in self.steps)
        verdicts = {section["verdict"] for section in sections if section}
        if Verdict.FAILED in verdicts or any(step.state == "refused" for step in self.steps):
            return Verdict.FAILED
        return Verdict.PASSED if Verdict.PASSED in verdicts else Verdict.DONE


@dataclass(kw_only=True)
class Progress:
    """Called as things happen; the defaults show nothing."""

    begins: Callable[[Step], None] = field(default=lambda step: None)
    ends: Callable[[str, str, float], None] = field(default=lambda stage, verdict, seconds: None)
    skips: Callable[[Step], None] = field(default=lambda step: None)


def execute(config: Config, invocation: Invocation, context: Context, progress: Progress) -> Outcome:
    """Run the stages on the run that the invocation goes on with, or on a new one when something recorded has changed."""
    with exclusive(config.root), _bounded_threads(config.train.threads):
        outcome = _Execution(config, invocation, context, progress).outcome()
        again = _from_scratch(config, invocation, outcome)
        return _Execution(*again, context, progress).outcome() if again else outcome


def _from_scratch(config: Config, invocation: Invocation, outcome: Outcome) -> tuple[Config, Invocation] | None:
    """Return what to run when the gates refused a model that went on from the champion's: train from scratch.

    It is a run of its own, so that both models stay on record; its settings stay as the file has them, so that the next
    invocation finds it unchanged.
    """
    trained, judged = outcome.run.section("train"), outcome.run.section("evaluate")
    ran = {step.stage for step in outcome.steps if step.state == "runs"}
    if not (trained and judged and "evaluate" in ran and "train" in invocation.stages):
        return None
    method = trained["method"]
    if judged["verdict"] != Verdict.FAILED or method["used"] == "scratch" or not method["fall_back"]:
        return None
    reason = f"fall back to training from scratch: the gates refused the {method['used']} model of run {outcome.run.id}"
    scratch = replace(config, train=replace(config.train, mode="scratch"))
    reasons = "; ".join(text for text in (invocation.reason, reason) if text)
    return scratch, replace(invocation, run_id=outcome.run.id, force=False, start_at="train", reason=reasons)


class _Execution:
    def __init__(self, config: Config, invocation: Invocation, context: Context, progress: Progress) -> None:
        self.config, self.progress = config, progress
        self.decider = Decider(config, invocation, context)
        self.checked = False

    def outcome(self) -> Outcome:
        steps = [self._stage(stage) for stage in self.decider.stages]
        return Outcome(run=self.decider.run, steps=steps)

    def _stage(self, stage: Stage) -> Step:
        step = self.decider.step(stage)
        if step.state != "runs":
            self.progress.skips(step)
            return step
        self._check()
        run = self.decider.run
        with _nothing_left_behind(run, stage):
            run.settle()
            inputs = self.decider.inputs(stage, run)
            self.progress.begins(step)
            section = self._section(stage, inputs)
            run.complete(stage.name, section)
        self.progress.ends(stage.name, section["verdict"], section["duration_s"])
        return step

    def _section(self, stage: Stage, inputs: Mapping[str, str]) -> dict[str, Any]:
        start = datetime.now(UTC)
        result = stage.run(self.config, self.decider.run)
        end = datetime.now(UTC)
        around = self.decider.surroundings.record(stage)
        if MODULES in around:  # what it imported is known now that it ran
            inputs = {**inputs, **fingerprint.digests({MODULES: around[MODULES]})}
        return {
            "verdict": result.verdict,
            "fingerprint": fingerprint.of(inputs),
            "inputs": dict(inputs),
            "settings": self.config.values.get(stage.name),
            "code_commit": self.decider.code["commit"],
            "start": timestamp(start),
            "end": timestamp(end),
            "duration_s": round((end - start).total_seconds(), 3),
            **around,
            **result.section,
        }

    def _check(self) -> None:
        """Find what would stop a later stage before the first one starts to work."""
        if not self.checked:
            self.checked = True
            for stage in self.decider.stages:
                if not self.decider.left_out(stage):
                    stage.check(self.config)


@contextmanager
def _nothing_left_behind(run: Run, stage: Stage) -> Iterator[None]:
    """Remove the folder of a run in which nothing ran; one that may have written elsewhere is kept to be gone on with."""
    try:
        yield
    except BaseException as error:
        if not run.has_work() and (isinstance(error, ConfigError) or not stage.writes):
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


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
