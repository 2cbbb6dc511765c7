"""build-image pushes, by either builder, to a real registry that is busy at first, or that does not let it after all."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.image.registries import BREAK, Answer, before
from tests.image.shop import Shop, a_shop, a_trained_shop, machine  # noqa: F401 - fixtures

pytestmark = pytest.mark.docker
DENIED = {401: "the registry wants a login (401)", 403: "the registry does not let this login push here (403)"}


@pytest.fixture(name="builder", params=["docker", "buildah"])
def a_builder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "docker":
        yield "docker"
        return
    if not shutil.which("buildah"):
        pytest.skip("no buildah; run `.ci/setup engine`")
    for name, value in machine(tmp_path / "machine").items():
        monkeypatch.setenv(name, value)
    yield "buildah"
    subprocess.run(["buildah", "rmi", "--all", "--force"], env=os.environ, check=False)


@contextmanager
def busy(shop: Shop, troubles: dict[str, list[Answer]]) -> Iterator[tuple["Busy", dict[str, Any]]]:
    """Give a busy registry, and the settings by which an image goes there; it has the base already."""
    base = shop.pushed_base()
    with before(shop.engine.registry, said := Busy(troubles)) as address:
        there = {"base": base, "repository": shop.repository}
        yield said, {name: value.replace(shop.engine.registry, address) for name, value in there.items()}
        if shop.engine.client.images.list(name=f"{address}/base"):
            shop.engine.client.images.remove(f"{address}/base:1")


class Busy:
    """A registry whose first answers to a builder are troubles; to model-ci itself it is never busy."""

    def __init__(self, troubles: dict[str, list[Answer]]) -> None:
        self.troubles = troubles  # by method
        self.asked: list[str] = []

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        if headers.get("User-Agent") == "model-ci":
            return None
        self.asked.append(f"{method} {path}")
        left = self.troubles.get(method)
        return left.pop(0) if left else None


def refusing(status: int) -> Answer:
    return status, {}, b""


def test_a_registry_that_is_busy_at_first_gets_the_image(shop: Shop, builder: str) -> None:
    # a layer's upload begins with POST, the manifest is PUT last
    troubles = {"POST": [refusing(429), BREAK], "PUT": [refusing(503)]}
    with busy(shop, troubles) as (_, settings):
        section, _ = shop.build(builder=builder, **settings)
    assert section["pushed"]
    assert troubles == {"POST": [], "PUT": []}
    assert {shop.pushed(tag) for tag in section["tags"]} == {section["digest"]}


def test_one_that_does_not_let_it_push_ends_at_once(shop: Shop, builder: str) -> None:
    for status, why in DENIED.items():
        with busy(shop, {"POST": [refusing(status)] * 100}) as (said, settings):
            section, told = shop.build(code=5, builder=builder, **settings)
        assert section == {}
        assert why in told
        assert "Traceback" not in told
        begun = next(i for i, asked in enumerate(said.asked) if asked.startswith("POST "))
        assert "GET /v2/" not in said.asked[begun:]  # with which another push would begin
