"""The year of flights through the platforms' runners: the example's own story, each month a scheduled run of its own.

Its first month, which brings a new champion, on GitHub; with MODEL_CI_YEAR=1 the whole year, on GitLab as well.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.ci.repository import records

EXAMPLE: Final = Path(__file__).parents[2] / "example-project"
WHOLE: Final = os.environ.get("MODEL_CI_YEAR") == "1"
LAST: Final = 12 if WHOLE else 4
MODEL: Final = """
on: {push: {branches: [main]}}
permissions: {}
jobs:
  model:
    uses: acme/model-ci/.github/workflows/pipeline.yml@v1
    permissions: {contents: write}
"""
OPERATION: Final = """
on: {schedule: [{cron: "23 5 1 * *"}]}
permissions: {}
jobs:
  operation:
    uses: acme/model-ci/.github/workflows/scheduled.yml@v1
    permissions: {contents: write, issues: write}
"""
Record = dict[str, Any]


class OnGitHub:
    """GitHub's workflows, by act."""

    def __init__(self, project: Any, github: GitHub, load: Callable[[Path], Any]) -> None:
        self.root, self.github, self.load = project.root, github, load
        workflows = project.root / ".github" / "workflows"
        workflows.mkdir(parents=True)
        # GitHub hands on a secret that is not set as an empty text, so the file says where the models are.
        file = project.root / "model-ci.yaml"
        file.write_text(f"{file.read_text()}register: {{store: branch}}\n")
        (workflows / "model.yml").write_text(MODEL)
        (workflows / "operation.yml").write_text(OPERATION)

    def push(self) -> Record:
        self.done = self.github.run(self.root, "model.yml")
        assert self.done.exit == 0, self.done.told
        return records(self.done.origin)[-1]

    def look(self) -> tuple[Record, Record | None]:
        event = Event(name="schedule", payload={"schedule": "23 5 1 * *"})
        self.done = self.github.run(self.root, "operation.yml", event)
        return new(records(self.done.origin), self.done.told)

    def model(self, run_id: str) -> Any:
        (name,) = {f"model-ci-{run_id}", f"model-ci-train-{run_id}"} & set(self.done.artifacts)
        folder = self.root.parent / "fetched"
        self.done.artifact(name).extractall(folder)
        return self.load(folder / run_id)


class OnGitLab:
    """GitLab's pipelines, by gitlab-ci-local."""

    def __init__(self, project: Any, gitlab: GitLab, toolkit: str, load: Callable[[Path], Any]) -> None:
        self.root, self.gitlab, self.load = project.root, gitlab, load
        of_us = {"project": "acme/model-ci", "ref": "v1", "inputs": {"toolkit": toolkit}}
        files = [f"gitlab/{name}.gitlab-ci.yml" for name in ("pipeline", "scheduled")]
        pipeline = {
            "stages": ["test", "watch", "train"],
            "include": [{**of_us, "file": file} for file in files],
            "model-ci": {"rules": [{"if": '$CI_PIPELINE_SOURCE == "push"'}]},
        }
        (project.root / ".gitlab-ci.yml").write_text(json.dumps(pipeline))

    def push(self) -> Record:
        self.done = self.gitlab.run(self.root)
        assert self.done.exit == 0, self.done.told
        return records(self.done.origin)[-1]

    def look(self) -> tuple[Record, Record | None]:
        self.done = self.gitlab.run(self.root, "schedule")
        return new(records(self.done.origin), self.done.told)

    def model(self, run_id: str) -> Any:
        kept = [job.artifacts for job in self.done.jobs.values() if job.artifacts]
        (folder,) = [run for place in kept for run in place.glob(f".model-ci/runs/{run_id}")]
        return self.load(folder)


def new(recorded: list[Record], told: str) -> tuple[Record, Record | None]:
    """Take the newest look, and the training after it."""
    *_, before, last = recorded
    if last["line"] == "operation":
        assert not last["stages"]["retrain"]["retrain"], told
        return last, None
    assert before["run_id"] in (last["trigger"]["reason"] or "no reason"), told
    return before, last


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example's script."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import year  # type: ignore[import-not-found]

    return year  # type: ignore[no-any-return]


def decided(table: str) -> list[list[str]]:
    """Return month, findings, decision and outcome of each row of a table of the year."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return [[row[0], *row[4:]] for row in rows if len(row) == 8 and row[0].isdigit()]


def on_github(project: Any, request: pytest.FixtureRequest, load: Callable[[Path], Any]) -> OnGitHub:
    return OnGitHub(project, request.getfixturevalue("github"), load)


def on_gitlab(project: Any, request: pytest.FixtureRequest, load: Callable[[Path], Any]) -> OnGitLab:
    return OnGitLab(project, request.getfixturevalue("gitlab"), request.getfixturevalue("toolkit"), load)


@pytest.mark.platform
@pytest.mark.parametrize("platform", [on_github, on_gitlab] if WHOLE else [on_github])
def test_the_year(platform: Any, request: pytest.FixtureRequest, story: ModuleType, tmp_path: Path) -> None:
    """Live through the months, say how it went where somebody looks, and hold it to the example's own table."""
    started = time.monotonic()
    project = story.Project(tmp_path / "flights")
    table = story.table(story.year(project, platform(project, request, story.load), LAST))
    print(f"{table}\n{time.monotonic() - started:.0f} s")
    assert decided(table) == decided((EXAMPLE / "README.md").read_text())[: LAST - 3]
