"""record: every run's record reaches the records branch, whoever else pushes, and changes nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_ci import config as configuration
from model_ci.config import Config
from model_ci.run import Run, timestamp
from model_ci.stages.record import stage as record

BRANCH = "model-ci/records"
CONFIG = {
    "model": {"name": "shop", "task": "binary"},
    "data": {"path": "data.csv", "target": "sold"},
    "train": {"entrypoint": "model_code:build"},
    "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.6}]},
}
HEADER = {
    "tool": {"name": "model-ci", "version": "0.1.0"},
    "model": {"name": "shop", "task": "binary"},
    "line": "model",
    "trigger": {"event": "local", "reason": None},
    "ci": {"provider": "local", "run_url": None, "actor": None, "branch": None},
    "code": {"repository": None, "commit": None, "branch": None, "dirty": None, "diff_sha256": None},
    "environment": {"python": "3.11", "platform": "Linux", "packages_sha256": "0" * 64},
    "config": {"file": "model-ci.yaml", "folder": "", "values": {}},
}
# What a clone of its own does in a process of its own.
PUSH = """
import sys
from pathlib import Path
from model_ci import config
from model_ci.run import Run
from model_ci.stages.record import stage as record
folder = Path(sys.argv[1])
result = record.run(config.load(folder / "model-ci.yaml"), Run.open(next((folder / ".model-ci/runs").iterdir())))
sys.exit(0 if result.section["pushed"] else str(result.section))
"""


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A remote with one commit of a project."""
    begin = tmp_path / "begin"
    begin.mkdir()
    git(begin, "init", "--quiet")
    (begin / "model-ci.yaml").write_text(yaml.safe_dump(CONFIG))
    (begin / ".gitignore").write_text(".model-ci/\n")
    git(begin, "add", ".")
    git(begin, "commit", "--quiet", "--message", "Begin")
    git(begin, "clone", "--quiet", "--bare", ".", str(tmp_path / "remote.git"))
    return tmp_path / "remote.git"


def clone(bare: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", bare, folder], check=True)
    return folder


def a_run(folder: Path) -> tuple[Config, Run]:
    loaded = configuration.load(folder / "model-ci.yaml")
    run = Run.create(folder, HEADER)
    run.folder.mkdir(parents=True)
    run.save()
    return loaded, run


def complete(run: Run, section: Any) -> None:
    now = timestamp()
    told = {"fingerprint": "0" * 64, "inputs": {}, "code_commit": None, "start": now, "end": now, "duration_s": 0.0}
    run.complete("record", {"verdict": "done", **told, **section})


def recorded(bare: Path) -> set[str]:
    listed = git(bare, "ls-tree", "-r", "--name-only", BRANCH).splitlines()
    return {name.split("/")[1] for name in listed if name.endswith("/run.json")}


def test_records_what_stood_there_before(bare: Path, tmp_path: Path) -> None:
    loaded, run = a_run(clone(bare, tmp_path / "clone"))
    before = json.loads(json.dumps(run.record))

    result = record.run(loaded, run)

    assert result.verdict == "done"
    assert result.section == {
        "branch": BRANCH, "remote": "origin", "commit": git(bare, "rev-parse", BRANCH), "pushed": True, "problem": None,
        "findings": [],
    }  # fmt: skip
    assert json.loads(git(bare, "show", f"{BRANCH}:runs/{run.id}/run.json")) == before
    assert run.id in git(bare, "show", f"{BRANCH}:runs/{run.id}/summary.md")
    assert "model-ci" in git(bare, "show", f"{BRANCH}:README.md")


def test_records_an_unchanged_run_once(bare: Path, tmp_path: Path) -> None:
    loaded, run = a_run(clone(bare, tmp_path / "clone"))
    depends_on = record.inputs(loaded, run)
    section = record.run(loaded, run).section
    complete(run, section)

    assert record.run(loaded, run).section == section
    assert record.inputs(loaded, run) == depends_on
    assert git(bare, "rev-list", "--count", BRANCH) == "1"


def test_twelve_clones_push_at_once(bare: Path, tmp_path: Path) -> None:
    ids = []
    folders = [clone(bare, tmp_path / f"clone-{i}") for i in range(12)]
    for folder in folders:
        ids.append(a_run(folder)[1].id)
        (folder / "staged.txt").write_text("staged\n")
        git(folder, "add", "staged.txt")
    status = [git(folder, "status", "--porcelain=v2", "--branch") for folder in folders]

    pushing = [subprocess.Popen([sys.executable, "-c", PUSH, folder], stderr=subprocess.PIPE) for folder in folders]
    said = [process.communicate()[1].decode() for process in pushing]

    assert [process.returncode for process in pushing] == [0] * 12, said
    assert recorded(bare) == set(ids)
    with_parents = git(bare, "rev-list", "--parents", BRANCH).splitlines()
    assert [len(line.split()) for line in with_parents] == [2] * 11 + [1]
    assert [git(folder, "status", "--porcelain=v2", "--branch") for folder in folders] == status


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but the cache, which may be written at any time."""
    return {f: f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file() and "cache" not in f.parts}


def test_killed_at_any_moment_it_leaves_nothing_that_hinders(bare: Path, tmp_path: Path) -> None:
    folder = clone(bare, tmp_path / "clone")
    loaded, run = a_run(folder)
    before = contents(folder)
    for i in range(12):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(scratch)}
        process = subprocess.Popen([sys.executable, "-c", PUSH, folder], env=environment, start_new_session=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and not any(scratch.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.004 * i)
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()

    assert contents(folder) == before
    assert record.run(loaded, run).section["pushed"]
    assert recorded(bare) == {run.id}
    assert git(bare, "rev-list", "--count", BRANCH) == "1"


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("error: GH006: Protected branch update failed for refs/heads/model-ci/records.", "the branch is protected"),
        ("GitLab: You are not allowed to push code to this project.", "project access token"),
    ],
)
def test_a_refused_push_is_said_and_judges_nothing(says: str, expected: str, bare: Path, tmp_path: Path) -> None:
    loaded, run = a_run(clone(bare, tmp_path / "clone"))
    hook = bare / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    hook.chmod(0o755)

    result = record.run(loaded, run)

    assert (result.verdict, result.section["pushed"], result.section["commit"]) == ("done", False, None)
    assert expected in result.section["problem"]


def test_outside_a_repository_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "model-ci.yaml").write_text(yaml.safe_dump(CONFIG))

    result = record.run(*a_run(tmp_path))

    assert not result.section["pushed"]
    assert "git init" in result.section["problem"]


def test_without_a_remote_the_record_stays_here(bare: Path, tmp_path: Path) -> None:
    folder = clone(bare, tmp_path / "clone")
    git(folder, "remote", "remove", "origin")
    loaded, run = a_run(folder)

    section = record.run(loaded, run).section

    assert (section["remote"], section["pushed"], section["problem"]) == (None, False, None)
    assert section["commit"] == git(folder, "rev-parse", BRANCH)
