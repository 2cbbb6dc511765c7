"""What a workflow did, read from act's log."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ci.github_tree import PROBE


@dataclass
class Step:
    """A step; one inside a composite action has an id such as outer/inner."""

    id: str
    result: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    log: str = ""


@dataclass
class Job:
    """A job; `name` is preceded by the name of its workflow."""

    name: str
    id: str
    result: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The job summary."""
        return "".join(step.summary for step in self.steps.values())

    @property
    def log(self) -> str:
        """What the steps printed."""
        return "".join(step.log for step in self.steps.values())


@dataclass
class Annotation:
    """A message on the run's page."""

    level: str
    message: str
    properties: dict[str, str]


@dataclass
class Outcome:
    """A workflow's end."""

    exit: int
    origin: Path  # the bare repository that the checkout came from
    jobs: dict[str, Job] = field(default_factory=dict)
    annotations: list[Annotation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    output: str = ""

    @property
    def summary(self) -> str:
        """All job summaries."""
        return "".join(job.summary for job in self.jobs.values())

    @property
    def told(self) -> str:
        """What a person would read to see why it failed."""
        return "\n".join([*self.errors, *(job.log[-3000:] for job in self.jobs.values())]) or self.output[-3000:]

    def job(self, name: str) -> Job:
        """Return the one job of that id or name."""
        found = [job for job in self.jobs.values() if name in (job.id, job.name)]
        assert len(found) == 1, f"{name}: {list(self.jobs)}\n{self.output[-4000:]}"
        return found[0]

    def artifact(self, name: str) -> zipfile.ZipFile:
        """Open an artifact."""
        return zipfile.ZipFile(self.artifacts[name])


def read(outcome: Outcome, workflow: str) -> None:
    """Fill `outcome` from its output; `workflow` is the workflow's name."""
    for event in _events(outcome.output):
        _take(outcome, event)
    _tell_outputs(outcome, f"{workflow}/")
    _undouble_summaries(outcome)


def _events(output: str) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "job" in event:
            yield event


def _take(outcome: Outcome, event: dict[str, Any]) -> None:
    name, command = event["job"].strip(), event.get("command")
    job = outcome.jobs.setdefault(name, Job(name, event["jobID"]))
    job.result = event.get("jobResult", job.result)
    if event.get("level") == "error" and command is None:
        outcome.errors.append(f"{name}: {event['msg'].strip()}")
    if command in ("error", "warning", "notice"):
        outcome.annotations.append(Annotation(command, event["arg"], event.get("kvPairs") or {}))
    elif event.get("stepID") and event.get("stage") == "Main":
        _take_step(job, event)


def _take_step(job: Job, event: dict[str, Any]) -> None:
    identity = "/".join(event["stepID"])
    step = job.steps.setdefault(identity, Step(identity))
    step.result = event.get("stepResult", step.result)
    match event.get("command"):
        case "set-output":
            step.outputs[event["name"]] = event["arg"]
        case "summary":
            step.summary += event["content"]
        case None if event.get("raw_output"):
            step.log += event["msg"]


def _tell_outputs(outcome: Outcome, prefix: str) -> None:
    """Give each job of the caller's workflow what the probe saw of it, and forget the probe."""
    probe = next((job for job in outcome.jobs.values() if job.id == PROBE), None)
    if probe is None:
        return
    for identity, seen in json.loads(probe.steps["probe"].outputs["needs"]).items():
        mine = [job for job in outcome.jobs.values() if job.id == identity and job.name.startswith(prefix)]
        for job in mine or [outcome.jobs.setdefault(identity, Job(identity, identity))]:
            job.outputs, job.result = seen.get("outputs") or {}, job.result or seen["result"]
    del outcome.jobs[probe.name]


def _undouble_summaries(outcome: Outcome) -> None:
    """Drop what an outer step repeats of its last inner one."""
    for job in outcome.jobs.values():
        for step in job.steps.values():
            if any(other.startswith(step.id + "/") for other in job.steps):
                step.summary = ""
