"""kmock's emulator of the API server, with what it has not: server-side apply, dry runs, and Deployments that roll out.

It merges and stores what it is sent; it does not validate, default or schedule anything, and no request reaches a pod.
"""

import asyncio
import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp.web
import kmock
import yaml

Manifest = dict[str, Any]
EVERYWHERE = (
    "v1/services", "v1/pods", "apps/v1/deployments", "networking.k8s.io/v1/networkpolicies",
    "networking.k8s.io/v1/ingresses", "coordination.k8s.io/v1/leases",
)  # fmt: skip
TODAY = (*EVERYWHERE, "autoscaling/v2/horizontalpodautoscalers", "policy/v1/poddisruptionbudgets")
OLD = (*EVERYWHERE, "autoscaling/v1/horizontalpodautoscalers", "autoscaling/v2beta2/horizontalpodautoscalers",
       "policy/v1beta1/poddisruptionbudgets")  # fmt: skip
GATEWAY = "gateway.networking.k8s.io/v1/httproutes"
KSERVE = "serving.kserve.io/v1beta1/inferenceservices"
METRICS = "custom.metrics.k8s.io/v1beta2/pods"


class Emulator(kmock.KubernetesEmulator):
    """An API server without controllers, but for the one that says that every Deployment is rolled out."""

    statuses: dict[str, Manifest]  # of the kinds that a controller would have looked at
    refusals: dict[str, tuple[int, str]]  # status and message by the method that is refused

    def of(self, kind: str) -> dict[str, Manifest]:
        """Return the objects of a kind by name."""
        there = (each.raw for each in self.objects.values() if not each.deleted)
        return {each["metadata"]["name"]: copy.deepcopy(each) for each in there if each.get("kind") == kind}

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        if refusal := self.refusals.get(request.method.value):
            return aiohttp.web.json_response({"kind": "Status", "message": refusal[1]}, status=refusal[0])
        if request.method.value != "PATCH":
            return await super()._handle(request)
        key = (request.resource, request.namespace, request.name)
        async with self._lock:
            there = self._objects[key] if key in self._objects else None  # noqa: SIM401 - it has no get
            former = there.raw if there is not None and not there.deleted else None
            made = _rolled_out(_applied(request.data, former))
            if made["kind"] in self.statuses:
                made["status"] = self.statuses[made["kind"]]
            if "dryRun" not in request.params:
                self._objects[key] = made
        return aiohttp.web.json_response(made)


def _applied(sent: Manifest, former: Manifest | None) -> Manifest:
    generation = (former["metadata"].get("generation", 1) if former else 0) + (
        former is None or former.get("spec") != sent["spec"]
    )
    return {**sent, "metadata": {**sent["metadata"], "generation": generation}}


def _rolled_out(made: Manifest) -> Manifest:
    if made["kind"] == "Deployment":
        many = made["spec"].get("replicas", 1)
        numbers = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), many)
        made["status"] = {"observedGeneration": made["metadata"]["generation"], **numbers}
    return made


@contextmanager
def served(kinds: Sequence[str], kubeconfig: Path) -> Iterator[Emulator]:
    """Serve an emulator that has these kinds, and write a kubeconfig for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    async def begin() -> tuple[Emulator, kmock.Server]:
        emulator = Emulator()
        emulator.statuses, emulator.refusals = {}, {}
        for kind in kinds:
            group, _, rest = kind.rpartition("/")[0].rpartition("/")
            emulator.resources[kmock.resource(group, rest, kind.rpartition("/")[2])] = {}
        await emulator.__aenter__()
        return emulator, await kmock.Server(emulator).__aenter__()

    emulator, server = wait(begin())
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{server.port}")))
    try:
        yield emulator
    finally:
        wait(server.__aexit__(None, None, None))
        wait(emulator.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _kubeconfig(address: str) -> Mapping[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
