"""Many runs register at once, and runs die while they register: nothing is lost, doubled, or without a champion."""

import os
import random
import time
from multiprocessing import get_context
from typing import Any

import pytest
from tests.registry.places import Place, a_model, a_new_database, a_place, a_server  # noqa: F401 - fixtures

from model_ci.registry import Version

fork = get_context("fork")


def better(champion: Version | None, score: float) -> bool:
    return champion is None or score > float(champion.tags["score"])


def in_a_process(place: Place, score: int, gate: Any) -> None:
    """Register one of many, as a run of its own would."""

    def decide(champion: Version | None) -> bool:
        if place.kind == "branch":  # each decides on a copy of its own, and the push tells whose counts
            return better(champion, score)
        deciding = os.open(place.root / "deciding", os.O_CREAT | os.O_EXCL)  # fails when somebody else decides
        time.sleep(0.02)
        os.close(deciding)
        (place.root / "deciding").unlink()
        return better(champion, score)

    gate.wait()
    with place.open() as store:
        done = store.register(place.submission(f"run-{score}", score), decide)
    os._exit(0 if done.created else 1)


def test_of_six_at_once_all_are_kept_and_the_best_is_champion(place: Place) -> None:
    place.register("run-begin", lambda champion: True)
    with place.open() as store:
        store.register(place.submission("run-0", 0.75), lambda champion: better(champion, 0.75))
    gate = fork.Event()
    many = [fork.Process(target=in_a_process, args=(place, score, gate)) for score in random.sample(range(1, 7), 6)]
    for process in many:
        process.start()
    gate.set()
    seen = []
    while any(process.is_alive() for process in many):
        seen.append(place.peek())
        time.sleep(0.02)
    for process in many:
        process.join()

    assert [process.exitcode for process in many] == [0] * 6
    assert None not in seen
    with place.open() as store:
        champion, previous = store.champion(), store.previous()
        assert len(store.versions()) == 8
        assert champion is not None and champion.tags["score"] == "6"
        assert previous is not None and float(previous.tags["score"]) < 6


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
        try:
            return original(*arguments, **named)
        finally:
            if count[0] == call:
                os._exit(9)

    setattr(MlflowClient, moment, wrapped)
    place.register("run-2")
    os._exit(0)


def assert_completed(place: Place, moment: str, *, after: bool) -> None:
    """Let a registration die at `moment`, and see the next one complete it."""
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


@pytest.mark.parametrize("place", ["file"], indirect=True)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_a_folder_the_next_try_completes_it(place: Place, moment: str, after: bool) -> None:
    assert_completed(place, moment, after=after)


@pytest.mark.parametrize("place", ["server"], indirect=True)
@pytest.mark.parametrize(
    ("moment", "after"),
    [
        ("create_run", True),
        ("log_model_artifacts", False),
        ("create_model_version", True),
        ("set_registered_model_alias", False),
        ("set_registered_model_alias", True),
    ],
)
def test_killed_on_a_server_the_next_try_waits_for_the_lease_and_completes_it(
    place: Place, moment: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_ci.registry.server.LEASE_S", 0.3)
    assert_completed(place, moment, after=after)


@pytest.mark.parametrize("place", ["branch"], indirect=True)
def test_killed_on_a_branch_only_a_copy_dies(place: Place) -> None:
    assert_completed(place, "set_registered_model_alias", after=True)
