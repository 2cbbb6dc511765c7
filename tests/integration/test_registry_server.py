"""A server that is away, refuses, or loses its answers; and the lock that is kept on it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server  # noqa: F401 - fixtures
from tests.registry.proxy import Proxy

from model_ci.errors import ConfigError, ServiceError
from model_ci.registry.client import AwayError, connect
from model_ci.registry.lease import Lease

on_a_server = pytest.mark.parametrize("place", ["server"], indirect=True)


@pytest.fixture
def proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy(place.uri).running() as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        monkeypatch.setattr("model_ci.web.sleep", lambda _: time.sleep(0.01))
        yield running


@on_a_server
def test_a_server_that_is_away_is_asked_again_and_then_given_up(place: Place, proxy: Proxy) -> None:
    proxy.away = 1000
    for act in (lambda: place.register("run-1"), place.peek):
        with pytest.raises(ServiceError, match="run `model-ci register` again later"):
            act()
    assert 4 <= len(proxy.requests) <= 16

    proxy.away = 0
    assert place.register("run-1").version == "1"
    assert place.peek() == "1 run-1"


@on_a_server
@pytest.mark.parametrize("moment", [0, 2, 5, 8, 11, 14, 17])
def test_a_server_that_is_away_for_a_moment_goes_unnoticed(place: Place, proxy: Proxy, moment: int) -> None:
    place.register("run-1")

    def go_away(champion: object) -> bool:
        return True

    original = proxy.handle
    count = [0]

    def handle(request: Any) -> None:
        count[0] += 1
        proxy.away = int(count[0] == moment + 1)
        original(request)

    proxy.handle = handle  # type: ignore[method-assign]
    done = place.register("run-2", go_away)

    assert (done.version, done.champion, done.previous) == ("2", "2", "1")
    assert count[0] > moment + 1


@on_a_server
@pytest.mark.parametrize(
    "lost", ["runs/create", "logged-models", "registered-models/create", "model-versions/create", "alias"]
)
def test_an_answer_that_is_lost_doubles_nothing(place: Place, proxy: Proxy, lost: str) -> None:
    place.register("run-1")
    proxy.lost = lost

    done = place.register("run-2")

    assert proxy.lost is None
    assert (done.version, done.champion, done.previous) == ("2", "2", "1")
    with place.open() as store:
        assert len(store.versions()) == 2


@on_a_server
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b"You are not authenticated.", "does not accept the credentials"),
        (403, b"Permission denied", "refuses access"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "refuses access"),
        (404, b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "no"}', "MLflow failed"),
        (502, b"<html>Bad gateway</html>", "cannot be reached"),
    ],
)
def test_what_a_server_refuses_is_said(place: Place, proxy: Proxy, status: int, body: bytes, told: str) -> None:
    proxy.answer = (status, body)

    with pytest.raises(ServiceError, match=told):
        place.register("run-1")
    with pytest.raises(ServiceError, match=told):
        place.peek()


@on_a_server
def test_secrets_stay_secret(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")
    monkeypatch.setattr("model_ci.registry.server.TRIES", 1)

    for act in (lambda: place.register("run-1"), place.peek):
        with pytest.raises(ServiceError) as refused:
            act()
        assert "secret" not in str(refused.value)
        assert "token-of-mine" not in str(refused.value)


def test_a_server_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    with (
        pytest.raises(ConfigError, match="is server, but MLFLOW_TRACKING_URI is not set"),
        Place("server", tmp_path, model).open(),
    ):
        pass


@pytest.fixture
def client(tmp_path: Path, new_database: Path) -> Any:
    """MLflow's own client, on which every lease has the same rules as on a server."""
    (tmp_path / "mlflow.db").write_bytes(new_database.read_bytes())
    return connect(f"sqlite:///{tmp_path}/mlflow.db")


def names(client: Any) -> list[str]:
    return [entry.name for entry in client.search_registered_models()]


def test_a_lease_leaves_nothing_behind(client: Any) -> None:
    with Lease(client, "shop", "here").held() as check:
        check()
        assert names(client) == ["shop.model-ci-lock"]
    assert names(client) == []


def test_one_at_a_time_holds_the_lease(client: Any) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with Lease(client, "shop", "here").held():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    in_parallel([work] * 6)
    assert most == [1]


def test_the_dead_are_succeeded_by_one(client: Any) -> None:
    Lease(client, "shop", "here")._acquire()  # and never released
    inside, most = [0], [0]

    def work() -> None:
        with Lease(client, "shop", "here", 2.0).held():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    in_parallel([work] * 5)
    assert most == [1]


def test_the_living_are_not_succeeded(client: Any) -> None:
    order: list[str] = []
    begun = threading.Event()

    def slow() -> None:
        with Lease(client, "shop", "here", 2.0).held() as check:
            begun.set()
            time.sleep(5.0)
            check()
            order.append("slow")

    def quick() -> None:
        begun.wait()
        with Lease(client, "shop", "here", 2.0).held():
            order.append("quick")

    in_parallel([slow, quick])
    assert order == ["slow", "quick"]


def test_whoever_was_taken_for_dead_is_told(client: Any) -> None:
    first, second = Lease(client, "shop", "here"), Lease(client, "shop", "here", 0.2)
    first._acquire()
    second._acquire()

    with pytest.raises(AwayError, match=r"took shop\.model-ci-lock over"):
        first._check()
    first._release(quick=True)
    second._check()


def test_an_entry_that_others_may_still_try_to_rename_stays(client: Any) -> None:
    dead, heir = Lease(client, "shop", "here"), Lease(client, "shop", "here", 0.2)
    dead._acquire()
    with heir.held():
        assert f"shop.model-ci-lock.{dead._word}" in names(client)
        assert not heir._rename(dead._word)  # as somebody slow would
        heir._check()
        heir._lease_s = 60.0  # held briefly, however slow this machine is
    assert names(client) == [f"shop.model-ci-lock.{dead._word}"]

    heir._sweep(int(time.time() * 1000) + 4_000_000)
    assert names(client) == []


def in_parallel(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
