"""The only caller of the Kubernetes API: objects by server-side apply, errors as what to do about them."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from model_ci import web
from model_ci.errors import ConfigError, ServiceError
from model_ci.targets.deployment import Answer
from model_ci.targets.kubernetes.names import MANAGER
from model_ci.targets.kubernetes.offer import Offer
from model_ci.types import Document

Manifest = Document
PLURALS: Final = {
    "Deployment": "deployments", "Service": "services", "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "PodDisruptionBudget": "poddisruptionbudgets", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses",
    "HTTPRoute": "httproutes", "InferenceService": "inferenceservices", "Pod": "pods", "Lease": "leases",
}  # fmt: skip
_TRIES: Final = 4
_REPEATABLE: Final = ("GET", "PATCH", "DELETE")
_TIMEOUT_S: Final = (10.0, 60.0)
_APPLY: Final = "application/apply-patch+yaml"


class ApiError(ServiceError):
    """The API server said no, by an HTTP status; 0 when it could not be asked."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


class Cluster:
    """A namespace of a cluster."""

    def __init__(self, context: str | None, namespace: str) -> None:
        self.context, self.namespace = context, namespace

    @cached_property
    def client(self) -> Any:
        """The connection of MODEL_CI_KUBECONFIG, of KUBECONFIG, or of the pod that the process runs in."""
        from kubernetes import config
        from kubernetes.config.config_exception import ConfigException

        file = os.environ.get("MODEL_CI_KUBECONFIG") or None
        inside = not file and not self.context and "KUBECONFIG" not in os.environ
        try:
            if inside and "KUBERNETES_SERVICE_HOST" in os.environ:
                return _inside()
            return config.new_client_from_config(file, self.context, persist_config=False)
        except ConfigException as error:
            raise ConfigError(f"kubernetes: {_context_problem(file, self.context, error)}") from None

    @cached_property
    def offer(self) -> Offer:
        """What the cluster offers."""
        groups = self.ask("GET", "/apis")
        return Offer(groups={g["name"]: [v["version"] for v in g["versions"]] for g in groups["groups"]})

    def find(self, version: str, kind: str, selector: str) -> list[Manifest]:
        """Return the objects of a kind that have these labels; none when the cluster has no such kind."""
        try:
            listed = self.ask("GET", self._path(version, kind), query=[("labelSelector", selector)])
        except ApiError as error:
            if error.status == 404:
                return []
            raise
        return [{"apiVersion": version, "kind": kind, **each} for each in listed["items"]]

    def get(self, version: str, kind: str, name: str) -> Manifest | None:
        """Return an object, None when it is not there."""
        try:
            return self.ask("GET", self._path(version, kind, name))  # type: ignore[no-any-return]
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Make the object say this, whoever else wrote to it, and return what it says then."""
        query = [("fieldManager", MANAGER), ("force", "true"), *([("dryRun", "All")] if dry_run else [])]
        path = self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
        return self.ask("PATCH", path, manifest, query, _APPLY)  # type: ignore[no-any-return]

    def create(self, manifest: Manifest) -> Manifest:
        """Make an object that is not there; ApiError 409 when it is."""
        path = self._path(manifest["apiVersion"], manifest["kind"])
        return self.ask("POST", path, manifest, [("fieldManager", MANAGER)])  # type: ignore[no-any-return]

    def replace(self, manifest: Manifest) -> Manifest:
        """Put an object in the place of the version that it carries; ApiError 409 when that is not the newest."""
        path = self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
        return self.ask("PUT", path, manifest, [("fieldManager", MANAGER)])  # type: ignore[no-any-return]

    def delete(self, manifest: Manifest, *, grace_s: int | None = None, version: str | None = None) -> None:
        """Delete an object and what belongs to it; one that is gone is no error."""
        path = self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
        body: Manifest = {"propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        if version is not None:
            body["preconditions"] = {"resourceVersion": version}
        try:
            self.ask("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    def log(self, pod: str, lines: int) -> str:
        """Return the end of what a pod printed; of the run before this one when this one printed nothing."""
        for previous in ("false", "true"):
            query = [("tailLines", str(lines)), ("previous", previous)]
            try:
                status, body = self._send("GET", f"{self._path('v1', 'Pod', pod)}/log", None, query, None)
            except ApiError:
                continue
            if status == 200 and body.strip():
                return body.decode(errors="replace")
        return ""

    def file(self, pod: str, container: str, path: str) -> bytes | None:
        """Return a file of a running container, None when it has none there."""
        from kubernetes import client
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import stream

        ask = client.CoreV1Api(self.client).connect_get_namespaced_pod_exec
        query = {"container": container, "command": ["cat", path], "stdout": True, "stderr": False}
        try:
            opened = stream(ask, pod, self.namespace, stdin=False, tty=False, _preload_content=False, **query)
            opened.run_forever(timeout=_TIMEOUT_S[1])
            code, content = opened.returncode, opened.read_all()  # reading forgets the code
            opened.close()
        except ApiException as error:
            why = f"kubernetes: reading {path} of pod {pod}: {error.reason}"
            raise ApiError(f"{why}; {_advice(error.status or 0, self.namespace)}", error.status or 0) from None
        return content.encode() if code == 0 else None

    def proxied(self, pod: str, port: int, path: str, body: bytes | None) -> Answer:
        """Send a request to a pod through the API server; status 0 when it does not answer."""
        begin = time.perf_counter()
        there = f"{self._path('v1', 'Pod', f'{pod}:{port}')}/proxy{path}"
        method = "GET" if body is None else "POST"
        status, content = self._send(method, there, body, [], "application/json; charset=utf-8")
        if status in (401, 403) and b'"kind":"Status"' in content.replace(b" ", b""):
            raise self._refused(method, there, status, content)
        return Answer(status=status, body=content, seconds=time.perf_counter() - begin)

    def ask(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        query: Sequence[tuple[str, str]] = (),
        kind: str = "application/json",
    ) -> Any:
        """Send a request and return the answer's JSON; raise ApiError. What can be repeated is, while the server is busy."""
        sent = json.dumps(body).encode() if body is not None else None
        status, content = self._send(method, path, sent, query, kind, tries=_TRIES)
        if not 200 <= status < 300:
            raise self._refused(method, path, status, content)
        return json.loads(content) if content else {}

    def _send(  # noqa: PLR0913, PLR0917 - a request, and how often
        self, method: str, path: str, body: bytes | None, query: Sequence[tuple[str, str]], kind: str | None,
        tries: int = 1,
    ) -> tuple[int, bytes]:  # fmt: skip
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        from model_ci.web.patience import Patience, why

        headers = {"Accept": "application/json, */*"} | ({"Content-Type": kind} if kind else {})
        try:
            asked = self.client.param_serialize(
                method, path, query_params=list(query), header_params=headers, auth_settings=["BearerToken"]
            )
            # The client would write JSON anew and take other content types for mistakes; bytes it sends as they are.
            answer = self.client.rest_client.pool_manager.request(
                method,
                asked[1],
                body=body,
                headers=asked[2],
                timeout=_timeout(),
                redirect=False,
                retries=Patience(total=tries - 1, wait=web.sleep, allowed_methods=_REPEATABLE),
            )
        except (HTTPError, ApiException, OSError) as error:
            host = self.client.configuration.host
            raise ApiError(
                f"kubernetes: {host} cannot be reached: {why(error)}; "
                "see that the cluster is up, that KUBECONFIG names it, and that this machine can reach it",
                0,
            ) from None
        return answer.status, answer.data

    def _refused(self, method: str, path: str, status: int, content: bytes) -> ApiError:
        try:
            why = json.loads(content)["message"]
        except (ValueError, KeyError, TypeError):
            why = content.decode(errors="replace").strip()[:300] or f"status {status}"
        return ApiError(f"kubernetes: {method} {path}: {why}; {_advice(status, self.namespace)}", status)

    def _path(self, version: str, kind: str, name: str | None = None) -> str:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        listed = f"{root}/namespaces/{self.namespace}/{PLURALS[kind]}"
        return f"{listed}/{name}" if name else listed


def _inside() -> Any:
    from kubernetes import client, config

    config.load_incluster_config(settings := client.Configuration())
    return client.ApiClient(settings)


def _timeout() -> Any:
    from urllib3 import Timeout

    return Timeout(connect=_TIMEOUT_S[0], read=_TIMEOUT_S[1])


def _context_problem(file: str | None, context: str | None, error: Exception) -> str:
    """Say what is wrong with the kubeconfig, and which contexts there are."""
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    try:
        there = [each["name"] for each in config.list_kube_config_contexts(file)[0]]
    except (ConfigException, TypeError, KeyError):
        return f"{error}; name a kubeconfig by KUBECONFIG, in CI from a protected file variable"
    if context and context not in there:
        return f"no context {context!r} in the kubeconfig; there are {', '.join(there)}"
    return f"{error}; mend the kubeconfig"


def _advice(status: int, namespace: str) -> str:
    match status:
        case 401:
            return "the credentials are no good or too old: get new ones and run this again"
        case 403:
            return f"give the account the role of docs/kubernetes.md in namespace {namespace}"
        case 404:
            return f"see that namespace {namespace} is there (`kubectl create namespace {namespace}`) and that the cluster has this kind"
        case 409:
            return "somebody else changed it in the meantime: run this again"
        case 422 | 400:
            return "the cluster does not take it: change the setting that it names"
    return "run this again later, or see the API server's log"


def values(manifest: Document, *path: str) -> Any:
    """Return what stands at a path of an object, None when nothing does."""
    value: Any = manifest
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
