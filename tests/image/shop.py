"""A project whose model was trained and registered, and whose images are built on the test's base."""

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from unittest import mock

import pytest
import yaml
from tests.conftest import CONFIG, MODEL_CODE, write_rows
from tests.docker_engine import DockerEngine


@dataclass(frozen=True)
class Shop:
    """The project's folder, and where its images go."""

    root: Path
    engine: DockerEngine
    repository: str

    def copy(self, to: Path) -> "Shop":
        shutil.copytree(self.root, to, symlinks=True)
        return Shop(to, self.engine, f"{self.repository}-{token_hex(3)}")

    def settings(self, **given: Any) -> list[str]:
        values = {
            "base": self.engine.base,
            "builder": "docker",
            "repository": self.repository,
            "sbom": False,
            "requests": 20,
        }
        return [f"--set=build-image.{name}={written(value)}" for name, value in {**values, **given}.items()]

    def model_ci(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run the command, here, since importing what it needs costs more than its work; return what it printed."""
        from model_ci.__main__ import exit_code

        said = io.StringIO()
        with (
            contextlib.chdir(self.root), mock.patch.dict(os.environ, environment), mock.patch.object(sys, "path", [*sys.path]),
            contextlib.redirect_stdout(said), contextlib.redirect_stderr(said),
        ):  # fmt: skip
            done = exit_code(list(arguments))
        sys.modules.pop("model_code", None)
        assert done == code, said.getvalue()
        return said.getvalue()

    def build(self, code: int = 0, **given: Any) -> tuple[dict[str, Any], str]:
        """Build the image; return its section of the record, empty when there is none, and what was printed."""
        told = self.model_ci("build-image", *self.settings(**given), code=code)
        return self.record()["stages"].get("build-image", {}), told

    @property
    def run(self) -> Path:
        return max((self.root / ".model-ci" / "runs").glob("*"))

    def record(self) -> dict[str, Any]:
        return json.loads((self.run / "run.json").read_text())  # type: ignore[no-any-return]

    def forget(self) -> None:
        """Take the image out of the record, as if the stage had been interrupted before it was done."""
        record = self.record()
        record["stages"].pop("build-image", None)
        (self.run / "run.json").write_text(json.dumps(record))

    def pushed_base(self) -> str:
        """Push the base to where buildah, which does not see what the engine has, can pull it; return its name."""
        client, name = self.engine.client, f"{self.engine.registry}/base"
        client.api.tag(self.engine.base, name, "1")
        client.api.push(name, "1")
        client.images.remove(f"{name}:1")
        return f"{name}:1"

    def pushed(self, tag: str) -> str | None:
        from model_ci.image.repository import Name, Repository

        return Repository(Name.parse(self.repository, "test"), None).digest(tag)


@pytest.fixture(scope="module", name="trained")
def a_trained_shop(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One model for a module's tests; each copies it, and what they leave on the engine goes."""
    root = tmp_path_factory.mktemp("image") / "shop"
    root.mkdir()
    write_rows(root / "data.csv")
    (root / "model_code.py").write_text(MODEL_CODE)
    name = f"image-{token_hex(3)}"
    (root / "model-ci.yaml").write_text(yaml.safe_dump({**CONFIG, "model": {**CONFIG["model"], "name": name}}))
    shop = Shop(root, docker_engine, f"{docker_engine.registry}/acme/{name}")
    shop.model_ci("run", "--stages=train,evaluate,register")
    yield shop
    client = docker_engine.client
    for image in client.images.list(filters={"label": f"org.opencontainers.image.title={name}"}):
        client.images.remove(image.id, force=True)


@pytest.fixture(name="shop")
def a_shop(trained: Shop, tmp_path: Path) -> Shop:
    """The trained project, for this test alone, with a repository of its own."""
    return trained.copy(tmp_path / "shop")


def machine(folder: Path) -> dict[str, str]:
    """Return the variables that give buildah a storage of its own."""
    folder.mkdir()
    text = f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
    (folder / "storage.conf").write_text(text)
    return {"CONTAINERS_STORAGE_CONF": str(folder / "storage.conf")}


def written(value: Any) -> str:
    """Return a value as YAML reads it: of a small number JSON makes a text."""
    return f"{value:.9f}" if isinstance(value, float) else json.dumps(value)
