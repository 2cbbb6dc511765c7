"""deploy with an image that build-image really built and pushed: by its digest, behind the balancer, with its log."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.image.shop import Shop, a_shop, a_trained_shop  # noqa: F401 - fixtures
from tests.targets.docker_service import BALANCER, the_images  # noqa: F401 - a fixture
from tests.targets.load import Load, connect

from model_ci import config as configuration
from model_ci.targets import open_target

pytestmark = pytest.mark.docker


@pytest.fixture(name="served")
def a_served_shop(shop: Shop, images: dict[str, str], docker_engine: Any) -> Iterator[tuple[Shop, list[str], str]]:
    """The project with its image built, the settings of its environment, and the volume of its log."""
    volume = f"deploytest-{os.urandom(3).hex()}"
    docker = {"balancer": BALANCER, "drain_s": 5, "prediction_log": volume}
    environments = {"staging": {"replicas": 2, "timeout_s": 120, "docker": docker}}
    settings = [f"--set=deploy.environments={json.dumps(environments)}"]
    subprocess.run(["git", "init", "--quiet"], cwd=shop.root, check=True)  # for the ledger
    shop.build()
    docker_engine.client.volumes.create(volume)
    yield shop, settings, volume
    open_target(loaded(shop, settings), "staging").remove()
    docker_engine.client.volumes.get(volume).remove()


def loaded(shop: Shop, settings: list[str]) -> configuration.Config:
    return configuration.load(shop.root / "model-ci.yaml", [s.removeprefix("--set=") for s in settings])


def test_what_was_built_serves_by_its_digest_and_logs(served: tuple[Shop, list[str], str], docker_engine: Any) -> None:
    shop, settings, volume = served
    built = shop.record()["stages"]["build-image"]
    told = shop.model_ci("deploy", *settings)
    section = shop.record()["stages"]["deploy"]
    assert section["verdict"] == "passed", told
    assert section["deployment"]["variants"][0]["image"] == built["reference"]
    assert section["smoke"]["compared"] == 20
    assert section["smoke"]["max_difference"] <= 1e-6

    probe = json.loads((shop.run / "image" / "manifest.json").read_text())["probe"]
    connection = connect(section["address"].removeprefix("http://"))
    for i in range(12):
        row = {"columns": probe["inputs"]["columns"], "data": probe["inputs"]["data"][:2]}
        sent = {"Content-Type": "application/json", "X-User-Id": "ann", "X-Request-Id": f"ask-{i}"}
        connection.request("POST", "/invocations", json.dumps({"dataframe_split": row}), sent)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        assert (answer.status, answer.headers["X-Model-Variant"]) == (200, "champion")
        assert answer.headers["X-Model-Version"] == section["version"]
        assert body["predictions"] == probe["outputs"][:2]

    one = {"columns": probe["inputs"]["columns"], "data": probe["inputs"]["data"][:1]}
    with Load(section["address"], body=json.dumps({"dataframe_split": one})) as load:
        load.until(100)
        changed = "--set=deploy.environments.staging.docker.variables={MODEL_CI_THREADS: '1'}"
        shop.model_ci("deploy", *settings, changed)  # both replicas are replaced
        load.until(100)
    assert load.failures == []
    assert len([step for step in shop.record()["stages"]["deploy"]["steps"] if step.startswith("stops")]) == 2

    open_target(loaded(shop, settings), "staging").remove()  # what is stopped writes down what it has
    read = docker_engine.client.containers.run(
        docker_engine.base, ["sh", "-c", "cat /log/*.jsonl"], volumes={volume: {"bind": "/log"}}, remove=True
    )
    lines = [json.loads(line) for line in read.splitlines()]
    mine = [line for line in lines if str(line["request_id"]).startswith("ask-")]
    assert sorted(line["request_id"] for line in mine) == sorted(f"ask-{i}" for i in range(12))
    assert {(line["variant"], line["user"]) for line in mine} == {("champion", "ann")}
