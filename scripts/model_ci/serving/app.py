"""The application: which route takes what, and that every request gets an answer."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from model_ci.serving import body, explain, inference, invocations
from model_ci.serving.exchange import Answer, DisconnectedError, Headers, Message, Receive, Request, Send, read_body
from model_ci.serving.explain import Explainer
from model_ci.serving.log import Entry, PredictionLog
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Refusal
from model_ci.serving.service import Service
from model_ci.serving.signature import Rows

_LARGE: Final = 32 * 1024  # bytes of a body that would hold up the others; it is worked on beside them
TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
UNKNOWN: Final = "unknown"  # the label of requests to routes that there are not

Work = Callable[[bytes], "Done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A body that was worked on: the answer, and what of it is counted and logged."""

    body: bytes
    rows: Rows
    answers: Predictions | None = None
    model_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a path takes: a body that is worked on, or a question that is answered at once."""

    name: str
    method: str
    work: Work | None = None
    tell: "Callable[[], Answer] | None" = None
    aside: bool = False  # worked on beside all others, because it takes long


class App:
    """The service as an ASGI application."""

    def __init__(self, service: Service, log: PredictionLog | None = None) -> None:
        self.service = service
        self.log = log
        self._routes = self._make_routes()
        self._limit = int(service.settings.max_body_mb * 2**20)
        self._pool = ThreadPoolExecutor(1, "rows")
        self._slow = ThreadPoolExecutor(1, "explain")
        self._explainer = Explainer(service)
        self._ids, self._prefix = count(1), os.urandom(8).hex()
        self._headers: Headers = [
            (b"x-model-variant", service.settings.variant.encode()),
            (b"x-model-version", service.manifest.version.encode()),
        ]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begin = time.perf_counter()
        request = Request(scope, f"{self._prefix}-{next(self._ids):x}")
        route: Route | None = None
        try:
            route = self._route(request)
            answer = await self._answer(route, request, receive, begin)
        except DisconnectedError:
            return
        except Refusal as refusal:
            answer = self._refused(refusal)
        except Exception:  # noqa: BLE001 - one request's bug is not the others'
            traceback.print_exc(file=sys.stderr)
            self.service.metrics.errors["internal"] += 1
            answer = Answer(status=500, body=body.write({"error": "the service failed; its log says why"}))
        await self._send(send, request, answer)
        metrics, name = self.service.metrics, route.name if route else UNKNOWN
        metrics.requests[name, answer.status] += 1
        metrics.request_seconds[name].observe(time.perf_counter() - begin)

    def _route(self, request: Request) -> Route:
        by_method = self._routes.get(request.path)
        if by_method is None:
            raise Refusal(404, "route", f"there is no {request.path[:100]}; /openapi.json tells what there is")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in by_method:
            allowed = ", ".join(sorted({*by_method, *({"HEAD"} if "GET" in by_method else ())}))
            refusal = Refusal(405, "method", f"{request.path} takes {allowed}. Got {request.method}.")
            refusal.headers = [(b"allow", allowed.encode())]
            raise refusal
        return by_method[method]

    async def _answer(self, route: Route, request: Request, receive: Receive, begin: float) -> Answer:
        if route.tell:
            return route.tell()
        request.require_json()
        sent = await read_body(request, receive, self._limit)
        if route.work is None:
            raise RuntimeError(f"{route.name} neither tells nor works")
        if route.aside:
            self._explainer.require()
            with self._explainer:
                return Answer(status=200, body=(await self._beside(self._slow, route.work, sent)).body)
        if len(sent) > _LARGE:
            done = await self._beside(self._pool, route.work, sent)
        else:
            done = route.work(sent)
        if done.answers is not None:
            self._note(done, done.answers, route, request, begin)
        return Answer(status=200, body=done.body)

    @staticmethod
    async def _beside(pool: ThreadPoolExecutor, work: Work, sent: bytes) -> Done:
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(pool, work, sent)

    def _note(self, done: Done, answers: Predictions, route: Route, request: Request, begin: float) -> None:
        metrics = self.service.metrics
        metrics.model_seconds.observe(done.model_s)
        metrics.batch_rows.observe(done.rows.count)
        if self.log is not None:
            now = time.time()
            self.log.add(
                Entry(
                    time=now, request_id=request.id, user=request.user, route=route.name, rows=done.rows,
                    answers=answers, duration_s=time.perf_counter() - begin,
                )
            )  # fmt: skip

    def _refused(self, refusal: Refusal) -> Answer:
        self.service.metrics.errors[refusal.kind] += 1
        return Answer(status=refusal.status, body=body.write(refusal.as_record()), headers=refusal.headers)

    async def _send(self, send: Send, request: Request, answer: Answer) -> None:
        headers = [
            (b"content-type", answer.type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", request.id.encode()),
            *self._headers,
            *answer.headers,
        ]
        if self.service.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    # what the routes do

    def _make_routes(self) -> dict[str, dict[str, Route]]:
        name = self.service.manifest["name"]
        version = self.service.manifest.version
        models = [f"/v2/models/{name}", *([f"/v2/models/{name}/versions/{version}"] if version else [])]
        made = [
            ("/invocations", Route(name="/invocations", method="POST", work=self._invocations)),
            ("/explain", Route(name="/explain", method="POST", work=self._explain, aside=True)),
            *((f"{m}/infer", Route(name="/v2/models/infer", method="POST", work=self._infer)) for m in models),
        ]
        told: list[tuple[str, str, Callable[[], Answer]]] = [
            ("/livez", "/livez", self._live), ("/readyz", "/readyz", self._ready), ("/ping", "/readyz", self._ready),
            ("/health", "/readyz", self._ready), ("/metrics", "/metrics", self._metrics),
            ("/version", "/version", lambda: _json(self.service.described())),
            ("/v2", "/v2", self._server), ("/v2/health/live", "/livez", self._live),
            ("/v2/health/ready", "/readyz", self._ready), ("/openapi.json", "/openapi.json", self._openapi),
            *((m, "/v2/models", self._model) for m in models),
            *((f"{m}/ready", "/v2/models/ready", self._ready) for m in models),
        ]  # fmt: skip
        made += [(path, Route(name=route, method="GET", tell=tell)) for path, route, tell in told]
        return {path: {route.method: route} for path, route in made}

    def _invocations(self, sent: bytes) -> Done:
        rows = invocations.rows(body.read(sent), self.service.signature, self.service.settings.max_rows)
        answers, seconds = self.service.ask(rows)
        said: dict[str, Any] = {"predictions": answers.listed}
        if answers.probabilities is not None:
            said["probabilities"] = answers.probabilities
        return Done(body=body.write(said), rows=rows, answers=answers, model_s=seconds)

    def _infer(self, sent: bytes) -> Done:
        asked = body.read(sent)
        rows = inference.rows(asked, self.service.signature, self.service.settings.max_rows)
        names = inference.wanted(asked, self._outputs())
        answers, seconds = self.service.ask(rows)
        manifest = self.service.manifest
        said: dict[str, Any] = {"model_name": manifest["name"]}
        if manifest.version:
            said["model_version"] = manifest.version
        if isinstance(asked.get("id"), str):
            said["id"] = asked["id"]
        said["outputs"] = inference.answer(answers, names)
        return Done(body=body.write(said), rows=rows, answers=answers, model_s=seconds)

    def _explain(self, sent: bytes) -> Done:
        limit = min(explain.MOST_ROWS, self.service.settings.max_rows)
        rows = invocations.rows(body.read(sent), self.service.signature, limit)
        return Done(body=body.write(self._explainer.explain(rows)), rows=rows)

    def _outputs(self) -> Any:
        manifest = self.service.manifest
        return inference.offered(manifest["task"], probabilities=manifest["probe"]["probabilities"] is not None)

    def _live(self) -> Answer:
        return _json({"live": True})

    def _ready(self) -> Answer:
        if self.service.ready:
            return _json({"ready": True, "name": self.service.manifest["name"]})
        why = "it is shutting down" if self.service.draining else "the model is being loaded"
        return Answer(status=503, body=body.write({"ready": False, "error": why}))

    def _metrics(self) -> Answer:
        if self.log is not None:
            self.service.metrics.log_dropped = self.log.dropped
        return Answer(status=200, body=self.service.metrics.text(), type=TEXT)

    def _server(self) -> Answer:
        from model_ci import __version__

        return _json({"name": "model-ci", "version": __version__, "extensions": []})

    def _model(self) -> Answer:
        manifest = self.service.manifest
        inputs = [
            {"name": c.name, "datatype": inference.DATATYPES[c.type], "shape": [-1]}
            for c in self.service.signature.columns
        ]
        kinds = {"int": "INT64", "float": "FP64", "bool": "BOOL"}
        outputs = [
            {"name": name, "datatype": "FP64", "shape": [-1, len(manifest.classes)]}
            if name == inference.PROBABILITIES
            else {
                "name": name,
                "datatype": kinds.get(type(manifest["probe"]["outputs"][0]).__name__, "BYTES"),
                "shape": [-1],
            }
            for name in self._outputs()
        ]
        platform = "onnxruntime_onnx" if manifest["engine"] == "onnx" else "sklearn"
        versions = [manifest.version] if manifest.version else []
        return _json(
            {"name": manifest["name"], "versions": versions, "platform": platform, "inputs": inputs, "outputs": outputs}
        )

    def _openapi(self) -> Answer:
        from model_ci.serving import openapi

        return _json(openapi.document(self.service, explains=self._explainer.there))


def _json(value: Mapping[str, Any]) -> Answer:
    return Answer(status=200, body=body.write(value))
