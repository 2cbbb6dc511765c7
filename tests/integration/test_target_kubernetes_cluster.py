"""kubernetes, on a real cluster: no request is lost, what is bad is undone, load decides how many pods there are.

Skipped without a cluster, even where everything else is required: there is none that comes with a package.
"""

import os
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.targets.cluster import NODE, REASON, Place, a_place, node_images, until, variant, wanted  # noqa: F401
from tests.targets.docker_service import the_images  # noqa: F401 - fixture
from tests.targets.load import Load
from tests.targets.pod_metrics import served

from model_ci.errors import ConfigError, ServiceError
from model_ci.targets import CHALLENGER, CHAMPION, Ask, Deployment, RolloutError, Variant
from model_ci.targets.kubernetes import KubernetesTarget
from model_ci.targets.kubernetes.state import State

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif("MODEL_CI_KUBECONFIG" not in os.environ, reason=REASON),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]


def quietly(text: str) -> None:
    assert text


def predicts_one(variant: Variant, ask: Ask) -> None:
    answer = ask("/invocations", b'{"dataframe_split": {"columns": ["x"], "data": [[1]]}}')
    if b'"predictions": [1]' not in answer.body:
        raise RolloutError(f"{variant.name} predicts otherwise: {answer.body.decode()}")


def url(target: KubernetesTarget) -> str:
    address = target.address()
    assert address
    return address


def versions(target: KubernetesTarget) -> list[tuple[str, str | None, int]]:
    current = target.current()
    assert current
    return [(each.name, each.version, each.weight) for each in current.variants]


def test_no_request_fails_while_everything_changes(place: Place) -> None:
    target, begin = place.target(predicts_one), time.perf_counter()
    assert target.current() is None
    target.apply(wanted("one"), quietly)
    assert target.current() == wanted("one")
    assert target.plan(wanted("one")) == []
    with Load(url(target), keeping=2, coming=2) as load:
        load.until(300)
        target.apply(wanted("two"), quietly)
        load.until(300)
        target.apply(wanted("two", "one", 25), quietly)
        assert target.current() == wanted("two", "one", 25)
        load.until(300)
        target.apply(wanted("one"), quietly)
        load.until(300)
    assert load.failures == []
    assert load.total > 2000
    assert {(version, name) for version, name in load.answers} == {
        ("one", CHAMPION),
        ("two", CHAMPION),
        ("one", CHALLENGER),
    }
    assert target.current() == wanted("one")
    assert len(place.cluster.find("apps/v1", "Deployment", "")) == 1
    print(f"{load.total} requests, {dict(load.answers)}, {time.perf_counter() - begin:.0f} s")


def test_a_bad_version_changes_nothing_for_those_who_ask(place: Place) -> None:
    tried, rolled, impatient = place.target(predicts_one), place.target(), place.target(timeout_s=12)
    tried.apply(wanted("one"), quietly)
    before = State.read(place.cluster, tried.names).objects["Deployment", "shop-staging-champion"]["spec"]
    bad = [(tried, "crash", "cannot be loaded"), (tried, "wrong", "predicts otherwise"), (rolled, "crash", "ended by itself"),
           (impatient, "sick", "not rolled out within 12 s")]  # fmt: skip
    with Load(url(tried), keeping=2, coming=2) as load:
        for target, mode, why in bad:
            with pytest.raises(RolloutError, match=why):
                target.apply(wanted(mode), quietly)
            assert versions(tried) == [(CHAMPION, "one", 100)]
            load.until(200)
        with pytest.raises(RolloutError, match="ended by itself"):
            rolled.apply(wanted("one", "crash", 50), quietly)
        absent = replace(variant("one"), image="127.0.0.1:9/absent:1", digest="sha256:absent")
        with pytest.raises(
            RolloutError, match=r"absent does not come up: pod shop-staging-champion-.*(ErrImagePull|ImagePullBackOff)"
        ):
            rolled.apply(Deployment(environment="staging", variants=(absent,)), quietly)
        load.until(200)
    assert load.failures == []
    assert set(load.answers) == {("one", CHAMPION)}
    after = State.read(place.cluster, tried.names).objects
    assert after["Deployment", "shop-staging-champion"]["spec"] == before
    assert ("Deployment", "shop-staging-challenger") not in after
    assert tried.plan(wanted("one")) == []
    print(f"{load.total} requests")


def test_a_first_version_that_is_bad_leaves_nothing_behind(place: Place) -> None:
    target = place.target()
    with pytest.raises(RolloutError):
        target.apply(wanted("crash"), quietly)
    assert State.read(place.cluster, target.names).objects == {}
    assert target.current() is None


def test_the_numbers_of_the_pods_share_the_requests(place: Place) -> None:
    target = place.target(most_pods=5)
    target.apply(wanted("one", "two", 20, replicas=1), quietly)
    with Load(url(target), keeping=0, coming=4) as load:
        load.until(1500)
    share = load.answers["two", CHALLENGER] / load.total
    assert load.failures == []
    assert 0.15 < share < 0.25, share
    print(f"{load.total} requests, {share:.1%} to the challenger")
    subprocess.run(
        ["kubectl", "--kubeconfig", os.environ["MODEL_CI_KUBECONFIG"], "-n", place.namespace, "scale", "--replicas=2",
         "deployment/shop-staging-champion"], check=True, capture_output=True,
    )  # fmt: skip
    assert versions(target) == [(CHAMPION, "one", 67), (CHALLENGER, "two", 33)]  # what is there, not what was asked for
    assert [step for step in target.plan(wanted("one", "two", 20, replicas=1)) if "spec.replicas: 2 -> 4" in step]


def gateway_of(node: str) -> str:
    said = subprocess.run(
        ["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}", node],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return said.stdout.split()[0]


def test_load_decides_how_many_pods_there_are(place: Place, tmp_path: Path) -> None:
    with served(place.cluster, gateway_of(NODE), tmp_path) as figures:
        until(lambda: place.cluster.offer.groups.get("custom.metrics.k8s.io"))
        scaling = {"max_replicas": 4, "cpu_percent": 60, "requests_per_second": 50}
        target = place.target(autoscaling=scaling)
        target.apply(wanted("one", replicas=1), quietly)

        def pods() -> int:
            live = State.read(place.cluster, target.names).objects["Deployment", "shop-staging-champion"]
            return int(live["status"].get("readyReplicas", 0))

        assert pods() == 1
        begin = time.perf_counter()
        figures.cpu = "60m"  # of the 50m asked for: 120 %, twice as much as wanted
        until(lambda: pods() >= 2)
        print(f"scaled out by cpu after {time.perf_counter() - begin:.0f} s")
        figures.cpu, figures.requests = "10m", "100"
        until(lambda: pods() == 4)
        assert target.current() == wanted("one", replicas=1)
        target.apply(wanted("two", replicas=1), quietly)
        assert pods() == 4, "a rollout does not take back what load asked for"
        begin = time.perf_counter()
        figures.requests = "1"
        until(lambda: pods() == 1)
        print(f"scaled back after {time.perf_counter() - begin:.0f} s")


def test_one_deployment_at_a_time(place: Place) -> None:
    target = place.target()
    with (
        target.lock("ann"),
        pytest.raises(ServiceError, match=r"ann has been deploying here since 20\d\d-.*kubectl -n model-ci-test-"),
    ):
        target.lock("bob").__enter__()
    with target.lock("bob"):
        lease = place.cluster.find("coordination.k8s.io/v1", "Lease", "")[0]
        assert lease["spec"]["holderIdentity"] == "bob"
        lease["spec"]["renewTime"] = "2020-01-01T00:00:00.000000Z"
        place.cluster.replace(lease)
        with target.lock("cyd"):  # bob has not been heard of for long
            assert place.cluster.find("coordination.k8s.io/v1", "Lease", "")[0]["spec"]["holderIdentity"] == "cyd"
    assert place.cluster.find("coordination.k8s.io/v1", "Lease", "") == []


def test_what_the_cluster_refuses_is_said_with_what_to_do(place: Place) -> None:
    with pytest.raises(ServiceError, match="kubectl create namespace nowhere"):
        place.target(namespace="nowhere").apply(wanted("one"), quietly)
    with pytest.raises(ConfigError, match="no context 'mars' in the kubeconfig; there are"):
        place.target(context="mars").current()
    with pytest.raises(ConfigError, match=r"the cluster has no gateway\.networking\.k8s\.io"):
        place.target(gateway="edge").plan(wanted("one"))
    with pytest.raises(ServiceError, match="the cluster does not take it: change the setting that it names"):
        place.target(cpu="500m", cpu_limit="100m").apply(wanted("one"), quietly)
    assert State.read(place.cluster, place.target().names).objects == {}


def test_the_role_of_the_documentation_is_enough_and_no_more(place: Place) -> None:
    page = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()
    (role,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S) if "kind: Role" in block]
    there = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{place.namespace}"
    role["metadata"]["namespace"] = place.namespace
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]}
    binding = {
        "apiVersion": role["apiVersion"], "kind": "RoleBinding", "metadata": {"name": "ci"}, "roleRef": reference,
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ci"}],
    }  # fmt: skip
    target = place.target(predicts_one, autoscaling={"max_replicas": 3}, host="shop.example.org")
    target.cluster.client.set_default_header("Impersonate-User", "ci")
    target.cluster.client.set_default_header("Impersonate-Group", "system:authenticated")
    with pytest.raises(ServiceError, match=r"cannot list resource .* give the account the role of docs/kubernetes\.md"):
        target.current()
    place.cluster.ask("POST", f"{there}/roles", role)
    place.cluster.ask("POST", f"{there}/rolebindings", binding)
    with target.lock("ann"):
        target.apply(wanted("one", "two", 10, replicas=1), quietly)
        assert target.current() == wanted("one", "two", 10, replicas=1)
        assert target.plan(wanted("one", replicas=1))
        with pytest.raises(RolloutError, match="cannot be loaded"):
            target.apply(wanted("crash", replicas=1), quietly)
        assert b'"probe"' in (target.manifest(variant("two")) or b"")
        assert target.manifest(variant("wrong")) is None
        target.apply(wanted("two", replicas=1), quietly)
    target.remove()
    assert target.current() is None
    with pytest.raises(ServiceError, match=r"cannot list resource .secrets."):
        target.cluster.ask("GET", f"/api/v1/namespaces/{place.namespace}/secrets")
