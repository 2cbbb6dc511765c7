"""The registry does the same on a server, in a folder and on a branch."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server  # noqa: F401 - fixtures

from model_ci.errors import ConfigError, ServiceError
from model_ci.registry import Attachment, Registered, Version


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


@pytest.fixture
def explained(tmp_path: Path) -> Attachment:
    """A folder that travels with a model."""
    folder = tmp_path / "explain"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "importance.svg").write_text("<svg/>")
    (folder / "importance.json").write_text("{}")
    files = [f for f in folder.rglob("*") if f.is_file()]
    return Attachment(
        folder=folder,
        files={f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
    )


def test_what_is_attached_travels_with_the_version(place: Place, explained: Attachment, tmp_path: Path) -> None:
    with place.open() as store:
        store.register(replace(place.submission("run-1"), attached={"explain": explained}), lambda champion: True)
    with place.open() as store:
        champion = store.champion()
        folder = store.attachment(champion, "explain", tmp_path / "fetched")
        assert store.attachment(champion, "profile", tmp_path / "none") is None
    content = {f.relative_to(folder).as_posix(): f.read_text() for f in folder.rglob("*") if f.is_file()}
    assert content == {"figures/importance.svg": "<svg/>", "importance.json": "{}"}


def test_an_altered_attachment_is_refused(place: Place, explained: Attachment, tmp_path: Path) -> None:
    with place.open() as store:
        store.register(replace(place.submission("run-1"), attached={"explain": explained}), lambda champion: True)
    place.alter("importance.json", lambda file: file.write_text("[]"))
    with place.open() as store, pytest.raises(ServiceError, match=r"explain of version 1 .* importance\.json: has the"):
        store.attachment(store.champion(), "explain", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_an_attachment_that_is_not_as_recorded_is_not_registered(place: Place, explained: Attachment) -> None:
    (explained.folder / "importance.json").write_text("[]")
    with place.open() as store, pytest.raises(ConfigError, match="make the run's explain again"):
        store.register(replace(place.submission("run-1"), attached={"explain": explained}), lambda champion: True)
    with place.open() as store:
        assert store.versions() == []


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
