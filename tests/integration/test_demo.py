"""The demonstration as `make demo` runs it: three runs on real flights, with git, DVC, MLflow and real pushes."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests import shared
from tests.docker_engine import DockerEngine

DEMO = Path(__file__).resolve().parents[2] / "example-project" / "demo.py"


@dataclass(frozen=True)
class Told:
    """The folder that the demonstration made, and what it printed."""

    folder: Path
    output: str


def demo(folder: Path, **images: str) -> subprocess.CompletedProcess[str]:
    # A CI job's variables must not change the story: it is about a laptop.
    environment = os.environ | {"GITHUB_ACTIONS": "true", "CI": "true", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    return subprocess.run(
        [sys.executable, str(DEMO), "--folder", str(folder)],
        env=environment | images,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine, balancer: str) -> Told:
    """One demonstration, with a service, for all workers."""

    def make(folder: Path) -> None:
        done = demo(folder, DEMO_BASE_IMAGE=docker_engine.base, DEMO_BALANCER_IMAGE=balancer)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "output").write_text(done.stdout)

    folder = shared.made("demo", tmp_path_factory, make)
    return Told(folder, (folder / "output").read_text())


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


def test_the_second_month_is_champion_and_the_first_its_predecessor(told: Told) -> None:
    with sqlite3.connect(told.folder / "flights" / ".model-ci" / "store" / "mlflow.db") as database:
        aliases = dict(database.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases == {"champion": 2, "challenger": 2, "previous": 1}
    assert "(exit code 3, as it should be)" in told.output


def test_three_runs_are_recorded_on_the_pushed_branch(told: Told) -> None:
    origin = told.folder / "origin.git"
    names = git(origin, "ls-tree", "-r", "--name-only", "model-ci/records").splitlines()
    records = [
        json.loads(git(origin, "show", f"model-ci/records:{name}")) for name in names if name.endswith("run.json")
    ]
    verdicts = [record["stages"]["evaluate"]["verdict"] for record in sorted(records, key=lambda r: r["run_id"])]
    assert verdicts == ["passed", "passed", "failed"]
    assert all(record["stages"]["train"]["data"]["dvc"][0]["matches"] for record in records)


def test_the_refusal_says_why(told: Told) -> None:
    refused = told.output[told.output.index("two trees") :]
    assert "roc_auc" in refused
    assert "lower than the champion" in refused


def test_where_to_look_is_there(told: Told) -> None:
    lines = told.output[told.output.index("Where to look") :].splitlines()
    places = [line.split()[0] for line in lines if ".model-ci" in line]
    assert places
    assert all((told.folder / "flights" / place).exists() for place in places)


def test_without_an_engine_the_story_goes_without_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.syspath_prepend(str(DEMO.parent))
    monkeypatch.setattr(sys, "argv", ["demo.py", "--folder", str(tmp_path / "scratch")])
    import demo as script  # type: ignore[import-not-found]

    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(script.Workspace, "call", lambda self, *command, expected=0: called.append(command))
    monkeypatch.setattr(script.Workspace, "expect_aliases", lambda self, **expected: None)
    monkeypatch.setattr(script, "where_to_look", lambda workspace: None)
    assert script.main() == 0
    assert "without a service: no Docker engine answers" in capsys.readouterr().out
    ours = [" ".join(command[1:]) for command in called if command[0] == "model-ci"]
    assert ours == ["run", "run", "run --set train.parameters.max_iter=2"]


def test_two_versions_share_the_flights(told: Told) -> None:
    counted = re.search(r"Answered by: challenger (\d+), champion (\d+)", told.output)
    assert counted
    challenger, champion = map(int, counted.groups())
    assert challenger + champion == 1000
    assert 50 < challenger < 150  # 100 are meant, and each user is drawn
    assert "model_ci_requests_total" in told.output
    assert "staging: removed champion 1, challenger 2" in told.output
    ledger = git(told.folder / "origin.git", "show", "model-ci/records:ledger/staging.jsonl").splitlines()
    shares = [{v["version"]: v["weight"] for v in json.loads(line)["variants"]} for line in ledger]
    assert shares == [{"1": 100}, {"1": 90, "2": 10}, {}]  # the demonstration takes away what it started


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "is not empty, and not from a demonstration" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"
