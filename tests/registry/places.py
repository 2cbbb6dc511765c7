"""The three places a registry can be in, for real, and a model to put there."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import shared

from model_ci import config as configuration
from model_ci import registry
from model_ci.config import Config
from model_ci.files import write_atomically
from model_ci.git import Branch
from model_ci.registry import Registered, Submission, Version
from model_ci.registry.branch import NOWHERE
from model_ci.registry.client import ENVIRONMENT
from model_ci.registry.file import FileStore
from model_ci.registry.location import artifacts_uri, relocate


@pytest.fixture(scope="session", name="model")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real, tiny model."""
    return shared.made("model", tmp_path_factory, _make_model)


@pytest.fixture(scope="session", name="new_database")
def a_new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What MLflow makes of an empty store, made once, for making it takes longer than most tests."""
    return shared.made("new-store", tmp_path_factory, _make_database) / "mlflow.db"


@dataclass(frozen=True)
class Server:
    uri: str
    artifacts: Path


@pytest.fixture(scope="session", name="server")
def a_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real MLflow server, one for all workers."""
    folder = shared.folder(tmp_path_factory) / "shared-server"
    with shared.running("mlflow", tmp_path_factory, lambda: _start(folder), _stop) as running:
        yield Server(running["uri"], folder / "artifacts")


def _make_model(folder: Path) -> None:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame({"size": [0.0, 1.0, 2.0, 3.0]})
    fitted = LogisticRegression().fit(rows, [0, 0, 1, 1])
    signature = infer_signature(rows, fitted.predict(rows))
    requirements = ["scikit-learn"]
    mlflow.sklearn.save_model(
        fitted, folder, pip_requirements=requirements, signature=signature, input_example=rows[:2]
    )


def _make_database(folder: Path) -> None:
    store = FileStore(folder)
    store.change(lambda access: None, lambda access: None)
    store.close()
    relocate(store.database, artifacts_uri(folder), NOWHERE)


def _start(folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", f"{folder}/artifacts"]
    told = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    wait_for(f"{uri}/health", process)
    return {"uri": uri, "process": process.pid}


def _stop(server: dict[str, Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server["process"], signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{address} did not come up")


@dataclass
class Place:
    """A store with one model, as a project sees it."""

    kind: str
    root: Path
    model: Path
    uri: str = ""
    server_artifacts: Path = Path()
    name: str = field(default_factory=lambda: f"shop-{random.randrange(10**9)}")

    def config(self, **section: Any) -> Config:
        values = {
            "model": {"name": self.name, "task": "binary"},
            "data": {"path": "data.csv", "target": "sold"},
            "train": {"entrypoint": "model_code:build"},
            "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.6}]},
            "register": {"store": self.kind, **section},
        }
        file = self.root / f"{hashlib.sha256(str(values).encode()).hexdigest()[:8]}.yaml"
        if not file.exists():  # processes that read it at the same time must not find it half written
            write_atomically(file, yaml.safe_dump(values).encode())
        return configuration.load(file)

    def at(self, root: Path) -> "Place":
        """The same model, seen from another folder."""
        return replace(self, root=root)

    def open(self, **section: Any) -> Any:
        return registry.open_registry(self.config(**section), self.root, in_ci=False)

    def peek(self) -> str | None:
        return registry.peek(self.config(), self.root, in_ci=False)

    def submission(self, run_id: str, score: float = 0.5) -> Submission:
        files = {
            f.relative_to(self.model).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in self.model.rglob("*")
            if f.is_file()
        }
        return Submission(
            name=self.name,
            run_id=run_id,
            folder=self.model,
            files=files,
            parameters={"C": 1.0, "penalty": None},
            metrics={"roc_auc": score},
            tags={"model_ci.code": "abc", "score": str(score)},
            dataset={"name": "data.csv", "digest": "d" * 32, "source": "data.csv", "rows": 4},
        )

    def register(self, run_id: str, decide: Callable[[Version | None], bool] = lambda champion: True) -> Registered:
        with self.open() as store:
            return store.register(self.submission(run_id), decide)

    def alter(self, file: str, change: Callable[[Path], object]) -> None:
        """Change a file of the only version behind the registry's back."""
        if self.kind == "branch":
            branch = Branch(root=self.root, name="model-ci/store", remote="origin")
            folder = self.root.parent / f"altered-{random.randrange(10**9)}"
            commit = branch.fetch(folder)
            change(next(folder.rglob(file)))
            assert branch.replace(folder, commit, "Alter")
        else:
            below = self.server_artifacts if self.kind == "server" else self.root / ".model-ci" / "store"
            change(max(below.rglob(file), key=lambda f: f.stat().st_mtime))


@pytest.fixture(params=["file", "branch", "server"], name="place")
def a_place(
    request: pytest.FixtureRequest, tmp_path: Path, model: Path, new_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    root = tmp_path / "project"
    root.mkdir()
    made = Place(request.param, root, model)
    if request.param == "branch":
        for arguments in (["init", "--bare", "../remote.git"], ["init"], ["remote", "add", "origin", "../remote.git"]):
            subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)
    if request.param == "server":
        running: Server = request.getfixturevalue("server")
        made = replace(made, uri=running.uri, server_artifacts=running.artifacts)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
    monkeypatch.chdir(root)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))  # of those that are killed something stays

    def found(store: FileStore) -> None:
        shutil.copyfile(new_database, store.database)
        relocate(store.database, NOWHERE, artifacts_uri(store.folder))

    monkeypatch.setattr(FileStore, "_create", found)
    return made
