"""git: what the code is, whatever the checkout looks like."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from model_ci.errors import ConfigError
from model_ci.git import Branch, describe


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    folder = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", folder], check=True)
    return folder


@pytest.fixture
def clone(bare: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", bare, folder], check=True, capture_output=True)
    (folder / "code.py").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    git(folder, "push", "--quiet", "origin", "HEAD")
    return folder


def test_describes_a_clean_checkout(clone: Path, bare: Path) -> None:
    found = describe(clone)

    assert found["commit"] == git(clone, "rev-parse", "HEAD")
    assert found["branch"] == git(clone, "branch", "--show-current")
    assert found["repository"] == str(bare)
    assert (found["dirty"], found["diff_sha256"], found["problem"]) == (False, None, None)


def test_describes_changes_by_their_content(clone: Path) -> None:
    hashes = set()
    for content in ("two\n", "three\n"):
        (clone / "code.py").write_text(content)
        found = describe(clone)
        assert found["dirty"] is True
        hashes.add(found["diff_sha256"])

    git(clone, "add", ".")
    assert describe(clone)["dirty"] is True
    assert len(hashes) == 2


def test_describes_untracked_files_by_name_but_not_its_own(clone: Path) -> None:
    (clone / ".model-ci" / "runs").mkdir(parents=True)
    (clone / ".model-ci" / "runs" / "run.json").write_text("{}")
    (clone / "part").mkdir()
    assert describe(clone)["dirty"] is False

    (clone / "part" / "new.py").write_text("new\n")
    assert describe(clone / "part")["dirty"] is True


def test_describes_a_subfolder_as_the_whole_repository(clone: Path) -> None:
    (clone / "part").mkdir()
    (clone / "code.py").write_text("two\n")

    assert describe(clone / "part")["diff_sha256"] == describe(clone)["diff_sha256"] is not None


def test_describes_a_detached_head_and_a_shallow_clone(clone: Path, bare: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Go on")
    git(clone, "push", "--quiet", "origin", "HEAD")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", bare.as_uri(), shallow], check=True)
    git(shallow, "checkout", "--quiet", "--detach")

    found = describe(shallow)

    assert found["commit"] == git(clone, "rev-parse", "HEAD")
    assert found["branch"] is None


def test_describes_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "new.py").write_text("new\n")

    found = describe(tmp_path)

    assert (found["commit"], found["dirty"], found["repository"]) == (None, True, None)


@pytest.mark.parametrize("make", [lambda f: f.mkdir(), lambda f: None], ids=["no repository", "no folder"])
def test_says_why_it_describes_nothing(make: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make(folder)

    found = describe(folder)

    assert {key for key, value in found.items() if value is not None} == {"problem"}
    assert str(folder) in found["problem"]


def test_names_the_repository_without_credentials(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "https://me:secret@example.invalid/team/project.git")

    assert describe(clone)["repository"] == "https://example.invalid/team/project.git"


def test_is_not_led_elsewhere_by_the_environment(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert describe(clone)["problem"] is None


def test_says_that_git_is_not_installed(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert "git is not installed" in describe(clone)["problem"]
    with pytest.raises(ConfigError, match="git is not installed"):
        Branch(root=clone, name="model-ci/records", remote="origin").append({"a": b"1"}, "Add")
