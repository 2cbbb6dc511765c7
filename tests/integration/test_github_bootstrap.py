"""scripts/bootstrap.sh makes an environment once, whole or not at all, with the user's pins before ours."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Bootstrap = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def bootstrap(caches: dict[str, str], product: Path, tmp_path: Path) -> Bootstrap:
    """Start bootstrap.sh in a folder of the user's, with environments kept in a folder of the test's."""
    work = tmp_path / "work"
    work.mkdir()

    def start(*extras: str, **env: str) -> subprocess.Popen[str]:
        settings = {**os.environ, **caches, "MODEL_CI_ENV_DIR": str(tmp_path / "environments"), **env}
        script = product / "scripts" / "bootstrap.sh"
        return subprocess.Popen(
            ["bash", str(script), *extras],
            cwd=work,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def path_of(process: subprocess.Popen[str]) -> Path:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return Path(out.strip())


def version(program: Path, package: str) -> str:
    python = program.parent / "python"
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_it_gives_the_tool_with_the_pinned_versions(bootstrap: Bootstrap, tmp_path: Path) -> None:
    output = tmp_path / "output"
    assert path_of(bootstrap(GITHUB_OUTPUT=str(output))) == Path()
    program = Path(output.read_text().removeprefix("path=").strip())
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    pins = (ROOT / "constraints.txt").read_text()
    assert said.startswith("model-ci ")
    assert re.search(rf"^jsonschema=={re.escape(version(program, 'jsonschema'))}\b", pins, re.MULTILINE)


def test_an_environment_is_found_again_without_uv(bootstrap: Bootstrap, tmp_path: Path) -> None:
    first = path_of(bootstrap())
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "git", "find", "sort", "cut", "sed", "dirname", "mkdir", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    assert path_of(bootstrap(PATH=str(tools))) == first


def test_other_inputs_are_another_environment(bootstrap: Bootstrap, tmp_path: Path) -> None:
    first = path_of(bootstrap())
    (tmp_path / "work" / "requirements.txt").write_text("# none yet\n")
    assert path_of(bootstrap()) != first
    assert path_of(bootstrap(INPUT_REQUIREMENTS="/dev/null")) == first


def test_what_the_user_pins_wins(bootstrap: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / "work" / "requirements.txt").write_text("rich==13.9.4\n")
    program = path_of(bootstrap())
    assert version(program, "rich") == "13.9.4"
    assert f"pyyaml=={version(program, 'pyyaml')}" in (ROOT / "constraints.txt").read_text()


def test_pins_that_contradict_the_tool_are_named(bootstrap: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / "work" / "requirements.txt").write_text("jsonschema==3.2.0\n")
    process = bootstrap()
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "jsonschema==3.2.0" in err
    assert list((tmp_path / "environments").iterdir()) == []


def test_a_missing_requirements_file_is_named(bootstrap: Bootstrap) -> None:
    process = bootstrap(INPUT_REQUIREMENTS="other.txt")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "requirements: no such file: ./other.txt" in err


def test_two_at_once_end_with_one_environment(bootstrap: Bootstrap, tmp_path: Path) -> None:
    both = [bootstrap(), bootstrap()]
    paths = {path_of(process) for process in both}
    assert len(paths) == 1
    assert version(paths.pop(), "model-ci")
    assert len(list((tmp_path / "environments").iterdir())) == 2  # the environment and its name


def test_a_kill_at_any_moment_does_no_harm(bootstrap: Bootstrap) -> None:
    for _ in range(5):
        process = bootstrap()
        time.sleep(random.uniform(0, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert version(path_of(bootstrap()), "model-ci")


def test_a_name_without_its_folder_is_forgotten(bootstrap: Bootstrap) -> None:
    program = path_of(bootstrap())
    shutil.rmtree(program.parent.parent.resolve())
    assert path_of(bootstrap()) == program
    assert version(program, "model-ci")


def test_uv_is_installed_by_its_hash_where_it_lacks(bootstrap: Bootstrap, tmp_path: Path) -> None:
    usual = os.environ["PATH"].split(":")
    without = ":".join(folder for folder in usual if not (Path(folder) / "uv").exists())
    if shutil.which("python3", path=without) is None:
        pytest.skip("the only python3 stands beside uv")
    assert version(path_of(bootstrap(PATH=without)), "model-ci")
    (link,) = (tmp_path / "environments").glob("uv-????????????????")
    pinned = (link / "pin.txt").read_text()
    assert pinned.startswith("uv==")
    assert "--hash=sha256:" in pinned
