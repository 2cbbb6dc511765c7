"""docker: no request is lost while versions and weights change, and what is bad never gets any."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.targets.docker_service import Place, a_place, ended, the_images  # noqa: F401 - fixtures
from tests.targets.load import Load, connect, post

from model_ci.errors import ServiceError
from model_ci.targets import CHALLENGER, CHAMPION, Ask, Deployment, RolloutError, Target, Variant
from model_ci.targets.docker.balancer import Balancer
from model_ci.targets.docker.engine import Engine

pytestmark = pytest.mark.docker


def quietly(text: str) -> None:
    assert text


def url(target: Target) -> str:
    address = target.address()
    assert address
    return address


def predicts_one(variant: Variant, ask: Ask) -> None:
    answer = ask("/invocations", b'{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
    if b'"predictions": [1]' not in answer.body:
        raise RolloutError(f"{variant.name} predicts otherwise: {answer.body.decode()}")


def test_no_request_fails_while_everything_changes(place: Place) -> None:
    place.settings["replicas"] = 2
    target = place.target(predicts_one)
    target.apply(place.wanted("one"), quietly)
    with Load(url(target)) as load:
        load.until(300)
        target.apply(place.wanted("one", "two", 10), quietly)
        load.until(300)
        target.apply(place.wanted("one", "two", 50), quietly)
        load.until(300)
        target.apply(place.wanted("two"), quietly)
        load.until(300)
        for bad in ("crash", "wrong"):
            with pytest.raises(RolloutError):
                target.apply(place.wanted(bad), quietly)
        target.apply(place.wanted("one"), quietly)
        load.until(300)
    assert load.failures == []
    assert load.total > 2000
    assert {version for version, _ in load.answers} == {"one", "two"}
    assert set(load.answers) == {("one", CHAMPION), ("two", CHALLENGER), ("two", CHAMPION)}
    print(f"{load.total} requests, {dict(load.answers)}")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("crash", "ended by itself .*the model cannot be loaded"),
        ("sick", "was not ready within 2 s: /readyz answers 503"),
        ("wrong", "predicts otherwise"),
    ],
)
def test_a_bad_version_never_serves(place: Place, bad: str, why: str, docker_engine: Any) -> None:
    place.target().apply(place.wanted("one"), quietly)
    before = {container.id for container in place.containers(docker_engine.client)}
    place.settings["timeout_s"] = 2 if bad == "sick" else 60
    target = place.target(predicts_one)
    with Load(url(target)) as load, pytest.raises(RolloutError, match=why):
        target.apply(place.wanted("one", bad, 10), quietly)
    assert {version for version, _ in load.answers} == {"one"}
    assert load.failures == []
    assert target.current() == place.wanted("one")
    assert {container.id for container in place.containers(docker_engine.client)} == before


def test_a_first_version_that_is_bad_leaves_nothing(place: Place, docker_engine: Any) -> None:
    target = place.target()
    with pytest.raises(RolloutError, match="ended by itself"):
        target.apply(place.wanted("crash"), quietly)
    assert target.current() is None
    assert target.address() is None
    assert place.containers(docker_engine.client) == []


def test_what_is_there_already_is_left_alone(place: Place, docker_engine: Any) -> None:
    target = place.target()
    assert len(target.plan(place.wanted("one"))) == 3
    assert place.containers(docker_engine.client) == []
    target.apply(place.wanted("one", "two", 20), quietly)
    before = {container.id for container in place.containers(docker_engine.client)}
    again = place.target()
    assert again.plan(place.wanted("one", "two", 20)) == []
    again.apply(place.wanted("one", "two", 20), pytest.fail)
    assert {container.id for container in place.containers(docker_engine.client)} == before
    assert again.plan(place.wanted("one", "two", 30)) == [
        "move the requests: champion from 80 % to 70 %, challenger from 20 % to 30 %"
    ]


def test_shares_are_exact_and_users_stay_with_their_variant(place: Place, docker_engine: Any) -> None:
    target = place.target()
    target.apply(place.wanted("one", "two", 10), quietly)
    connection = connect(url(target).removeprefix("http://"))

    def variants(many: int, **headers: str) -> Counter[str]:
        return Counter(post(connection, headers)[1] for _ in range(many))

    def of_users() -> dict[int, str]:
        return {user: post(connection, {"X-User-Id": f"user-{user}"})[1] for user in range(400)}

    assert variants(200) == {CHAMPION: 180, CHALLENGER: 20}
    before = of_users()
    assert of_users() == before
    assert 20 <= list(before.values()).count(CHALLENGER) <= 60  # 40 of 400; eight standard deviations

    target.apply(place.wanted("one", "two", 50), quietly)
    assert variants(200) == {CHAMPION: 100, CHALLENGER: 100}
    after = of_users()
    assert [user for user in before if (before[user], after[user]) == (CHALLENGER, CHAMPION)] == []
    assert 150 <= list(after.values()).count(CHALLENGER) <= 250

    target.apply(place.wanted("one", "two", 0), quietly)
    assert variants(100) == {CHAMPION: 100}
    target.apply(place.wanted("one", "two", 50), quietly)

    balancer = next(c for c in place.containers(docker_engine.client) if c.name.endswith("balancer"))
    balancer.restart()
    by_cookie = place.target(sticky="cookie", sticky_name="seen")
    address = url(by_cookie)
    assert address == url(target)
    by_cookie.apply(place.wanted("one", "two", 50), quietly)
    assert by_cookie.current() == place.wanted("one", "two", 50)
    connection = connect(address.removeprefix("http://"))
    chosen = set()
    for _ in range(6):
        _, variant, headers = post(connection, {})
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert variants(5, Cookie=cookie) == {variant: 5}
        assert "Set-Cookie" not in post(connection, {"Cookie": cookie})[2]
        chosen.add(variant)
    assert chosen == {CHAMPION, CHALLENGER}


def test_a_dead_variant_is_served_by_the_other_and_replaced_next_time(place: Place, docker_engine: Any) -> None:
    target = place.target()
    target.apply(place.wanted("one", "two", 50), quietly)
    with Load(url(target)) as load:
        load.until(50)
        dead = next(c for c in place.containers(docker_engine.client) if CHALLENGER in c.name)
        dead.update(restart_policy={"Name": "no"})
        dead.kill()
        found = time.monotonic() + 10  # the balancer finds it dead within about one second
        while time.monotonic() < found:
            load.until(50)
        lost = len(load.failures)
        assert any(
            "start 1 replica of version two" in step for step in place.target().plan(place.wanted("one", "two", 50))
        )
        target.apply(place.wanted("one", "two", 50), quietly)
        seen = load.answers["two", CHALLENGER]
        load.until(100)
    assert len(load.failures) == lost, "after it is found dead nobody is sent there"
    assert load.answers["two", CHALLENGER] > seen


def test_one_at_a_time_and_nobody_waits_for_the_dead(place: Place) -> None:
    target, other = place.target(), place.target()
    child = os.fork()
    if not child:
        with target.lock("ann, who dies"):
            signal.pause()
    try:
        wait_until(lambda: any(c.role == "lock" and c.running for c in engine(place).containers()))
        _refused(other)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with other.lock("bob"):
        pass
    with other.lock("bob again"):
        pass


def _refused(other: Target) -> None:
    why = r"ann, who dies has been deploying here since 20.*`docker rm --force"
    with pytest.raises(ServiceError, match=why), other.lock("bob"):
        pytest.fail("two hold it")


# What changes something on the engine or in the balancer, by the class that does it.
STEPS = [(Engine, "create"), (Engine, "start"), (Engine, "put"), (Engine, "remove"), (Balancer, "_tell")]


def test_killed_at_every_step_it_serves_and_the_same_order_completes(place: Place, docker_engine: Any) -> None:
    place.target().apply(place.wanted("one"), quietly)
    address = url(place.target())
    killed, version = 0, "one"
    with Load(address, keeping=1) as load:
        while True:
            version = "two" if version == "one" else "one"
            survived = apply_and_die(place, place.wanted(version), killed)
            load.until(20)
            with (target := place.target(predicts_one)).lock("the next"):
                target.apply(place.wanted(version), quietly)
            assert target.current() == place.wanted(version)
            assert target.plan(place.wanted(version)) == []
            assert len(place.containers(docker_engine.client)) == 2  # a balancer and a replica: nothing is left over
            if survived:
                break
            killed += 1
    assert load.failures == []
    assert killed >= 8
    print(f"killed {killed} times under {load.total} requests")


def test_killed_at_every_step_of_the_first_deployment_the_same_order_completes(
    place: Place, docker_engine: Any
) -> None:
    killed = 0
    while not apply_and_die(place, place.wanted("one"), killed):
        target = place.target()
        with target.lock("the next"):
            target.apply(place.wanted("one"), quietly)
        assert target.current() == place.wanted("one")
        assert len(place.containers(docker_engine.client)) == 2
        target.remove()
        killed += 1
    assert killed >= 8


def apply_and_die(place: Place, wanted: Deployment, steps: int) -> bool:
    """Apply in a process of its own that is killed after so many steps; tell whether it got to its end."""
    child = os.fork()
    if child:
        return ended(child)
    try:
        left = iter(range(steps))
        for owner, name in STEPS:
            setattr(owner, name, _dying(getattr(owner, name), left))
        target = place.target(predicts_one)
        with target.lock("who dies"):
            target.apply(wanted, lambda text: None)
        os._exit(0)
    except BaseException:
        os._exit(1)


def _dying(step: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **named)

    return call


def engine(place: Place) -> Engine:
    return Engine(place.name, "staging")


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
