"""kubernetes, against kmock's emulator: what is asked of the API server, where no cluster is needed to see it.

The emulator stores what it is sent. That pods come up, that requests are answered and that what is bad is undone, only a
real cluster can show.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import Project
from tests.image.standin import complete
from tests.targets.cluster import Place, wanted
from tests.targets.emulated import GATEWAY, KSERVE, METRICS, OLD, TODAY, Emulator, served

from model_ci.errors import ConfigError, ServiceError
from model_ci.run import Run
from model_ci.targets import RolloutError
from model_ci.targets.kubernetes import KubernetesTarget

PLAIN = {"service_type": "ClusterIP", "node_port": None, "address": None}


class Cluster:
    """Emulators with kinds of the test's choice."""

    def __init__(self, stack: ExitStack, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stack, self.root, self.monkeypatch = stack, root, monkeypatch

    def start(self, kinds: Sequence[str]) -> Emulator:
        file = self.root / "kubeconfig"
        self.monkeypatch.setenv("MODEL_CI_KUBECONFIG", str(file))
        return self.stack.enter_context(served(kinds, file))

    def target(self, **settings: Any) -> KubernetesTarget:
        return Place(self.root, namespace="ml").target(**{**PLAIN, **settings})


@pytest.fixture(name="cluster")
def a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack, tmp_path, monkeypatch)


def quietly(text: str) -> None:
    assert text


def test_kmock_weights_of_a_gateway_are_set_and_read_back(cluster: Cluster) -> None:
    emulator = cluster.start((*TODAY, GATEWAY))
    target = cluster.target(gateway="edge/main", host="shop.example.org")
    assert target.current() is None
    assert "create HTTPRoute shop-staging" in target.plan(wanted("one", "two", 10))
    assert emulator.of("HTTPRoute") == {}, "a plan changes nothing"
    target.apply(wanted("one", "two", 10), quietly)
    assert target.current() == wanted("one", "two", 10)
    assert target.plan(wanted("one", "two", 10)) == []
    changes = target.plan(wanted("one", "two", 30))
    assert "change HTTPRoute shop-staging: spec.rules[0].backendRefs[1].weight: 10 -> 30" in changes
    assert not [each for each in changes if "template" in each], "a weight starts no pods"
    target.apply(wanted("one", "two", 30), quietly)
    assert target.current() == wanted("one", "two", 30)
    emulator.of("HTTPRoute")


def test_kmock_weights_of_nginx_are_set_and_read_back(cluster: Cluster) -> None:
    emulator = cluster.start(TODAY)
    target = cluster.target(host="shop.example.org")
    target.apply(wanted("one", "two", 10), quietly)
    assert target.current() == wanted("one", "two", 10)
    assert set(emulator.of("Ingress")) == {"shop-staging", "shop-staging-challenger"}
    target.apply(wanted("two"), quietly)
    assert target.current() == wanted("two")
    assert set(emulator.of("Ingress")) == {"shop-staging"}
    assert set(emulator.of("Deployment")) == set(emulator.of("PodDisruptionBudget")) == {"shop-staging-champion"}


def test_kmock_an_old_cluster_is_told_in_its_own_versions(cluster: Cluster) -> None:
    emulator = cluster.start((*OLD, METRICS))
    target = cluster.target(autoscaling={"max_replicas": 5, "requests_per_second": 20})
    target.apply(wanted("one"), quietly)
    scaler = emulator.of("HorizontalPodAutoscaler")["shop-staging-champion"]
    assert scaler["apiVersion"] == "autoscaling/v2beta2"
    assert [each["type"] for each in scaler["spec"]["metrics"]] == ["Resource", "Pods"]
    assert emulator.of("PodDisruptionBudget")["shop-staging-champion"]["apiVersion"] == "policy/v1beta1"
    assert target.current() == wanted("one")


def test_kmock_what_is_met_only_nearly_is_said(cluster: Cluster) -> None:
    cluster.start(TODAY)
    target, told = cluster.target(autoscaling={"max_replicas": 5, "requests_per_second": 20}, most_pods=4), []
    target.apply(wanted("one", "two", 10), told.append)
    assert "the numbers of the pods share the requests: champion 75 % by 3 pods, challenger 25 % by 1 pods" in told
    assert "nothing is scaled by load while the numbers of the pods are the weights" in told
    assert "the cluster serves no custom metrics: the cpu alone decides how many pods there are" in told


def test_kmock_everything_is_removed(cluster: Cluster) -> None:
    emulator = cluster.start((*TODAY, GATEWAY))
    target = cluster.target(gateway="main", autoscaling={"max_replicas": 5})
    target.apply(wanted("one", "two", 10), quietly)
    target.remove()
    assert target.current() is None
    assert not [each for each in emulator.objects.values() if not each.deleted]


def test_kmock_kserve_is_waited_for_and_read_back(cluster: Cluster) -> None:
    emulator = cluster.start((*TODAY, KSERVE))
    target = cluster.target(output="kserve", timeout_s=1)
    with pytest.raises(RolloutError, match="was not ready within 1 s: KServe has said nothing of it"):
        target.apply(wanted("one"), quietly)
    assert emulator.of("InferenceService") == {}
    emulator.statuses["InferenceService"] = {
        "observedGeneration": 9,
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    target.apply(wanted("one", "two", 10), quietly)
    assert target.current() == wanted("one", "two", 10)
    service = emulator.of("InferenceService")["shop-staging"]
    service["spec"]["predictor"]["canaryTrafficPercent"] = 40  # by somebody else
    target.cluster.apply(service)
    assert target.current() == wanted("one", "two", 40)


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [(403, 'User "ci" cannot patch resource "deployments"', r'cannot patch.*give the account the role of docs/kubernetes\.md in namespace ml'),
     (401, "Unauthorized", "get new ones"), (409, "the object has been modified", "run this again"),
     (422, "spec.replicas: Invalid value", "change the setting that it names")],
)  # fmt: skip
def test_kmock_what_is_refused_is_said_with_what_to_do(cluster: Cluster, status: int, said: str, advice: str) -> None:
    emulator = cluster.start(TODAY)
    emulator.refusals["PATCH"] = (status, said)
    with pytest.raises(ServiceError, match=advice) as refused:
        cluster.target().apply(wanted("one"), quietly)
    assert "secret-token" not in str(refused.value)
    assert not emulator.of("Deployment")


def test_kmock_a_lock_that_may_not_be_taken_is_said(cluster: Cluster) -> None:
    emulator = cluster.start(TODAY)
    emulator.refusals["POST"] = (403, "leases.coordination.k8s.io is forbidden")
    with pytest.raises(ServiceError, match=r"leases\.coordination\.k8s\.io is forbidden; give the account the role"):
        cluster.target().lock("ann").__enter__()


@pytest.mark.parametrize(
    ("settings", "missing"),
    [({"gateway": "main"}, "gateway.networking.k8s.io"), ({"output": "kserve"}, "serving.kserve.io")],
)
def test_kmock_a_kind_that_the_cluster_has_not_is_named(cluster: Cluster, settings: Any, missing: str) -> None:
    cluster.start(TODAY)
    with pytest.raises(ConfigError, match=rf"the cluster has no {missing}; install it, or choose another"):
        cluster.target(**settings).plan(wanted("one"))


def test_a_cluster_that_cannot_be_reached_is_named(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.start(TODAY)
    file = cluster.root / "kubeconfig"
    file.write_text(file.read_text().replace("server: http://127.0.0.1:", "server: http://127.0.0.1:9#"))
    monkeypatch.setattr("model_ci.targets.kubernetes.api._TRIES", 1)
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:9.* cannot be reached: .*refused.*KUBECONFIG"):
        cluster.target().current()
    with pytest.raises(ConfigError, match="no context 'mars' in the kubeconfig; there are here"):
        cluster.target(context="mars").current()
    file.unlink()
    with pytest.raises(ConfigError, match="name a kubeconfig by KUBECONFIG"):
        cluster.target().current()


def test_kmock_a_share_is_rendered_beside_what_serves_or_not_at_all(
    cluster: Cluster, project: Project, command: Callable[..., Any]
) -> None:
    emulator = cluster.start((*TODAY, GATEWAY))
    settings = {"namespace": "ml", "gateway": "edge/main", "host": "shop.example.org"}
    environment = {"target": "kubernetes", "replicas": 2, "kubernetes": settings}
    project.configure(model={"name": "shop", "task": "binary"}, deploy={"environments": {"staging": environment}})
    assert command(project.root, "run", "--stages", "train,evaluate,register").code == 0
    complete(Run.open(project.runs()[-1]), f"registry.example/shop@sha256:{'2' * 64}")

    answer = command(project.root, "deploy", "--render", "files", "--weight", "10")
    assert answer.code == 2, answer.text
    assert "--render: nothing serves in staging beside which 10 % could be put; render with --weight 100" in answer.err
    assert not list(project.root.glob("files/*"))

    cluster.target(gateway="edge/main", host="shop.example.org").apply(wanted("one"), quietly)
    before = emulator.of("HTTPRoute")
    answer = command(project.root, "deploy", "--render", "files", "--weight", "10")
    assert answer.code == 0, answer.text
    assert emulator.of("HTTPRoute") == before
    made = [yaml.safe_load(file.read_text()) for file in (project.root / "files").iterdir()]
    (route,) = [each for each in made if each["kind"] == "HTTPRoute"]
    assert [each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]] == [90, 10]
    images = [
        each["spec"]["template"]["spec"]["containers"][0]["image"] for each in made if each["kind"] == "Deployment"
    ]
    assert sorted(images) == ["model-ci-test/deploy:one", f"registry.example/shop@sha256:{'2' * 64}"]

    assert command(project.root, "deploy", "--render", "whole").code == 0
    assert len([file for file in (project.root / "whole").iterdir() if file.name.startswith("deployment-")]) == 1
