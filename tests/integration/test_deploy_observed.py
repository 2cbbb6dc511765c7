"""deploy passes only what it observed: something serves, answers as known, and its balancer is up."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import Project
from tests.integration.test_deploy import Shop
from tests.targets.docker_service import the_images  # noqa: F401 - a fixture

pytestmark = pytest.mark.docker


@pytest.fixture(name="shop")
def a_shop(
    project: Project, images: dict[str, str], command: Callable[..., Any], docker_engine: Any
) -> Iterator[tuple[Shop, Any]]:
    shop = Shop(project, images, command)
    yield shop, docker_engine.client
    label = {"label": f"model-ci.model={shop.name}"}
    for container in docker_engine.client.containers.list(all=True, filters=label):
        container.remove(force=True, v=True)
    for network in docker_engine.client.networks.list(filters=label):
        network.remove()


def of(client: Any, shop: Shop, role: str) -> Any:
    (container,) = client.containers.list(
        all=True, filters={"label": [f"model-ci.model={shop.name}", f"model-ci.role={role}"]}
    )
    return container


def test_unchanged_is_what_serves_and_answers(shop: tuple[Shop, Any]) -> None:
    place, client = shop
    place.make("one")
    assert place("deploy").code == 0
    assert "unchanged" in place("deploy").err
    harms: list[tuple[str, Callable[[Any], Any]]] = [
        ("balancer", lambda container: container.stop(timeout=0)),
        ("balancer", lambda container: container.remove(force=True)),
        ("replica", lambda container: container.stop(timeout=0)),
        ("replica", lambda container: container.remove(force=True)),
    ]
    for role, harm in harms:
        harm(of(client, place, role))
        assert "start" in place("deploy", "--dry-run").out
        answer = place("deploy")
        assert answer.code == 0, answer.text
        assert "unchanged" not in answer.err
        assert place.answers("staging") == "one"
    assert "unchanged" in place("deploy").err
    assert set(place.actions("staging")) == {"deploy"}


def test_a_service_that_is_not_reached_does_not_pass(shop: tuple[Shop, Any]) -> None:
    place, client = shop
    place.make("one")
    assert place("deploy").code == 0
    of(client, place, "balancer").pause()
    try:
        answer = place("deploy", "--set", "deploy.smoke.timeout_s=1")
        assert answer.code != 0, answer.text
    finally:
        of(client, place, "balancer").unpause()


def test_a_port_that_is_taken_leaves_the_old_balancer_in_its_place(shop: tuple[Shop, Any]) -> None:
    place, client = shop
    place.make("one")
    assert place("deploy").code == 0
    before, address = of(client, place, "balancer").id, place.address("staging")
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        answer = place("deploy", "--set", f"deploy.environments.staging.docker.port={port}")
    assert answer.code == 5, answer.text
    assert place.answers("staging") == "one"
    assert (of(client, place, "balancer").id, place.address("staging")) == (before, address)
    answer = place("deploy")
    assert answer.code == 0, answer.text
    assert place.answers("staging") == "one"


def test_another_port_is_taken_up_and_the_old_balancer_goes(shop: tuple[Shop, Any]) -> None:
    place, client = shop
    place.make("one")
    assert place("deploy").code == 0
    before = of(client, place, "balancer").id
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = place("deploy", "--set", f"deploy.environments.staging.docker.port={port}")
    assert answer.code == 0, answer.text
    assert of(client, place, "balancer").id != before
    assert place.address("staging").endswith(f":{port}")
    assert place.answers("staging") == "one"
