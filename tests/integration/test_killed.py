"""A run that is killed at any step leaves a valid record, loses nothing that was complete, and can go on."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_ci.schema import problems

# Imports what a run needs once, starts the process that loads models, and forks a run for each line: a number of steps
# after which the run kills itself.
# A step is a file or folder that gets its name: only there does something become true for the next run.
RUNNER = """
import os, signal, sys
from model_ci.model import process

process.start()
import mlflow.sklearn, pandas, polars, sklearn.linear_model, sklearn.pipeline
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
from model_ci.__main__ import exit_code

for line in sys.stdin:
    child = os.fork()
    if not child:
        left = int(line)

        def counted(rename):
            def call(*arguments, **options):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return rename(*arguments, **options)
            return call

        os.rename, os.replace, os.link = counted(os.rename), counted(os.replace), counted(os.link)
        sys.stdout = sys.stderr
        os._exit(exit_code(["run"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def runner(project: Any) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER], cwd=project.root, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


def run(runner: "subprocess.Popen[str]", steps: int = 0) -> int:
    """Run, and let the run kill itself at its step of that number; 0 never kills."""
    assert runner.stdin and runner.stdout
    runner.stdin.write(f"{steps}\n")
    runner.stdin.flush()
    return int(runner.stdout.readline())


def records(root: Path) -> dict[str, dict[str, Any]]:
    return {f.parent.name: json.loads(f.read_text()) for f in sorted(root.glob(".model-ci/runs/*/run.json"))}


def kept(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> bool:
    """Tell whether all records are valid, and no section that was complete is lost or changed."""
    sections = {run_id: record["stages"] for run_id, record in after.items()}
    return not [p for record in after.values() for p in problems(record, "run")] and all(
        sections[run_id].get(name) == section
        for run_id, record in before.items()
        for name, section in record["stages"].items()
    )


def test_killed_at_each_step_the_next_run_goes_on(project: Any, runner: "subprocess.Popen[str]") -> None:
    kills, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        # champion and challenger rank the few rows alike, which is too little to compare them by
        project.configure(
            train={"parameters": {"C": 1.0 + kills / 1000}}, evaluate={"uncertainty": {"inconclusive": "pass"}}
        )
        before = records(project.root)
        code = run(runner, kills + 1)
        after = records(project.root)
        assert kept(before, after)
        if kills % 4 == 3:  # the same again
            assert run(runner) == 0
            assert kept(after, records(project.root))
        kills += code == -signal.SIGKILL
    assert code == 0
    assert kills >= 8
    run_id, finished = list(records(project.root).items())[-1]
    assert list(finished["stages"]) == ["check-data", "train", "evaluate", "register", "record"]
    assert not list((project.root / ".model-ci" / "runs" / run_id).glob("*.partial"))
