"""The demonstration as `make demo` runs it: three runs on real flights, with git, DVC, MLflow and real pushes."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docker_engine import DockerEngine

DEMO = Path(__file__).resolve().parents[2] / "example-project" / "demo.py"


def demo(folder: Path, **images: str) -> subprocess.CompletedProcess[str]:
    # A CI job's variables must not change the story: it is about a laptop.
    environment = os.environ | {"GITHUB_ACTIONS": "true", "CI": "true", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    environment |= images or {"DOCKER_HOST": "unix:///nowhere"}
    return subprocess.run(
        [sys.executable, str(DEMO), "--folder", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "scratch"
    done = demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


def test_the_second_month_is_champion_and_the_first_its_predecessor(told: tuple[Path, str]) -> None:
    folder, output = told
    with sqlite3.connect(folder / "flights" / ".model-ci" / "store" / "mlflow.db") as database:
        aliases = dict(database.execute("SELECT alias, version FROM registered_model_aliases"))
    assert aliases == {"champion": 2, "challenger": 2, "previous": 1}
    assert "(exit code 3, as it should be)" in output


def test_three_runs_are_recorded_on_the_pushed_branch(told: tuple[Path, str]) -> None:
    folder, _ = told
    origin = folder / "origin.git"
    assert git(origin, "rev-list", "--count", "model-ci/records").strip() == "3"
    names = git(origin, "ls-tree", "-r", "--name-only", "model-ci/records").splitlines()
    records = [
        json.loads(git(origin, "show", f"model-ci/records:{name}")) for name in names if name.endswith("run.json")
    ]
    verdicts = [record["stages"]["evaluate"]["verdict"] for record in sorted(records, key=lambda r: r["run_id"])]
    assert verdicts == ["passed", "passed", "failed"]
    assert all(record["stages"]["train"]["data"]["dvc"][0]["matches"] for record in records)


def test_the_refusal_says_why(told: tuple[Path, str]) -> None:
    _, output = told
    refused = output[output.index("two trees") :]
    assert "roc_auc" in refused
    assert "lower than the champion" in refused


def test_where_to_look_is_there(told: tuple[Path, str]) -> None:
    folder, output = told
    places = [line.split()[0] for line in output[output.index("Where to look") :].splitlines() if ".model-ci" in line]
    assert places
    assert all((folder / "flights" / place).exists() for place in places)


def test_without_an_engine_the_story_ends_with_the_registered_model(told: tuple[Path, str]) -> None:
    assert "without a service: no Docker engine answers" in told[1]


@pytest.mark.docker
def test_with_an_engine_two_versions_share_the_flights(
    tmp_path: Path, docker_engine: DockerEngine, balancer: str
) -> None:
    folder = tmp_path / "scratch"
    done = demo(folder, DEMO_BASE_IMAGE=docker_engine.base, DEMO_BALANCER_IMAGE=balancer)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Answered by: challenger (\d+), champion (\d+)", done.stdout)
    assert found
    challenger, champion = map(int, found.groups())
    assert challenger + champion == 1000
    assert 50 < challenger < 150  # 100 are meant, and each user is drawn
    assert "model_ci_requests_total" in done.stdout
    assert "staging: removed champion 1, challenger 2" in done.stdout
    ledger = git(folder / "origin.git", "show", "model-ci/records:ledger/staging.jsonl").splitlines()
    shares = [{v["version"]: v["weight"] for v in json.loads(line)["variants"]} for line in ledger]
    assert shares == [{"1": 100}, {"1": 90, "2": 10}, {}]  # the demonstration takes away what it started


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = demo(tmp_path)
    assert done.returncode == 1
    assert "is not empty, and not from a demonstration" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"
