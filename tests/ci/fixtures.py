"""pytest's way to GitHub and GitLab: the fixtures `github` and `gitlab`, and what they share in a session."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests import shared
from tests.ci.github import GitHub
from tests.ci.gitlab import GitLab
from tests.ci.repository import IGNORED

ROOT: Final = Path(__file__).parents[2]
_SHIPPED: Final = (".github", "actions", "gitlab", "templates", "schemas", "scripts")
_OWN_WORKFLOWS: Final = ("ci.yml", "release.yml")  # they use actions that nothing stands in for
_SHIPPED_FILES: Final = ("LICENSE", "README.md", "constraints.txt", "pyproject.toml")


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this repository that a user's job gets, as they are now, committed or not."""
    copy = tmp_path_factory.mktemp("product") / "model-ci"
    for name in _SHIPPED:
        shutil.copytree(ROOT / name, copy / name, ignore=IGNORED)
    for name in _SHIPPED_FILES:
        shutil.copy(ROOT / name, copy)
    for name in _OWN_WORKFLOWS:
        (copy / ".github" / "workflows" / name).unlink()
    return copy


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where environments and packages are kept, so that a session makes each environment once."""
    _require("uv", "git")
    cache = subprocess.run(["uv", "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    return {"MODEL_CI_ENV_DIR": str(shared.folder(tmp_path_factory) / "environments"), "UV_CACHE_DIR": cache}


@pytest.fixture(scope="session")
def toolkit(product: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The requirement that installs the tool as it is now, for GitLab."""
    _require("uv")

    def build(folder: Path) -> None:
        subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", folder, product], check=True)

    # One for all workers: uv keeps an environment for each address of a wheel, and making one costs a minute.
    folder = shared.made("wheel", tmp_path_factory, build)
    return f"model-ci @ {next(folder.glob('*.whl')).as_uri()}"


@pytest.fixture(scope="session")
def product_for_gitlab(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, but that every job installs all extras: one environment in place of eleven.

    The actions are generated from the same description, and act runs each of them with the extras of its own.
    """
    copy = tmp_path_factory.mktemp("product-for-gitlab") / "model-ci"
    shutil.copytree(product, copy)
    for file in [*copy.glob("gitlab/*.yml"), *copy.glob("templates/*.yml")]:
        file.write_text(re.sub(r"model-ci\[[a-z,-]+\]", "model-ci[all]", file.read_text()))
    return copy


@pytest.fixture
def github(tmp_path: Path, product: Path, caches: dict[str, str]) -> GitHub:
    """A GitHub whose repository acme/demo may use acme/model-ci@v1, which is this repository."""
    _require("act", "git", "node")
    return GitHub(folder=tmp_path, repositories={"acme/model-ci@v1": product}, variables=caches)


@pytest.fixture
def gitlab(tmp_path: Path, product_for_gitlab: Path, caches: dict[str, str]) -> GitLab:
    """A GitLab whose project acme/demo may include acme/model-ci at v1, which is this repository."""
    _require("gitlab-ci-local", "git", "node", "rsync")
    return GitLab(folder=tmp_path, projects={"acme/model-ci": (product_for_gitlab, ["v1"])}, variables=caches)


@pytest.fixture
def consumer(tmp_path: Path) -> Callable[..., Path]:
    """Make a user's project: 300 rows, a logistic regression, and the workflow or pipeline files that are given."""

    def make(folder: str = ".", **files: str) -> Path:
        tree = tmp_path / "consumer"
        shutil.copytree(Path(__file__).parent / "consumer", tree / folder, dirs_exist_ok=True)
        for name, text in files.items():
            file = tree / {"workflow": ".github/workflows/model.yml", "pipeline": ".gitlab-ci.yml"}[name]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tree

    return make


def _require(*programs: str) -> None:
    """Skip where a program lacks; fail where MODEL_CI_REQUIRE_ALL says that nothing may be skipped."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
        pytest.fail(f"{', '.join(missing)}: not installed; `make setup` installs everything")
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed; `make setup` installs everything")
