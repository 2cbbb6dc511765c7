"""The metrics APIs of a cluster, with figures that the test chooses: processors and requests a second of each pod."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from model_ci.targets.kubernetes.api import Cluster

NAME = "model-ci-test-metrics"
GROUPS = {"metrics.k8s.io": "v1beta1", "custom.metrics.k8s.io": "v1beta1"}


class Figures:
    """What every pod is said to use."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.cpu, self.requests = "10m", "1"

    def answer(self, path: str) -> dict[str, Any]:
        asked = urlsplit(path)
        parts = asked.path.strip("/").split("/")
        group = parts[1] if len(parts) > 2 else ""
        if group not in GROUPS:
            return {"kind": "Status", "status": "Success"}
        if len(parts) == 3:
            kinds = {"metrics.k8s.io": ("pods", "PodMetrics"), "custom.metrics.k8s.io": ("pods/any", "MetricValueList")}
            name, kind = kinds[group]
            listed = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
            return {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/v1beta1",
                "resources": [listed],
            }
        selector = parse_qs(asked.query).get("labelSelector", [""])[0]
        pods = Cluster(None, parts[4]).find("v1", "Pod", selector)
        return self._used(pods) if group == "metrics.k8s.io" else self._asked(pods, parts[-1])

    def _used(self, pods: list[dict[str, Any]]) -> dict[str, Any]:
        items = [
            {
                "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "labels": pod["metadata"]["labels"]},
                "timestamp": _now(), "window": "15s",
                "containers": [{"name": each["name"], "usage": {"cpu": self.cpu, "memory": "50Mi"}} for each in pod["spec"]["containers"]],
            }
            for pod in pods
        ]  # fmt: skip
        return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}

    def _asked(self, pods: list[dict[str, Any]], metric: str) -> dict[str, Any]:
        items = [
            {
                "describedObject": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "apiVersion": "/v1"},
                "metricName": metric, "timestamp": _now(), "value": self.requests, "selector": None,
            }
            for pod in pods
        ]  # fmt: skip
        return {
            "kind": "MetricValueList",
            "apiVersion": "custom.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": items,
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def served(cluster: Cluster, host: str, folder: Path) -> Iterator[Figures]:
    """Serve figures at an address of this machine that the cluster reaches, and make them the cluster's metrics."""
    figures = Figures(cluster)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps(figures.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer((host, 0), Handler)
    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        _register(cluster, host, server.server_port)
        yield figures
    finally:
        for group, version in GROUPS.items():
            cluster.ask("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/{version}.{group}", {})
        cluster.ask("DELETE", f"/api/v1/namespaces/kube-system/services/{NAME}", {})
        server.shutdown()
        server.server_close()


def _register(cluster: Cluster, host: str, port: int) -> None:
    there = "/api/v1/namespaces/kube-system"
    service = {"metadata": {"name": NAME}, "spec": {"ports": [{"port": 443, "targetPort": port}]}}
    endpoints = {"metadata": {"name": NAME}, "subsets": [{"addresses": [{"ip": host}], "ports": [{"port": port}]}]}
    cluster.ask("POST", f"{there}/services", {"apiVersion": "v1", "kind": "Service", **service})
    cluster.ask("POST", f"{there}/endpoints", {"apiVersion": "v1", "kind": "Endpoints", **endpoints})
    for group, version in GROUPS.items():
        spec = {
            "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": True, "service": {"name": NAME, "namespace": "kube-system", "port": 443},
        }  # fmt: skip
        made = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
        }
        cluster.ask("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {**made, "spec": spec})


def _certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "metrics.pem"
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file
