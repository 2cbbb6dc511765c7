"""Every folder of tests/examples/invalid is a mistake, named by the reason, with what the user is told.

A folder holds the user's files and `expected.txt`, each line of which must appear in the output; `command` holds the
arguments (check-config), `exit-code` the code (2).
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
META = ("expected.txt", "command", "exit-code")


def folders(kind: str) -> list[Path]:
    return sorted(folder for folder in (EXAMPLES / kind).iterdir() if folder.is_dir())


def read(file: Path, default: str) -> str:
    return file.read_text(encoding="utf-8").strip() if file.exists() else default


@pytest.mark.parametrize("folder", folders("invalid"), ids=lambda f: f.name)
def test_invalid(folder: Path, tmp_path: Path, command: Callable[..., object]) -> None:
    work = shutil.copytree(folder, tmp_path / "work", ignore=shutil.ignore_patterns(*META))
    answer = command(work, *read(folder / "command", "check-config").split())
    for line in (folder / "expected.txt").read_text(encoding="utf-8").splitlines():
        assert line in answer.text, f"{line!r} is not in:\n{answer.text}"
    if answer.code != 4:  # only the user's own code may show a traceback, theirs
        assert "Traceback" not in answer.text
    assert "model_ci/" not in answer.text, "our own frames are none of the user's business"
    assert answer.code == int(read(folder / "exit-code", "2")), answer.text


@pytest.mark.parametrize("folder", folders("valid"), ids=lambda f: f.name)
def test_valid(folder: Path, command: Callable[..., object]) -> None:
    answer = command(folder, "check-config")
    assert answer.code == 0, answer.text
