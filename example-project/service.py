"""The second half of the story: versions of the model behind a load balancer, and flights that ask them."""

import http.client
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import polars as pl

# Where no image registry can be reached: images that are there already.
BASE: Final = os.environ.get("DEMO_BASE_IMAGE") or "python:3.11-slim"
BALANCER: Final = os.environ.get("DEMO_BALANCER_IMAGE") or "haproxy:2.8-alpine"
SHOWN: Final = (
    "model_ci_requests_total",
    "model_ci_rows_total",
    "model_ci_load_seconds",
    "model_ci_cold_start_seconds",
)
SETTINGS: Final = {
    "build-image.base": BASE,
    "build-image.sbom": "false",  # listing the packages takes as long as the rest
    "deploy.environments": json.dumps({"staging": {"replicas": 2, "docker": {"balancer": BALANCER}}}),
}


def missing() -> str | None:
    """Say what there is no service without, None when all of it is there."""
    import docker

    try:
        client = docker.from_env(timeout=300)
        client.ping()
    except Exception as error:  # whatever is in the way, there is none
        return f"no Docker engine answers ({str(error).splitlines()[0][:120]})"
    for name in (BASE, BALANCER):
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            try:
                client.images.pull(name)
            except docker.errors.APIError as error:
                return f"the image {name} is not here and cannot be fetched ({error.explanation})"
    return None


@dataclass(frozen=True)
class Asked:
    """What came of the flights that were sent: requests by variant, failures, and what one process says of itself."""

    variants: Mapping[str, int]
    failed: int
    metrics: Sequence[str]
    first: Mapping[str, Any]


def send(address: str, month: Path, many: int) -> Asked:
    """Ask the service about `many` flights of a month, one by one, each by another user."""
    flights = pl.read_parquet(month).drop("late", "scheduled").head(many)
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
    variants: Counter[str] = Counter()
    failed, first = 0, {}
    for i, flight in enumerate(flights.iter_rows(named=True)):
        body = json.dumps({"dataframe_records": [flight]})
        headers = {"Content-Type": "application/json", "X-User-Id": f"traveller-{i}"}
        connection.request("POST", "/invocations", body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        failed += answer.status != 200
        variants[answer.headers["X-Model-Variant"]] += 1
        first = first or {"flight": flight, **said}
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return Asked(dict(variants), failed, [line for line in lines if line.startswith(SHOWN)], first)
