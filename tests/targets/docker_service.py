"""An environment on the machine's Docker engine, and images of a tiny service in all the ways it can be bad."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml
from tests.docker_engine import BALANCER, build

from model_ci import config as configuration
from model_ci.config import Config
from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Target, Trial, Variant, open_target

MANIFEST = {
    "probe": {"inputs": {"columns": ["x"], "data": [[1.0], [2.0]]}, "outputs": [1, 1], "tolerance": 0},
    "classes": [0, 1],
}
SERVICE = Path(__file__).with_name("service.py")


@pytest.fixture(scope="session", name="images")
def the_images(docker_engine: Any, balancer: str) -> dict[str, str]:
    """Ids of the service's images, by what is wrong with them."""
    client = docker_engine.client
    return {
        mode: build(
            client,
            f"model-ci-test/deploy:{mode}",
            [
                f"FROM {docker_engine.base}",
                "COPY service.py /service.py",
                "COPY manifest.json /srv/manifest.json",
                f"ENV SERVICE_MODE={mode} SERVICE_VERSION={mode}",
                "USER 10001",
                'ENTRYPOINT ["python3", "/service.py"]',
            ],
            {"service.py": SERVICE.read_bytes(), "manifest.json": json.dumps(MANIFEST).encode()},
        )
        for mode in ("one", "two", "sick", "wrong", "crash")
    }


@dataclass
class Place:
    """An environment of a model of its own."""

    root: Path
    images: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"deploytest-{token_hex(3)}")

    def config(self, **docker: Any) -> Config:
        given = {"replicas": 1, "timeout_s": 60, **self.settings}
        given["docker"] = {"balancer": BALANCER, "drain_s": 10, **given.get("docker", {}), **docker}
        values = {
            "model": {"name": self.name, "task": "binary"},
            "data": {"path": "data.csv", "target": "sold"},
            "train": {"entrypoint": "model_code:build"},
            "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.6}]},
            "deploy": {"environments": {"staging": given}},
        }
        file = self.root / "model-ci.yaml"
        file.write_text(yaml.safe_dump(values))
        return configuration.load(file)

    def target(self, trial: Trial | None = None, **docker: Any) -> Target:
        return open_target(self.config(**docker), "staging", trial)

    def variant(self, mode: str, weight: int = 100, name: str = CHAMPION) -> Variant:
        image, many = self.images[mode], self.settings.get("replicas", 1)
        return Variant(
            name=name, image=image, digest=image, version=mode, run_id=None, weight=weight, replicas=many
        )  # fmt: skip

    def wanted(self, champion: str, challenger: str | None = None, weight: int = 0) -> Deployment:
        variants = [self.variant(champion, 100 - weight)]
        if challenger:
            variants.append(self.variant(challenger, weight, CHALLENGER))
        return Deployment(environment="staging", variants=tuple(variants))

    def containers(self, client: Any) -> list[Any]:
        return client.containers.list(all=True, filters={"label": f"model-ci.model={self.name}"})  # type: ignore[no-any-return]

    def clear(self, client: Any) -> None:
        for container in self.containers(client):
            container.remove(force=True, v=True)
        for network in client.networks.list(filters={"label": f"model-ci.model={self.name}"}):
            network.remove()


def ended(child: int) -> bool:
    """Wait for a process; tell whether it got to its end, as opposed to being killed."""
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, "it neither got to its end nor was killed"
    return True


@pytest.fixture(name="place")
def a_place(images: dict[str, str], docker_engine: Any, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, images)
    yield made
    made.clear(docker_engine.client)
