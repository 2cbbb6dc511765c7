"""The store in a folder: begun whole, moved, and opened by MLflow's own pages."""

import os
import sqlite3
import subprocess
import threading
import urllib.request
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server, free_port, wait_for  # noqa: F401

from model_ci import registry
from model_ci.errors import ConfigError
from model_ci.registry.file import FileStore

fork = get_context("fork")
in_a_folder = pytest.mark.parametrize("place", ["file"], indirect=True)
with_pages = pytest.mark.parametrize("place", ["file", "branch"], indirect=True)


def texts(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


def begin_and_die(folder: Path, after_s: float) -> None:
    threading.Timer(after_s, os._exit, [9]).start()
    FileStore(folder).change(lambda access: None, lambda access: None)
    os._exit(0)


def test_killed_while_it_is_begun_the_next_begins_anew(tmp_path: Path) -> None:
    for after_s in (0.3, 0.6):
        dying = fork.Process(target=begin_and_die, args=(tmp_path / "store", after_s))
        dying.start()
        dying.join()

    store = FileStore(tmp_path / "store")
    assert store.change(lambda access: None, lambda access: access.client.search_registered_models()) == []
    store.close()
    assert sorted(f.name for f in store.folder.iterdir()) == ["location", "lock", "mlflow.db"]


def test_nothing_in_it_points_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store = FileStore(tmp_path / "store")
    store.change(lambda access: None, lambda access: None)
    store.close()

    assert "elsewhere" not in texts(store.database)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@in_a_folder
@pytest.mark.parametrize("steps", ["-1", "-4"])
def test_a_database_of_an_older_mlflow_is_upgraded(place: Place, steps: str) -> None:
    place.register("run-1")
    place = elsewhere(place)
    downgrade(place.root / ".model-ci" / "store" / "mlflow.db", steps)

    assert place.register("run-2").previous == "1"
    assert place.peek() == "2 run-2"


@in_a_folder
def test_a_database_of_a_newer_mlflow_is_refused(place: Place) -> None:
    place.register("run-1")
    place = elsewhere(place)
    database = place.root / ".model-ci" / "store" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'tomorrow'")

    with pytest.raises(ConfigError, match="was written by another MLflow"):
        place.register("run-2")
    assert "tomorrow" in texts(database)


def elsewhere(place: Place) -> Place:
    """Give the project a new name, for MLflow remembers in a process which databases it has checked."""
    (place.root / ".model-ci").rename(place.root.parent / ".model-ci")
    return place.at(place.root.parent)


def downgrade(database: Path, steps: str) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config

    command.downgrade(_get_alembic_config(f"sqlite:///{database}"), steps)


@in_a_folder
def test_a_moved_project_keeps_its_models(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.register("run-1")
    monkeypatch.chdir(tmp_path)
    moved = place.at(place.root.rename(tmp_path / "moved"))

    with moved.open() as store:
        folder = store.download(store.champion(), tmp_path / "fetched")
    assert (folder / "MLmodel").is_file()
    assert moved.register("run-2").previous == "1"
    assert str(place.root) not in texts(moved.root / ".model-ci" / "store" / "mlflow.db")


@with_pages
def test_mlflows_own_pages_open_on_it(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    (tmp_path / "pages").mkdir()
    port = free_port()
    command, environment = registry.ui_command(
        place.config(), place.root, in_ci=False, folder=tmp_path / "pages", port=port
    )
    with (tmp_path / "log").open("wb") as log:
        pages = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", pages)
        api = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/registered-models/alias?name={place.name}&alias=champion"
        file = f"http://127.0.0.1:{port}/model-versions/get-artifact?path=MLmodel&name={place.name}&version=1"
        assert b"run-1" in urllib.request.urlopen(api, timeout=60).read()
        assert b"flavors" in urllib.request.urlopen(file, timeout=60).read()
    finally:
        os.killpg(pages.pid, 15)
        pages.wait()


@with_pages
def test_pages_of_nothing_are_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was registered yet"):
        registry.ui_command(place.config(), place.root, in_ci=False, folder=tmp_path, port=1)


@pytest.mark.parametrize("place", ["server"], indirect=True)
def test_a_server_has_its_pages_already(place: Place, tmp_path: Path) -> None:
    command, _ = registry.ui_command(place.config(), place.root, in_ci=False, folder=tmp_path, port=1)

    assert place.uri in subprocess.run(command, check=True, capture_output=True, text=True).stdout
