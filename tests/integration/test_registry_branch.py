"""The store on a branch: what it pushes, when it does not, and what it refuses."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server  # noqa: F401 - fixtures

from model_ci.errors import ConfigError, ServiceError
from model_ci.git import Branch

pytestmark = pytest.mark.parametrize("place", ["branch"], indirect=True)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def tip(place: Place) -> str | None:
    return Branch(root=place.root, name="model-ci/store", remote="origin").tip()


def test_it_is_one_commit_that_starts_no_pipeline(place: Place) -> None:
    place.register("run-1")
    place.register("run-2")
    bare = place.root.parent / "remote.git"

    assert git(bare, "rev-list", "--count", "model-ci/store") == "1"
    assert git(bare, "log", "-1", "--format=%B", "model-ci/store").endswith("[skip ci]")
    assert git(place.root, "status", "--porcelain", "--", ".git") == ""
    assert git(place.root, "for-each-ref") == ""


def test_it_points_to_no_place(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    Branch(root=place.root, name="model-ci/store", remote="origin").fetch(tmp_path / "copy")

    assert {f.name for f in (tmp_path / "copy").iterdir()} == {"artifacts", "location", "mlflow.db"}
    with closing(sqlite3.connect(tmp_path / "copy" / "mlflow.db")) as connection:
        assert "/tmp/" not in "\n".join(connection.iterdump()).replace(str(place.model), "")


def test_nothing_new_is_not_pushed(place: Place) -> None:
    place.register("run-1")
    before = tip(place)

    place.register("run-1")
    with place.open() as store:
        store.champion()
        store.versions()
    place.peek()

    assert tip(place) == before


def test_what_is_too_large_is_refused_before_it_is_pushed(place: Place) -> None:
    with place.open(max_file_mb=0.001) as store, pytest.raises(ConfigError) as refused:
        store.register(place.submission("run-1"), lambda champion: True)

    assert "MLFLOW_TRACKING_URI" in str(refused.value)
    assert "DVC remote" in str(refused.value)
    assert tip(place) is None


def test_a_protected_branch_is_said(place: Place) -> None:
    hook = place.root.parent / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed' >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(ServiceError, match="branch 'model-ci/store' of remote 'origin': the branch is protected"):
        place.register("run-1")


def test_a_look_follows_the_branch(place: Place) -> None:
    other = place.at(place.root.parent / "other")
    git(place.root.parent, "clone", "--quiet", "remote.git", "other")
    place.register("run-1")
    assert (place.peek(), other.peek()) == ("1 run-1", "1 run-1")

    other.register("run-2")
    assert (place.peek(), other.peek()) == ("2 run-2", "2 run-2")


def test_without_a_remote_the_branch_is_here(place: Place) -> None:
    git(place.root, "remote", "remove", "origin")

    assert place.register("run-1").promoted
    assert place.register("run-2").previous == "1"
    assert git(place.root, "rev-list", "--count", "model-ci/store") == "1"
