"""Real git repositories: the checkout that a runner works on, and the bare one that it pushes to."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.ci.process import GIT_ENVIRONMENT

IGNORED: Final = shutil.ignore_patterns(
    ".git", ".venv", ".tools", ".model-ci", ".*_cache", ".hypothesis", "node_modules", "__pycache__", ".gitlab-ci-local"
)


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` without any configuration of the machine and return what it printed."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", **GIT_ENVIRONMENT}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=env, capture_output=True, text=True)
    return done.stdout.strip()


def create(folder: Path, url: str, branch: str = "main") -> None:
    """Make `folder` a clone of `url`, as far as can be seen, with all its files committed on `branch`."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", url)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "test")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    if branch != "main":
        git(folder, "checkout", "-q", "-b", branch)


def serve(folder: Path, bare: Path) -> None:
    """Make the bare repository that stands behind the address of the clone `folder`."""
    bare.parent.mkdir(parents=True, exist_ok=True)
    git(folder, "clone", "-q", "--bare", str(folder), str(bare))
    git(bare, "config", "uploadpack.allowFilter", "true")
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")


def publish(files: Path, bare: Path, tags: Sequence[str]) -> None:
    """Make a bare repository of the files in a folder, with tags on its only commit."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        shutil.copytree(files, clone, ignore=IGNORED)
        create(clone, "file:///nowhere")
        for tag in tags:
            git(clone, "tag", tag)
        serve(clone, bare)


def redirect(configuration: Path, addresses: Mapping[str, Path]) -> None:
    """Write a git configuration that finds bare repositories behind addresses that are not reachable.

    Each address has a rule of its own: one for a whole host would also change what `git remote get-url` prints.
    """
    lines = ["[user]\n\tname = ci\n\temail = ci@example.invalid\n[safe]\n\tdirectory = *\n"]
    for address, bare in addresses.items():
        lines.append(f'[url "file://{bare}"]\n\tinsteadOf = {address}.git\n\tinsteadOf = {address}\n')
    configuration.write_text("".join(lines))


def branches(bare: Path) -> set[str]:
    """Return the names of the branches."""
    return set(git(bare, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines())


def records(bare: Path) -> list[dict[str, Any]]:
    """Return the run records on the records branch, the oldest first."""
    files = git(bare, "ls-tree", "-r", "--name-only", "model-ci/records").splitlines()
    names = sorted(file for file in files if file.endswith("/run.json"))
    return [json.loads(git(bare, "show", f"model-ci/records:{name}")) for name in names]


def newest_record(bare: Path) -> dict[str, Any]:
    """Return the newest run record on the records branch."""
    return records(bare)[-1]
