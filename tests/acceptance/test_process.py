"""The process itself: a reader that goes away, a system that is not supported, a home, a name and rights that are missing."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project

from model_ci.cli import _GROUPS, _texts

MODEL_CI = Path(sys.executable).with_name("model-ci")
NOBODY = (
    "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)  # fmt: skip
as_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become nobody")


def run(root: Path, *arguments: Any, **keywords: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(a) for a in arguments], cwd=root, capture_output=True, text=True, check=False, **keywords
    )


def first_line(root: Path, *arguments: str) -> tuple[int, str]:
    """Run a command whose reader takes nothing at all; return its exit code and what it said beside."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen([MODEL_CI, *arguments], cwd=root, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["check-config"], 0),
        (["run", "--dry-run"], 0),
        (["run", "--stages", "train,evaluate", "--set", "evaluate.gates=[{metric: roc_auc, min: 0.999}]"], 3),
        (["check-data", "--learn"], 0),
    ],
)
def test_a_reader_that_goes_away_changes_nothing(project: Any, arguments: list[str], code: int) -> None:
    answer, errors = first_line(project.root, *arguments)
    assert answer == code, errors
    assert "BrokenPipe" not in errors
    assert "bug" not in errors
    if "train,evaluate" in arguments:
        assert (project.runs()[-1] / "report.html").is_file()


def test_another_system_is_named_in_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None; import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'fcntl' else find(name, package)\n"
        "from model_ci.__main__ import main; main()"
    )
    done = run(tmp_path, sys.executable, "-c", code)
    assert done.returncode == 2
    assert done.stderr.startswith("model-ci runs on Linux and macOS, not on")
    assert len(done.stderr.splitlines()) == 1


def test_every_command_stands_in_one_group_of_the_help() -> None:
    grouped = [name for names in _GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(_texts())
    shown = run(Path.cwd(), MODEL_CI, "--help").stdout
    for title in _GROUPS:
        assert f"\n{title}:\n" in shown


def nobody(project: Project, *arguments: str, home: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "USER", "LOGNAME")}
    environment |= {"HOME": home} if home else {}
    return run(project.root, *NOBODY, MODEL_CI, *arguments, env=environment)


@pytest.fixture
def public(project: Project) -> Iterator[Project]:
    """The project where everybody may reach and write it: outside of pytest's folder, which each session of pytest closes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.move(project.root, folder))
        subprocess.run(["chmod", "-R", "a+rwX", folder], check=True)
        yield Project(root)


@as_root
@pytest.mark.parametrize("home", [None, "/"])
def test_a_user_without_name_and_home_gets_a_run_and_its_record(public: Project, home: str | None) -> None:
    done = nobody(public, "run", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=public.root, capture_output=True, text=True, check=True)
    assert public.record()["code"]["commit"] == commit.stdout.strip()
    subprocess.run(["git", "rev-parse", "--verify", "-q", "model-ci/records"], cwd=public.root, check=True)


@as_root
def test_a_checkout_that_may_not_be_written_is_named(public: Project) -> None:
    shutil.rmtree(public.root / ".model-ci")
    public.root.chmod(0o755)
    for arguments in (("run",), ("check-data", "--learn"), ("monitor",)):
        done = nobody(public, *arguments, home="/")
        assert done.returncode == 2, done.stdout + done.stderr
        assert str(public.root) in done.stderr or "data-contract" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_report_says_why_the_commit_is_not_known(project: Any) -> None:
    shutil.rmtree(project.root / ".git")
    done = run(project.root, MODEL_CI, "run", "--stages", "check-data")
    assert "no commit: " in done.stdout
    assert "not inside a git repository" in done.stdout
