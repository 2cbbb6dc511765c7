"""The reusable workflow that delivers: from the registered model to production, on the Docker engine of this machine."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.ci.github import GitHub
from tests.docker_engine import DockerEngine

from model_ci import config as configuration
from model_ci.targets import open_target

pytestmark = pytest.mark.docker
WORKFLOW = """
on: {push: {branches: [main]}}
permissions: {}
jobs:
  model:
    uses: acme/model-ci/.github/workflows/pipeline.yml@v1
    permissions: {contents: write}
  deliver:
    needs: model
    if: ${{ needs.model.outputs.model-version != '' }}
    uses: acme/model-ci/.github/workflows/deliver.yml@v1
    permissions: {contents: write, packages: write, id-token: write}
    with: {run: "${{ needs.model.outputs.run-id }}", production: production}
"""


def test_a_push_is_trained_built_pushed_deployed_and_promoted(
    github: GitHub, consumer: Callable[..., Path], docker_engine: DockerEngine, balancer: str
) -> None:
    tree = consumer(workflow=WORKFLOW)
    values = yaml.safe_load((tree / "model-ci.yaml").read_text())
    name = values["model"]["name"] = f"shop-{os.urandom(3).hex()}"
    one = {"replicas": 1, "docker": {"balancer": balancer, "drain_s": 5}}
    values["deploy"] = {"environments": {"staging": one, "production": {**one, "source": "staging"}}}
    repository = f"{docker_engine.registry}/{name}"
    values["build-image"] = {"base": docker_engine.base, "repository": repository, "sbom": False, "requests": 20}
    (tree / "model-ci.yaml").write_text(yaml.safe_dump(values))
    config = configuration.load(tree / "model-ci.yaml")
    try:
        outcome = github.run(tree, "model.yml", timeout_s=900)
        assert outcome.exit == 0, outcome.told
        outputs = outcome.job("deliver").outputs
        assert outputs["verdict"] == "passed"
        assert outputs["image"].startswith(f"{repository}@sha256:")
        assert outputs["address"] == open_target(config, "staging").address()
        serving = open_target(config, "production").current()
        assert serving
        assert [(v.image, v.version, v.weight) for v in serving.variants] == [(outputs["image"], "1", 100)]
        told = subprocess.run(
            ["git", "show", "model-ci/records:ledger/production.jsonl"],
            cwd=outcome.origin, check=True, capture_output=True,
        ).stdout  # fmt: skip
        assert json.loads(told)["action"] == "promote"
    finally:
        for environment in config.deploy.environments:
            open_target(config, environment).remove()
