"""build-image as a user's workflow and pipeline order it: built, tried, and pushed to a real registry."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.ci.github import GitHub
from tests.ci.gitlab import GitLab
from tests.docker_engine import DockerEngine

from model_ci.image.repository import Name, Repository

pytestmark = pytest.mark.docker
WORKFLOW = """
name: image
on: push
permissions: {contents: write, packages: write}
jobs:
  image:
    runs-on: ubuntu-latest
    outputs:
      image: ${{ steps.image.outputs.image }}
      digest: ${{ steps.image.outputs.image-digest }}
      verdict: ${{ steps.image.outputs.verdict }}
    steps:
      - uses: actions/checkout@v7
      - uses: acme/model-ci/actions/run@v1
        with: {stages: "train,evaluate,register"}
      - id: image
        uses: acme/model-ci/actions/build-image@v1
        with:
          set: |
SETTINGS
"""


@pytest.fixture(name="settings")
def the_settings(docker_engine: DockerEngine) -> Iterator[dict[str, Any]]:
    """Settings of the stage, with a repository of their own."""
    name = f"{docker_engine.registry}/acme/ci-{token_hex(3)}"
    yield {"base": docker_engine.base, "repository": name, "builder": "docker", "sbom": "false", "requests": 20}
    for image in docker_engine.client.images.list(name=name):
        docker_engine.client.images.remove(image.id, force=True)


def lines(settings: dict[str, Any]) -> list[str]:
    return [f"build-image.{name}={value}" for name, value in settings.items()]


def pushed(settings: dict[str, Any], tag: str) -> str | None:
    return Repository(Name.parse(settings["repository"], "test"), None).digest(tag)


def test_an_action_builds_the_image(github: GitHub, consumer: Callable[..., Path], settings: dict[str, Any]) -> None:
    text = "\n".join(f"            {line}" for line in lines(settings))
    outcome = github.run(consumer(workflow=WORKFLOW.replace("SETTINGS", text)), "model.yml", timeout_s=900)
    assert outcome.exit == 0, outcome.output
    outputs = outcome.jobs["image/image"].outputs
    assert outputs["verdict"] == "passed"
    assert outputs["digest"] == pushed(settings, "v1") == pushed(settings, "champion")
    assert outputs["image"] == f"{settings['repository']}@{outputs['digest']}"


def test_a_template_builds_the_image_of_the_job_before(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str, settings: dict[str, Any]
) -> None:
    def include(name: str, **inputs: str) -> dict[str, Any]:
        given = {"toolkit": toolkit, "stage": "test", **inputs}
        return {"project": "acme/model-ci", "ref": "v1", "file": f"gitlab/{name}.gitlab-ci.yml", "inputs": given}

    after = {"stage": "deploy", "script": ['echo "got $IMAGE"'], "needs": ["build-image"]}
    pipeline = {
        "stages": ["test", "build-image", "deploy"],
        "include": [
            include("pipeline", stages="train,evaluate,register"),
            include("build-image", stage="build-image", after="model-ci", set="\n".join(lines(settings))),
        ],
        "after": after,
    }
    outcome = gitlab.run(consumer(pipeline=json.dumps(pipeline)), timeout_s=900)
    assert outcome.exit == 0, outcome.told
    job = outcome.jobs["build-image"]
    assert job.dotenv["VERDICT"] == "passed"
    assert job.dotenv["IMAGE_DIGEST"] == pushed(settings, "v1")
    assert f"got {settings['repository']}@{job.dotenv['IMAGE_DIGEST']}" in outcome.jobs["after"].log
