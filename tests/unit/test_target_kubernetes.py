"""kubernetes, without a cluster: what is written down is valid by every version's own schema, and says what was meant."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.targets.cluster import Place, variant, wanted

from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Renders, names
from model_ci.targets.kubernetes.manifests import Manifests
from model_ci.targets.kubernetes.offer import Offer
from model_ci.targets.kubernetes.ownership import applied, differences
from model_ci.targets.kubernetes.split import counts, shares

EVERYTHING: dict[str, Any] = {
    "autoscaling": {"max_replicas": 6, "requests_per_second": 12.5}, "allow_from": ["shop", "edge"], "cpu_limit": "1",
    "service_account": "shop", "pull_secret": "registry", "secret": "settings", "prediction_log": "log",
    "variables": {"MODEL_CI_THREADS": "2"},
}  # fmt: skip
OLD = {"autoscaling": ("v1", "v2beta2"), "policy": ("v1beta1",), "networking.k8s.io": ("v1",)}
# The first version of Kubernetes without the older ones' API versions, the newest that is known, and one between.
VERSIONS = ["1.27", "1.32", "1.37"]


def rendered(tmp_path: Path, deployment: Deployment, **settings: Any) -> list[dict[str, Any]]:
    plain = {"service_type": "ClusterIP", "node_port": None, "address": None}
    files = Place(tmp_path, namespace="ml").target(**{**plain, **settings}).render(deployment)
    return [yaml.safe_load(text) for name, text in files.items() if name != "kustomization.yaml"]


def manifests(tmp_path: Path, offer: Mapping[str, Any], **settings: Any) -> Manifests:
    target = Place(tmp_path, namespace="ml").target(service_type="ClusterIP", node_port=None, **settings)
    return Manifests(target.names, target.settings, Offer(groups=offer))


def one(objects: list[dict[str, Any]], kind: str, name: str = "shop-staging") -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("routing", [{}, {"host": "shop.example.org"}], ids=["replicas", "nginx"])
@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["smallest", "everything"])
def test_each_object_is_valid(tmp_path: Path, version: str, routing: dict[str, Any], settings: dict[str, Any]) -> None:
    import kubernetes_validate

    for deployment in (wanted("one"), wanted("one", "two", 10), wanted("one", "two", 0)):
        objects = rendered(tmp_path, deployment, **routing, **settings)
        assert len(objects) >= 5
        for each in objects:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a kind that it does not know is told by a warning only
                kubernetes_validate.validate(each, version, strict=True)


def test_the_pod_may_do_nothing_but_answer(tmp_path: Path) -> None:
    objects = rendered(tmp_path, wanted("one"), **EVERYTHING)
    pod = one(objects, "Deployment", "shop-staging-champion")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"memory": "64Mi", "cpu": "1"},
    }
    assert [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")] == [
        "/readyz", "/readyz", "/livez"
    ]  # fmt: skip
    assert "time.sleep(5)" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert pod["terminationGracePeriodSeconds"] > 5
    keys = [each["topologyKey"] for each in pod["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    policy = one(objects, "NetworkPolicy")["spec"]
    assert policy["egress"] == []
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    allowed = [
        each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in policy["ingress"][0]["from"]
    ]
    assert allowed == ["shop", "edge"]


def test_secrets_are_named_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    objects = rendered(tmp_path, wanted("one"), **EVERYTHING)
    (container,) = one(objects, "Deployment", "shop-staging-champion")["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "settings"}}]
    assert not [each for each in objects if each["kind"] in ("Secret", "ConfigMap")]
    assert "hunter2" not in yaml.safe_dump(objects)


def test_files_are_the_same_each_time_and_need_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.delenv("MODEL_CI_KUBECONFIG", raising=False)
    target = Place(tmp_path, namespace="ml").target(gateway="edge/main")
    assert isinstance(target, Renders)
    files = target.render(wanted("one", "two", 10))
    assert list(files.items()) == list(target.render(wanted("one", "two", 10)).items())
    listed = yaml.safe_load(files["kustomization.yaml"])["resources"]
    assert listed == sorted(set(files) - {"kustomization.yaml"})
    assert "httproute-shop-staging.yaml" in listed
    assert yaml.safe_load(files["deployment-shop-staging-champion.yaml"])["metadata"]["namespace"] == "ml"


def test_a_gateway_shares_by_weight(tmp_path: Path) -> None:
    route = one(rendered(tmp_path, wanted("one", "two", 10), gateway="edge/main", host="shop.example.org"), "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [{"name": "main", "namespace": "edge"}]
    assert [(each["name"], each["weight"]) for each in route["spec"]["rules"][0]["backendRefs"]] == [
        ("shop-staging-champion", 90), ("shop-staging-challenger", 10)
    ]  # fmt: skip


def test_nginx_takes_the_challengers_share_off(tmp_path: Path) -> None:
    objects = rendered(tmp_path, wanted("one", "two", 10), host="shop.example.org")
    canary = one(objects, "Ingress", "shop-staging-challenger")
    assert canary["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "10"
    }  # fmt: skip
    assert "annotations" not in one(objects, "Ingress")["metadata"]
    old = manifests(tmp_path, {**OLD, "networking.k8s.io": ("v1beta1",)}, host="shop.example.org")
    ingress = one(old.all(wanted("one")), "Ingress")
    assert ingress["apiVersion"] == "networking.k8s.io/v1beta1"
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"] == {
        "serviceName": "shop-staging-champion",
        "servicePort": 80,
    }


def test_by_replicas_the_service_is_for_those_that_have_a_weight(tmp_path: Path) -> None:
    def chosen(deployment: Deployment) -> str | None:
        selector = one(rendered(tmp_path, deployment), "Service")["spec"]["selector"]
        return selector.get("app.kubernetes.io/component")  # type: ignore[no-any-return]

    assert chosen(wanted("one")) == CHAMPION
    assert chosen(wanted("one", "two", 0)) == CHAMPION
    assert chosen(wanted("one", "two", 20)) is None
    assert chosen(wanted("one", "two", 100)) == CHALLENGER


@pytest.mark.parametrize(
    ("offer", "scaler", "budget"),
    [(OLD, "autoscaling/v2beta2", "policy/v1beta1"), ({"autoscaling": ("v1",), "policy": ("v1", "v1beta1")}, "autoscaling/v1", "policy/v1"),
     ({"autoscaling": ("v1", "v2"), "policy": ("v1",)}, "autoscaling/v2", "policy/v1")],
)  # fmt: skip
def test_versions_are_those_that_the_cluster_offers(tmp_path: Path, offer: Any, scaler: str, budget: str) -> None:
    objects = manifests(tmp_path, offer, autoscaling={"max_replicas": 6, "cpu_percent": 55}).all(wanted("one"))
    found = one(objects, "HorizontalPodAutoscaler", "shop-staging-champion")
    assert found["apiVersion"] == scaler
    assert one(objects, "PodDisruptionBudget", "shop-staging-champion")["apiVersion"] == budget
    if scaler == "autoscaling/v1":
        assert found["spec"]["targetCPUUtilizationPercentage"] == 55
    else:
        assert found["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 55}


def test_requests_a_second_count_where_the_cluster_measures_them(tmp_path: Path) -> None:
    scaling = {"autoscaling": {"max_replicas": 6, "requests_per_second": 12.5}}
    measured = {**OLD, "custom.metrics.k8s.io": ("v1beta1",)}

    def kinds(offer: Any) -> list[str]:
        objects = manifests(tmp_path, offer, **scaling).all(wanted("one"))
        return [
            each["type"] for each in one(objects, "HorizontalPodAutoscaler", "shop-staging-champion")["spec"]["metrics"]
        ]

    assert kinds(OLD) == ["Resource"]
    assert kinds(measured) == ["Resource", "Pods"]
    pods = one(
        manifests(tmp_path, measured, **scaling).all(wanted("one")), "HorizontalPodAutoscaler", "shop-staging-champion"
    )
    assert pods["spec"]["metrics"][1]["pods"]["target"]["averageValue"] == "12500m"


def test_a_rollout_does_not_take_back_what_load_asked_for(tmp_path: Path) -> None:
    scaled = manifests(tmp_path, OLD, autoscaling={"max_replicas": 6})

    def pods(live: Mapping[str, int] | None) -> int | None:
        return one(scaled.all(wanted("one"), live), "Deployment", "shop-staging-champion")["spec"].get("replicas")  # type: ignore[no-any-return]

    assert [pods(live) for live in (None, {}, {CHAMPION: 4}, {CHAMPION: 9}, {CHAMPION: 1})] == [None, 2, 4, 6, 2]
    both = scaled.all(wanted("one", "two", 25), {CHAMPION: 6})
    assert not [each for each in both if each["kind"] == "HorizontalPodAutoscaler"], "the numbers are the weights"


def test_kserve_gets_one_service_whose_newest_revision_has_the_challengers_share(tmp_path: Path) -> None:
    (service,) = rendered(tmp_path, wanted("one", "two", 10), output="kserve", **EVERYTHING)
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = service["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 10
    (container,) = predictor["containers"]
    assert (container["name"], container["image"]) == ("kserve-container", "model-ci-test/deploy:two")
    assert container["securityContext"]["runAsUser"] == 10001
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 6)
    (alone,) = rendered(tmp_path, wanted("one"), output="kserve")
    assert "canaryTrafficPercent" not in alone["spec"]["predictor"]


@given(weight=st.integers(1, 99), replicas=st.integers(1, 4), most=st.integers(2, 40))
def test_numbers_of_pods_are_as_near_to_the_weights_as_can_be(weight: int, replicas: int, most: int) -> None:
    pods = counts(wanted("one", "two", weight, replicas), most)
    total, few = sum(pods.values()), 2 * replicas
    assert all(pods.values())
    assert few <= total <= max(few, most)
    off = abs(pods[CHALLENGER] / total - weight / 100)
    best = min(abs(n / t - weight / 100) for t in range(few, max(few, most) + 1) for n in range(1, t))
    assert off == pytest.approx(best)
    assert sum(shares(pods).values()) == 100


def test_weights_that_come_out_exactly_take_no_more_pods_than_that() -> None:
    assert counts(wanted("one", "two", 25, 1), 10) == {CHAMPION: 3, CHALLENGER: 1}
    assert counts(wanted("one", "two", 10, 1), 10) == {CHAMPION: 9, CHALLENGER: 1}
    assert counts(wanted("one", "two", 0, 3), 10) == {CHAMPION: 3, CHALLENGER: 3}


@given(
    model=st.text("abcXYZ0-_. /é", min_size=1, max_size=80),
    environment=st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True),
)
def test_names_are_ones_that_kubernetes_and_sagemaker_take(model: str, environment: str) -> None:
    made = names.service(model, environment)
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", made), made
    assert "--" not in made


def test_different_models_have_different_names() -> None:
    assert names.service("shop", "staging") == "shop-staging"
    made = {
        names.service(model, "staging") for model in ("shop", "Shop", "s hop", "s_hop", "s-hop", "x" * 60, "x" * 61)
    }
    assert len(made) == 7


LIVE: dict[str, Any] = {
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {
        "name": "a", "namespace": "ml", "labels": {"mine": "1", "theirs": "2"}, "resourceVersion": "7",
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {
                "manager": "model-ci", "operation": "Apply", "apiVersion": "apps/v1",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:mine": {}}},
                    "f:spec": {
                        "f:replicas": {},
                        "f:containers": {'k:{"name":"model"}': {".": {}, "f:name": {}, "f:args": {}}},
                        "f:finalizers": {'v:"x"': {}},
                    },
                },
            },
        ],
    },
    "spec": {
        "replicas": 3, "paused": True, "finalizers": ["x", "y"],
        "containers": [{"name": "model", "args": ["a", "b"], "image": "theirs"}, {"name": "sidecar"}],
    },
    "status": {"replicas": 3},
}  # fmt: skip


def test_what_was_applied_is_read_from_who_manages_which_field() -> None:
    assert applied(LIVE) == {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "ml", "labels": {"mine": "1"}},
        "spec": {"replicas": 3, "finalizers": ["x"], "containers": [{"name": "model", "args": ["a", "b"]}]},
    }  # fmt: skip


def test_differences_are_told_by_their_fields() -> None:
    then = {"spec": {"replicas": 4, "containers": [{"image": "new"}]}}
    assert list(differences({"spec": {"replicas": 3, "paused": True, "containers": [{"image": "old"}]}}, then)) == [
        'spec.containers[0].image: "old" -> "new"', "spec.paused: true -> nothing", "spec.replicas: 3 -> 4"
    ]  # fmt: skip


def test_a_new_weight_starts_no_new_pods(tmp_path: Path) -> None:
    def template(weight: int) -> Any:
        objects = rendered(tmp_path, wanted("one", "two", weight), gateway="main")
        return one(objects, "Deployment", "shop-staging-challenger")["spec"]["template"]

    assert template(10) == template(50)
    assert variant("one").digest in yaml.safe_dump(rendered(tmp_path, wanted("one")))
