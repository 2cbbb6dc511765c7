"""Either builder pushes to a real registry that is busy at first, or that does not let it after all.

The image is a small one: what it holds makes no difference to a push.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

import pytest
from tests.docker_engine import DockerEngine, absent, build
from tests.image.registries import BREAK, Answer, before
from tests.image.shop import machine

from model_ci.errors import Exit, ServiceError
from model_ci.image.repository import Name, Repository
from model_ci.stages.build_image.builder import Builder, Image
from model_ci.stages.build_image.choice import choose

pytestmark = pytest.mark.docker
DENIED = {401: "the registry wants a login (401)", 403: "the registry does not let this login push here (403)"}
LINES = ["FROM scratch", "COPY file /file"]


@pytest.fixture(name="made", params=["docker", "buildah"])
def a_small_image(
    request: pytest.FixtureRequest, docker_engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Builder, Image]]:
    """An image that no registry has, and the builder that has it."""
    content = token_hex(1000).encode()
    if request.param == "docker":
        name = f"model-ci-test/push-{token_hex(3)}"
        yield choose("docker"), image(build(docker_engine.client, name, LINES, {"file": content}))
        docker_engine.client.images.remove(name, force=True)
        return
    if not shutil.which("buildah"):
        absent("there is no buildah")
    for variable, value in machine(tmp_path / "machine").items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "Containerfile").write_text("\n".join(LINES))
    (tmp_path / "file").write_bytes(content)
    command = ["buildah", "bud", "--quiet", "--isolation=chroot", str(tmp_path)]
    yield choose("buildah"), image(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    subprocess.run(["buildah", "rmi", "--all", "--force"], env=os.environ, check=False)


def image(name: str) -> Image:
    return Image(id=name, size_mb=0.01, layers=1)


class Busy:
    """A registry whose first answers to a builder are troubles, by method; to model-ci itself it is never busy."""

    def __init__(self, troubles: dict[str, list[Answer]]) -> None:
        self.troubles = troubles
        self.asked: list[str] = []

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        if headers.get("User-Agent") == "model-ci":
            return None
        self.asked.append(f"{method} {path}")
        left = self.troubles.get(method)
        return left.pop(0) if left else None


def refusing(status: int) -> Answer:
    return status, {}, b""


@pytest.fixture(autouse=True)
def _untagged(docker_engine: DockerEngine) -> Iterator[None]:
    """Leave no name of a registry that is gone on the engine."""
    yield
    for found in docker_engine.client.images.list():
        for tag in found.tags:
            if "/acme/pushed-" in tag:
                docker_engine.client.images.remove(tag)


def test_a_registry_that_is_busy_at_first_gets_the_image(
    made: tuple[Builder, Image], docker_engine: DockerEngine
) -> None:
    builder, small = made
    # a layer's upload begins with POST, the manifest is PUT last
    troubles = {"POST": [refusing(429), refusing(503), BREAK], "PUT": [BREAK, refusing(503)]}
    with before(docker_engine.registry, Busy(troubles)) as address:
        name = Name.parse(f"{address}/acme/pushed-{token_hex(3)}", "test")
        digest = builder.push(small, name, "v1", None)
        assert troubles == {"POST": [], "PUT": []}
        assert Repository(name, None).digest("v1") == digest


def test_one_that_does_not_let_it_push_ends_at_once(made: tuple[Builder, Image], docker_engine: DockerEngine) -> None:
    builder, small = made
    for status, why in DENIED.items():
        with before(docker_engine.registry, said := Busy({"POST": [refusing(status)] * 100})) as address:
            name = Name.parse(f"{address}/acme/pushed-{token_hex(3)}", "test")
            with pytest.raises(ServiceError) as refused:
                builder.push(small, name, "v1", None)
        assert refused.value.exit_code == Exit.SERVICE
        assert why in str(refused.value)
        begun = next(i for i, asked in enumerate(said.asked) if asked.startswith("POST "))
        assert "GET /v2/" not in said.asked[begun:]  # with which another push would begin
