"""A single pod of a new variant, behind no Service: it must come up and answer rightly before anything changes."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from model_ci.config import Environment
from model_ci.errors import ServiceError
from model_ci.targets import names as calling
from model_ci.targets.deployment import Answer, RolloutError, Trial, Variant
from model_ci.targets.kubernetes import health, pod
from model_ci.targets.kubernetes.api import Cluster, Manifest
from model_ci.targets.kubernetes.names import TRIAL, Names

_POLL_S: Final = 0.5


def hold(cluster: Cluster, names: Names, settings: Environment, variant: Variant, trial: Trial) -> None:
    """Try a variant; raise RolloutError when it does not come up or will not do."""
    with _running(cluster, names, settings, variant) as name:
        _until_ready(cluster, name, settings, variant)
        trial(variant, lambda path, body: _ask(cluster, name, path, body))


def _ask(cluster: Cluster, name: str, path: str, body: bytes | None) -> Answer:
    return cluster.proxied(name, pod.PORT, path, body)


@contextmanager
def _running(cluster: Cluster, names: Names, settings: Environment, variant: Variant) -> Iterator[str]:
    template = pod.template(names, variant, settings, TRIAL)
    name = f"{names.variant(variant.name)}-trial-{secrets.token_hex(3)}"
    metadata = {**template["metadata"], "name": name, "namespace": names.namespace}
    deadline = round(settings.timeout_s) + 600  # it ends by itself even when nobody is left to delete it
    spec = {**template["spec"], "restartPolicy": "Never", "activeDeadlineSeconds": deadline}
    made: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    cluster.create(made)
    try:
        yield name
    finally:
        with suppress(ServiceError):
            cluster.delete(made, grace_s=0)


def _until_ready(cluster: Cluster, name: str, settings: Environment, variant: Variant) -> None:
    deadline = time.monotonic() + settings.timeout_s
    while True:
        existing = cluster.get("v1", "Pod", name)
        if existing is None:
            raise RolloutError(f"kubernetes: {calling.version(variant)}: pod {name} was deleted while it was tried")
        if health.ready(existing):
            return
        if why := health.hopeless(cluster, [existing]):
            raise RolloutError(f"kubernetes: {calling.version(variant)} does not come up: {why}")
        if time.monotonic() > deadline:
            why = health.late(cluster, [existing])
            raise RolloutError(
                f"kubernetes: {calling.version(variant)} was not ready within {settings.timeout_s:g} s: {why}"
            )
        time.sleep(_POLL_S)
