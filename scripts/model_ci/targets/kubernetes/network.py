"""How requests come to the pods: Services, who may send, and what shares the requests between the variants."""

from typing import Final

from model_ci.config import Environment
from model_ci.targets.deployment import CHALLENGER, CHAMPION, Deployment
from model_ci.targets.kubernetes.names import Names
from model_ci.targets.kubernetes.offer import Offer
from model_ci.targets.kubernetes.pod import PORT
from model_ci.types import Document

GATEWAY: Final = "gateway"
NGINX: Final = "nginx"
REPLICAS: Final = "replicas"
CANARY_WEIGHT: Final = "nginx.ingress.kubernetes.io/canary-weight"
_CANARY: Final = "nginx.ingress.kubernetes.io/canary"
_PORT: Final = 80


def routing(settings: Environment) -> str:
    """Return what shares the requests: gateway, nginx or replicas."""
    options = settings.kubernetes
    if options.routing != "auto":
        return options.routing
    return GATEWAY if options.gateway else NGINX if options.host else REPLICAS


def entrance(names: Names, desired: Deployment, settings: Environment) -> Document:
    """Return the Service that callers use; by replicas it is what shares the requests, else it leads to the champion."""
    takers = [variant.name for variant in desired.variants if variant.weight]
    whole = routing(settings) == REPLICAS and len(takers) > 1
    made = _service(names, names.base, None if whole else _first(desired))
    kind, port = settings.kubernetes.service_type, settings.kubernetes.node_port
    made["spec"]["type"] = kind
    if port:
        made["spec"]["ports"][0]["nodePort"] = port
    return made


def _first(desired: Deployment) -> str:
    """Return whom the requests go to where they are not shared."""
    takers = [variant.name for variant in desired.variants if variant.weight]
    return CHAMPION if CHAMPION in takers else takers[0]


def variant_service(names: Names, variant: str) -> Document:
    """Return the Service of one variant."""
    return _service(names, names.variant(variant), variant) | {
        "metadata": names.metadata(names.variant(variant), variant)
    }


def _service(names: Names, name: str, variant: str | None) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(name),
        "spec": {
            "type": "ClusterIP",
            "selector": names.pods(variant),
            "ports": [{"name": "http", "port": _PORT, "targetPort": PORT, "protocol": "TCP"}],
        },
    }


def policy(names: Names, settings: Environment) -> Document:
    """Return the NetworkPolicy: requests may come in at the one port, and nothing may go out."""
    sources = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        for name in settings.kubernetes.allow_from
    ]
    rule: Document = {"ports": [{"port": PORT, "protocol": "TCP"}]} | ({"from": sources} if sources else {})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(names.base),
        "spec": {
            "podSelector": {"matchLabels": names.pods()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [rule],
            "egress": [],
        },
    }


def routes(names: Names, desired: Deployment, settings: Environment, offer: Offer) -> list[Document]:
    """Return what shares the requests by weight; by replicas, that is the Service."""
    match routing(settings):
        case "gateway":
            return [_http_route(names, desired, settings, offer)]
        case "nginx":
            return _ingresses(names, desired, settings, offer)
    return []


def _http_route(names: Names, desired: Deployment, settings: Environment, offer: Offer) -> Document:
    namespace, _, gateway = (settings.kubernetes.gateway or "").rpartition("/")
    parent = {"name": gateway} | ({"namespace": namespace} if namespace else {})
    host = settings.kubernetes.host
    backends = [
        {"kind": "Service", "name": names.variant(variant.name), "port": _PORT, "weight": variant.weight}
        for variant in desired.variants
    ]
    return {
        "apiVersion": offer.version("gateway.networking.k8s.io") or "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": names.metadata(names.base),
        "spec": {"parentRefs": [parent]}
        | ({"hostnames": [host]} if host else {})
        | {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}]},
    }


def _ingresses(names: Names, desired: Deployment, settings: Environment, offer: Offer) -> list[Document]:
    """Return the Ingress of the champion, and the one that takes the challenger's share off it."""
    first = _first(desired)
    made = [_ingress(names, names.base, first, settings, offer, {})]
    second = desired.variant(CHALLENGER)
    if second and second.name != first:
        marks = {_CANARY: "true", CANARY_WEIGHT: str(second.weight)}
        made.append(_ingress(names, names.variant(second.name), second.name, settings, offer, marks))
    return made


def _ingress(  # noqa: PLR0913, PLR0917 - one argument a part of it
    names: Names, name: str, variant: str, settings: Environment, offer: Offer, marks: dict[str, str]
) -> Document:
    version = offer.version("networking.k8s.io") or "networking.k8s.io/v1"
    to = names.variant(variant)
    backend: Document = {"service": {"name": to, "port": {"number": _PORT}}}
    if version.endswith("v1beta1"):
        backend = {"serviceName": to, "servicePort": _PORT}
    return {
        "apiVersion": version,
        "kind": "Ingress",
        "metadata": names.metadata(name, variant, **marks),
        "spec": {
            "ingressClassName": settings.kubernetes.ingress_class,
            "rules": [
                {
                    "host": settings.kubernetes.host,
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                }
            ],
        },
    }
