"""deploy, promote and rollback as GitHub and GitLab run them, against the Docker engine of this machine."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ci.github import Event, GitHub
from tests.ci.gitlab import GitLab
from tests.ci.repository import newest_record
from tests.targets.docker_service import BALANCER, MANIFEST, the_images  # noqa: F401 - a fixture

from model_ci import config as configuration
from model_ci.config import Config
from model_ci.targets import CHAMPION, Deployment, Variant, open_target

pytestmark = pytest.mark.docker
# Stands for build-image, which has tests of its own: leaves what it leaves, of an image that is there.
PLANT = """
import json, pathlib, sys
folder = sorted(pathlib.Path(".model-ci/runs").iterdir())[-1]
record = json.loads((folder / "run.json").read_text())
record["stages"]["build-image"] = json.loads(pathlib.Path("built.json").read_text())
(folder / "image").mkdir()
(folder / "image" / "manifest.json").write_text(pathlib.Path("manifest.json").read_text())
(folder / "run.json").write_text(json.dumps(record))
"""
WORKFLOW = """
name: deploy
on: {push: {branches: [main]}}
permissions: {contents: write}
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    outputs:
      staging: ${{ steps.deploy.outputs.address }}
      production: ${{ steps.promote.outputs.address }}
      verdict: ${{ steps.promote.outputs.verdict }}
    steps:
      - uses: actions/checkout@v7
      - id: run
        uses: acme/model-ci/actions/run@v1
        with: {stages: "train,evaluate,register"}
      - run: python3 plant.py
      - id: deploy
        uses: acme/model-ci/actions/deploy@v1
        with: {run: "${{ steps.run.outputs.run-id }}"}
      - id: promote
        uses: acme/model-ci/actions/promote@v1
        with: {reason: approved}
      - uses: acme/model-ci/actions/record@v1
        with: {run: "${{ steps.promote.outputs.run-id }}"}
"""


def prepare(tree: Path, image: str, **policy: Any) -> Config:
    """Give the project two environments, and what an image would have left."""
    values = yaml.safe_load((tree / "model-ci.yaml").read_text())
    docker = {"balancer": BALANCER, "drain_s": 5}
    one = {"replicas": 1, "timeout_s": 60, "docker": docker}
    values["model"]["name"] = f"shop-{os.urandom(3).hex()}"
    values["deploy"] = {"environments": {"staging": one, "production": {**one, "source": "staging", "policy": policy}}}
    (tree / "model-ci.yaml").write_text(yaml.safe_dump(values))
    manifest = json.dumps(MANIFEST)
    (tree / "manifest.json").write_text(manifest)
    (tree / "built.json").write_text(json.dumps(built(image, hashlib.sha256(manifest.encode()).hexdigest())))
    (tree / "plant.py").write_text(PLANT)
    return configuration.load(tree / "model-ci.yaml")


def built(image: str, manifest: str) -> dict[str, Any]:
    nothing, now = "0" * 64, "2026-01-01T00:00:00.000+00:00"
    return {
        "verdict": "passed", "fingerprint": nothing, "inputs": {}, "settings": None, "code_commit": None,
        "start": now, "end": now, "duration_s": 0.0, "why": "", "repository": None, "tags": [], "digest": image,
        "reference": image, "pushed": False, "builder": "docker", "builder_version": "1",
        "base": {"reference": "b", "digest": image, "python": "3.11", "architecture": "amd64"},
        "engine": {"name": "sklearn", "why": ""}, "model_digest": nothing, "size_mb": 1.0,
        "requirements_sha256": nothing, "layers": [], "parity": None, "smoke": None, "trouble": None, "gates": [],
        "sbom": None, "signature": None, "labels": {}, "folder": "image", "files": {"manifest.json": manifest},
    }  # fmt: skip


@pytest.fixture
def cleared(docker_engine: Any) -> Iterator[list[Config]]:
    """Take away what the projects in the list deployed."""
    made: list[Config] = []
    yield made
    for each in made:
        for environment in each.deploy.environments:
            open_target(each, environment).remove()


def test_github_deploys_and_promotes(
    github: GitHub, consumer: Callable[..., Path], images: dict[str, str], cleared: list[Config]
) -> None:
    tree = consumer(workflow=WORKFLOW)
    config = prepare(tree, images["one"])
    cleared.append(config)
    outcome = github.run(tree, "model.yml", Event(name="push"))
    assert outcome.exit == 0, outcome.told
    outputs = outcome.job("deploy").outputs
    assert outputs["verdict"] == "passed"
    for environment in ("staging", "production"):
        target = open_target(config, environment)
        now = target.current()
        assert now and (now.variants[0].version, now.variants[0].digest) == ("1", images["one"])
        assert outputs[environment] == target.address()
    section = newest_record(outcome.origin)["stages"]["promote"]
    assert section["aliases"] == {"champion": "1", "previous": None}
    assert section["ledger"]["pushed"] is True


def test_gitlab_promotes_in_a_protected_environment_and_rolls_back(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str, images: dict[str, str], cleared: list[Config]
) -> None:
    def included(name: str) -> dict[str, Any]:
        inputs = {"toolkit": toolkit, "set": "deploy.smoke.requests=3"}
        file = f"gitlab/{name}.gitlab-ci.yml"
        return {"project": "acme/model-ci", "ref": "v1", "file": file, "inputs": inputs}

    pipeline: dict[str, Any] = {
        "stages": ["promote", "rollback"],
        "include": [included("promote"), included("rollback")],
    }
    pipeline["rollback"] = {"needs": ["promote"]}
    tree = consumer(pipeline=json.dumps(pipeline))
    config = prepare(tree, images["one"], approval="production", require_passed=False)
    cleared.append(config)
    serve(config, "staging", images["two"])
    serve(config, "production", images["one"])
    outcome = gitlab.run(tree, "web")
    promoted, back = outcome.jobs["promote"], outcome.jobs["rollback"]
    address = open_target(config, "production").address()
    assert promoted.status == "success", outcome.told
    assert promoted.dotenv["ADDRESS"] == address
    assert (back.status, back.dotenv["ADDRESS"]) == ("success", address), outcome.told
    assert "rows are known" in promoted.log or "compared" in promoted.log


def serve(config: Config, environment: str, image: str) -> None:
    variant = Variant(name=CHAMPION, image=image, digest=image, version=None, run_id=None, weight=100, replicas=1)
    wanted = Deployment(environment=environment, variants=(variant,))
    open_target(config, environment).apply(wanted, lambda text: None)
