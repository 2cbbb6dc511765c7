"""A namespace of a real cluster, the one that MODEL_CI_KUBECONFIG names; without one, the tests that need it are skipped.

The cluster's node is a container of this machine's engine, MODEL_CI_K8S_NODE, into which the images are loaded; what a
Service of type NodePort publishes at MODEL_CI_K8S_PORT answers on 127.0.0.1.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml

from model_ci import config as configuration
from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Trial, Variant, kubernetes
from model_ci.targets.kubernetes.api import Cluster

NODE = os.environ.get("MODEL_CI_K8S_NODE", "model-ci-k8s")
PORT = int(os.environ.get("MODEL_CI_K8S_PORT", "31080"))
REASON = "needs a real cluster: MODEL_CI_KUBECONFIG names none"


def loaded(root: Path, name: str, **environment: Any) -> configuration.Config:
    """A configuration whose environment staging is on Kubernetes."""
    values = {
        "model": {"name": name, "task": "binary"},
        "data": {"path": "data.csv", "target": "sold"},
        "train": {"entrypoint": "model_code:build"},
        "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.6}]},
        "deploy": {"environments": {"staging": {"target": "kubernetes", **environment}}},
    }
    file = root / "model-ci.yaml"
    file.write_text(yaml.safe_dump(values))
    return configuration.load(file)


def variant(mode: str, weight: int = 100, name: str = CHAMPION, replicas: int = 2) -> Variant:
    return Variant(
        name=name, image=f"model-ci-test/deploy:{mode}", digest=f"sha256:{mode}", version=mode, run_id="r1",
        weight=weight, replicas=replicas,
    )  # fmt: skip


def wanted(champion: str, challenger: str | None = None, weight: int = 0, replicas: int = 2) -> Deployment:
    variants = [variant(champion, 100 - weight, replicas=replicas)]
    if challenger:
        variants.append(variant(challenger, weight, CHALLENGER, replicas))
    return Deployment(environment="staging", variants=tuple(variants))


def until(holds: Callable[[], Any], within_s: float = 90) -> Any:
    """Wait for a condition; it is an error when it never comes true."""
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.5)
    return found


@dataclass
class Place:
    """An environment in a namespace of its own."""

    root: Path
    settings: dict[str, Any] = field(default_factory=dict)
    namespace: str = field(default_factory=lambda: f"model-ci-test-{token_hex(3)}")

    def target(
        self, trial: Trial | None = None, *, timeout_s: float = 90, **changed: Any
    ) -> kubernetes.KubernetesTarget:
        given = {
            "namespace": self.namespace, "cpu": "50m", "memory": "64Mi", "service_type": "NodePort", "node_port": PORT,
            "address": f"http://127.0.0.1:{PORT}", "drain_s": 5, **self.settings, **changed,
        }  # fmt: skip
        config = loaded(self.root, "shop", timeout_s=timeout_s, kubernetes=given)
        return kubernetes.open(config, "staging", config.deploy.environments["staging"], trial)

    @property
    def cluster(self) -> Cluster:
        return Cluster(None, self.namespace)


@pytest.fixture(scope="session")
def node_images(images: dict[str, str]) -> None:
    """The images of the tiny service, in the node's engine."""
    tags = [f"model-ci-test/deploy:{mode}" for mode in images]
    save = subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE)
    subprocess.run(["docker", "exec", "-i", NODE, "docker", "load"], stdin=save.stdout, check=True, capture_output=True)
    assert save.wait() == 0


@pytest.fixture(name="place")
def a_place(node_images: None, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    admin = made.cluster
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.namespace}}
    with Path(tempfile.gettempdir(), "model-ci-k8s.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # there is one published port
        admin.ask("POST", "/api/v1/namespaces", own)
        try:
            yield made
        finally:
            admin.ask("DELETE", f"/api/v1/namespaces/{made.namespace}", {})
            until(lambda: not admin.find("v1", "Service", ""))
