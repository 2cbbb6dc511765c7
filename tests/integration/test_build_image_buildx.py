"""build-image by BuildKit: with buildx as it is installed beside docker, and a registry that wants a login."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

import pytest
from tests.docker_engine import build
from tests.image.registries import Answer, before
from tests.image.shop import Shop, a_shop, a_trained_shop  # noqa: F401 - fixtures

from model_ci.image.repository import Login, Name, Repository

pytestmark = pytest.mark.docker
LOGIN = Login(user="robot", password="secret")
STAGES = "--stages=train,evaluate,register,build-image"


@pytest.fixture(autouse=True)
def _buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install it for this user, beside a builder that is not the engine's, as GitHub's set-up action chooses one."""
    found = shutil.which("docker-buildx")
    if not found or not shutil.which("docker"):
        why = "no docker-buildx, or no docker to plug it into; run `.ci/setup engine`"
        if os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
            pytest.fail(why)
        pytest.skip(why)
    plugins = Path(os.environ["HOME"]) / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(found)
    monkeypatch.setenv("BUILDX_BUILDER", "elsewhere")
    monkeypatch.setenv("MODEL_CI_REGISTRY_USER", LOGIN.user)
    monkeypatch.setenv("MODEL_CI_REGISTRY_PASSWORD", LOGIN.password)


class Private:
    """What a registry says to those who may not, and what was uploaded to it."""

    def __init__(self) -> None:
        self.uploaded: list[str] = []

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        if headers.get("Authorization") != LOGIN.as_header():
            return 401, {"WWW-Authenticate": 'Basic realm="private"'}, b""
        if method == "PUT" and "digest=" in path:
            self.uploaded.append(path.rpartition("digest=")[2])
        return None


@pytest.fixture(name="base")
def a_base(shop: Shop) -> Iterator[str]:
    """A base that no build before stood on."""
    name = f"model-ci-test/image-{token_hex(3)}:1"
    build(shop.engine.client, name, [f"FROM {shop.engine.base}", f"LABEL test={name}"])
    yield name
    shop.engine.client.images.remove(name, force=True)


def test_a_new_model_is_one_new_layer_with_its_own_bytes(shop: Shop, base: str) -> None:
    client, private = shop.engine.client, Private()
    with before(shop.engine.registry, private) as address:
        repository = f"{address}/acme/{token_hex(3)}"
        given = shop.settings(base=base, repository=repository)
        shop.model_ci("build-image", *given)
        first = shop.record()["stages"]["build-image"]
        assert first["builder_version"].endswith(" with BuildKit")
        assert first["verdict"] == "passed"
        there = Repository(Name.parse(repository, "test"), LOGIN)
        assert {there.digest(tag) for tag in first["tags"]} == {first["digest"]}
        settings = client.images.get(first["reference"]).attrs["Config"]
        assert settings["User"] == "10001:10001"
        assert settings["Healthcheck"]["Test"][0] == "CMD"

        private.uploaded.clear()
        shop.model_ci("run", STAGES, "--set=train.parameters.C=0.5", *given)
        section = shop.record()["stages"]["build-image"]
        assert section["tags"][1] == "v2"
        (new,) = [layer["digest"] for layer in section["layers"] if layer not in first["layers"]]
        assert len(private.uploaded) == 2  # the image's configuration is the other
        assert new.replace(":", "%3A") in private.uploaded
