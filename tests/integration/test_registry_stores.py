"""The registry does the same on a server, in a folder and on a branch."""

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_ci import config as configuration
from model_ci import registry
from model_ci.config import Config
from model_ci.errors import ConfigError, ServiceError
from model_ci.files import write_atomically
from model_ci.git import Branch
from model_ci.registry import Registered, Submission, Version
from model_ci.registry.client import ENVIRONMENT
from model_ci.registry.file import FileStore

fork = get_context("fork")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real, tiny model."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame({"size": [0.0, 1.0, 2.0, 3.0]})
    fitted = LogisticRegression().fit(rows, [0, 0, 1, 1])
    folder = tmp_path_factory.mktemp("model") / "model"
    signature = infer_signature(rows, fitted.predict(rows))
    requirements = ["scikit-learn"]
    mlflow.sklearn.save_model(
        fitted, folder, pip_requirements=requirements, signature=signature, input_example=rows[:2]
    )
    return folder


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What MLflow makes of an empty store, made once, for making it takes longer than most tests."""
    store = FileStore(tmp_path_factory.mktemp("store"))
    store.change(lambda access: None, lambda access: None)
    store.close()
    return store.database


@dataclass(frozen=True)
class Server:
    uri: str
    artifacts: Path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real MLflow server."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    told = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=told, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield Server(f"http://127.0.0.1:{port}", folder / "artifacts")
    finally:
        os.killpg(process.pid, 15)
        process.wait()


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


@pytest.fixture(params=["file", "branch", "server"])
def place(
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
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    monkeypatch.setattr(FileStore, "_found", lambda store: shutil.copyfile(new_database, store.database))
    return made


def better(champion: Version | None, score: float) -> bool:
    return champion is None or score > float(champion.tags["score"])


def test_an_empty_registry_has_nobody(place: Place) -> None:
    with place.open() as store:
        assert store.champion() is None
        assert store.challenger() is None
        assert store.previous() is None
        assert store.versions() == []
    assert place.peek() is None
    assert sorted(f.name for f in place.root.iterdir() if f.name != ".git" and f.suffix != ".yaml") == []


def test_the_first_model_becomes_champion(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[Version | None] = []
    with place.open() as store:
        done = store.register(place.submission("run-1"), lambda champion: asked.append(champion) or True)
        champion = store.champion()

    assert done == Registered(store=place.kind, version="1", champion="1", previous=None, promoted=True, created=True)
    assert asked == [None]
    assert champion is not None
    assert (champion.number, champion.run_id, champion.tags["model_ci.code"]) == ("1", "run-1", "abc")
    assert place.peek() == "1 run-1"
    assert capfd.readouterr() == ("", "")


def test_a_better_model_follows_and_a_worse_one_does_not(place: Place) -> None:
    place.register("run-1")
    better_done = place.register("run-2")
    worse_done = place.register("run-3", lambda champion: False)

    assert (better_done.champion, better_done.previous, better_done.promoted) == ("2", "1", True)
    assert (worse_done.version, worse_done.champion, worse_done.promoted) == ("3", "2", False)
    with place.open() as store:
        assert [v.number for v in store.versions()] == ["1", "2", "3"]
        holders = [store.champion(), store.previous(), store.challenger()]
        assert [holder.number for holder in holders if holder] == ["2", "1", "3"]
    assert place.peek() == "2 run-2"


def test_the_same_run_is_registered_once(place: Place) -> None:
    first = place.register("run-1", lambda champion: False)
    place.register("run-2")

    again = place.register("run-1", lambda champion: pytest.fail("what was decided is not decided again"))

    assert again == replace(first, champion="2", created=False)
    with place.open() as store:
        assert len(store.versions()) == 2


def test_the_champion_can_be_fetched_while_deciding(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    with place.open() as store:

        def decide(champion: Version | None) -> bool:
            assert champion is not None
            return (store.download(champion, tmp_path / "champion") / "MLmodel").is_file()

        assert store.register(place.submission("run-2"), decide).promoted


def test_what_is_fetched_is_what_was_registered(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    with place.open() as store:
        folder = store.download(store.champion(), tmp_path / "fetched")

    content = {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert content == {f.relative_to(place.model): f.read_bytes() for f in place.model.rglob("*") if f.is_file()}


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda file: file.write_bytes(file.read_bytes() + b" "), "has the hash"), (Path.unlink, "is missing")],
    ids=["changed", "removed"],
)
def test_an_altered_model_is_refused(place: Place, tmp_path: Path, change: Callable[[Path], object], told: str) -> None:
    place.register("run-1")
    place.alter("model.skops", change)

    with place.open() as store, pytest.raises(ServiceError, match=rf"model\.skops: {told}"):
        store.download(store.champion(), tmp_path / "fetched")

    assert not (tmp_path / "fetched").exists()


def test_a_file_that_was_added_is_not_fetched(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    place.alter("MLmodel", lambda file: (file.parent / "sitecustomize.py").write_text("evil"))

    with place.open() as store:
        folder = store.download(store.champion(), tmp_path / "fetched")

    assert not (folder / "sitecustomize.py").exists()


def test_a_version_of_another_tool_is_refused(place: Place, tmp_path: Path) -> None:
    place.register("run-1")
    with place.open() as store:
        foreign = replace(store.champion(), tags={})
        with pytest.raises(ServiceError, match="has no list of files"):
            store.download(foreign, tmp_path / "fetched")


def test_a_model_that_is_not_the_judged_one_is_not_registered(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.model, tmp_path / "other")
    (tmp_path / "other" / "MLmodel").write_text("other")
    with place.open() as store, pytest.raises(ConfigError, match="not the model that was judged"):
        store.register(replace(place.submission("run-1"), folder=tmp_path / "other"), lambda champion: True)
    with place.open() as store:
        assert store.versions() == []


def test_mlflow_itself_finds_all_of_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    place.register("run-1")
    uri = place.uri or f"sqlite:///{place.root}/.model-ci/store/mlflow.db"
    if place.kind == "branch":
        with place.open() as store:
            store.champion()
            assert_complete(mlflow, place, f"sqlite:///{store._store._copy.folder}/mlflow.db", monkeypatch)
    else:
        assert_complete(mlflow, place, uri, monkeypatch)


def assert_complete(mlflow: Any, place: Place, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    version = client.get_model_version_by_alias(place.name, "champion")
    run = client.get_run(version.run_id)
    logged = client.search_logged_models([run.info.experiment_id])[0]

    assert run.info.status == "FINISHED"
    assert (run.data.params, run.data.metrics) == ({"C": "1.0", "penalty": "None"}, {"roc_auc": 0.5})
    assert [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs] == [("data.csv", "d" * 32)]
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert [(m.key, m.dataset_name) for m in logged.metrics] == [("roc_auc", "data.csv")]
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": place.name, "version": 1}]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{place.name}@champion")
    assert loaded.metadata.signature is not None
    assert loaded.input_example is not None
    assert loaded.predict(loaded.input_example).tolist() == [0, 0]


def in_a_process(place: Place, score: int, gate: Any) -> None:
    """Register one of many, as a run of its own would."""
    gate.wait()
    with place.open() as store:
        done = store.register(place.submission(f"run-{score}", score), lambda champion: better(champion, score))
    os._exit(0 if done.created else 1)


def test_of_ten_at_once_all_are_kept_and_the_best_is_champion(place: Place) -> None:
    place.register("run-begin", lambda champion: True)
    with place.open() as store:
        store.register(place.submission("run-0", 0.75), lambda champion: better(champion, 0.75))
    gate = fork.Event()
    many = [fork.Process(target=in_a_process, args=(place, score, gate)) for score in random.sample(range(1, 11), 10)]
    for process in many:
        process.start()
    gate.set()
    seen = []
    while any(process.is_alive() for process in many):
        seen.append(place.peek())
        time.sleep(0.02)
    for process in many:
        process.join()

    assert [process.exitcode for process in many] == [0] * 10
    assert None not in seen
    with place.open() as store:
        champion, previous = store.champion(), store.previous()
        assert len(store.versions()) == 12
        assert champion is not None and champion.tags["score"] == "10"
        assert previous is not None and float(previous.tags["score"]) < 10


MOMENTS = (
    "create_run", "log_batch", "log_inputs", "create_logged_model", "log_model_artifacts", "finalize_logged_model",
    "create_registered_model", "create_model_version", "set_registered_model_alias", "set_model_version_tag",
)  # fmt: skip


def killed(place: Place, moment: str, call: int, *, after: bool) -> None:
    """Register and die at the n-th call of one of MLflow's functions."""
    from mlflow import MlflowClient

    original, count = getattr(MlflowClient, moment), [0]

    def wrapped(*arguments: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] == call and not after:
            os._exit(9)
        result = original(*arguments, **named)
        if count[0] == call:
            os._exit(9)
        return result

    setattr(MlflowClient, moment, wrapped)
    place.register("run-2")
    os._exit(0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_the_middle_the_next_try_completes_it(
    place: Place, moment: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place.kind == "branch" and moment != "set_registered_model_alias":
        pytest.skip("all of it happens in a copy that dies with the process")
    monkeypatch.setattr("model_ci.registry.server.LEASE_S", 0.3)
    place.register("run-1")
    calls = {"set_registered_model_alias": 3, "create_registered_model": 2 if place.kind == "server" else 1}
    dying = fork.Process(target=killed, args=(place, moment, calls.get(moment, 1)), kwargs={"after": after})
    dying.start()
    dying.join()
    assert dying.exitcode == 9
    assert place.peek() is not None

    done = place.register("run-2")

    assert (done.version, done.champion, done.promoted) == ("2", "2", True)
    with place.open() as store:
        assert [version.run_id for version in store.versions()] == ["run-1", "run-2"]


def test_two_models_share_a_store(place: Place) -> None:
    other = replace(place, name=f"{place.name}-other")
    place.register("run-1")
    other.register("run-2")

    assert (place.peek(), other.peek()) == ("1 run-1", "1 run-2")
    place.register("run-3")
    assert (place.peek(), other.peek()) == ("2 run-3", "1 run-2")


def test_looking_takes_no_mlflow(place: Place) -> None:
    place.register("run-1")
    file = place.config().file
    look = (
        "import sys, resource; from pathlib import Path; from model_ci import config, registry\n"
        f"loaded = config.load(Path('{file}'))\n"
        "used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])\n"
        "begin = used()\n"
        "print(registry.peek(loaded, Path.cwd(), in_ci=False), 'mlflow' in sys.modules, used() - begin < 0.2)"
    )
    said = subprocess.run([sys.executable, "-c", look], cwd=place.root, check=True, capture_output=True, text=True)

    assert said.stdout.split() == ["1", "run-1", "False", "True"]
