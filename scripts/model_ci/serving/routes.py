"""Which path takes what: a question that is answered at once, rows to predict, or rows to explain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_ci.serving import body, explain, inference, invocations
from model_ci.serving.exchange import Request, Response
from model_ci.serving.explain import Explainer
from model_ci.serving.log import PredictionLog
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Refusal
from model_ci.serving.service import Service
from model_ci.serving.signature import Rows
from model_ci.serving.types import Document, Record, Value

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The rows of a request, and how their predictions are written down for who asks."""

    rows: Rows
    write: Callable[[Predictions], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a path takes; exactly one of the last three is there."""

    name: str
    tell: Callable[[], Response] | None = None
    predict: Callable[[bytes], Question] | None = None
    explain: Callable[[bytes], bytes] | None = None

    @property
    def method(self) -> str:
        """How it is asked."""
        return "GET" if self.tell else "POST"


class Routes:
    """Every path of a service."""

    def __init__(self, service: Service, log: PredictionLog | None, explainer: Explainer) -> None:
        self._service = service
        self._log = log
        self._explainer = explainer
        self._paths = self._made()

    def find(self, request: Request) -> Route:
        """Return what a request asks; raise Refusal 404 for a path that there is not, 405 for another method."""
        route = self._paths.get(request.path)
        if route is None:
            raise Refusal(404, "route", f"there is no {request.path[:100]}; /openapi.json tells what there is")
        if request.method not in (route.method, "HEAD" if route.tell else route.method):
            allowed = "GET, HEAD" if route.tell else "POST"
            refusal = Refusal(405, "method", f"{request.path} takes {allowed}. Got {request.method}.")
            refusal.headers = [(b"allow", allowed.encode())]
            raise refusal
        return route

    def _made(self) -> dict[str, Route]:
        name, version = self._service.manifest["name"], self._service.manifest.version
        models = [f"/v2/models/{name}", *([f"/v2/models/{name}/versions/{version}"] if version else [])]
        live, ready = Route(name="/livez", tell=self._live), Route(name="/readyz", tell=self._ready)
        return {
            "/invocations": Route(name="/invocations", predict=self._invocations),
            "/explain": Route(name="/explain", explain=self._explain),
            "/livez": live, "/v2/health/live": live,
            "/readyz": ready, "/ping": ready, "/health": ready, "/v2/health/ready": ready,
            "/metrics": Route(name="/metrics", tell=self._metrics),
            "/version": Route(name="/version", tell=self._version),
            "/openapi.json": Route(name="/openapi.json", tell=self._openapi),
            "/v2": Route(name="/v2", tell=self._server),
            **{model: Route(name="/v2/models", tell=self._model) for model in models},
            **{f"{model}/ready": Route(name="/v2/models/ready", tell=self._ready) for model in models},
            **{f"{model}/infer": Route(name="/v2/models/infer", predict=self._infer) for model in models},
        }  # fmt: skip

    def _invocations(self, sent: bytes) -> Question:
        rows = invocations.rows(body.read(sent), self._service.signature, self._service.settings.max_rows)
        return Question(rows=rows, write=lambda result: body.write(invocations.answer(result)))

    def _infer(self, sent: bytes) -> Question:
        asked = body.read(sent)
        rows = inference.rows(asked, self._service.signature, self._service.settings.max_rows)
        names, manifest = inference.requested(asked, self._outputs()), self._service.manifest
        document: Document = {"model_name": manifest["name"]}
        if manifest.version:
            document["model_version"] = manifest.version
        if isinstance(asked.get("id"), str):
            document["id"] = asked["id"]
        return Question(
            rows=rows, write=lambda result: body.write({**document, "outputs": inference.answer(result, names)})
        )

    def _explain(self, sent: bytes) -> bytes:
        limit = min(explain.MOST_ROWS, self._service.settings.max_rows)
        rows = invocations.rows(body.read(sent), self._service.signature, limit)
        return body.write(self._explainer.explain(rows))

    def _live(self) -> Response:
        return _json({"live": True})

    def _ready(self) -> Response:
        if self._service.ready:
            return _json({"ready": True, "name": self._service.manifest["name"]})
        why = "it is shutting down" if self._service.draining else "the model is being loaded"
        return Response(status=503, body=body.write({"ready": False, "error": why}))

    def _metrics(self) -> Response:
        if self._log is not None:
            self._service.metrics.log_dropped = self._log.dropped
        return Response(status=200, body=self._service.metrics.text(), type=TEXT)

    def _version(self) -> Response:
        return _json(self._service.described())

    def _openapi(self) -> Response:
        from model_ci.serving import openapi

        return _json(openapi.document(self._service, explains=self._explainer.there))

    def _server(self) -> Response:
        from model_ci import __version__

        return _json({"name": "model-ci", "version": __version__, "extensions": []})

    def _model(self) -> Response:
        manifest = self._service.manifest
        return _json({
            "name": manifest["name"], "versions": [manifest.version] if manifest.version else [],
            "platform": "onnxruntime_onnx" if manifest["engine"] == "onnx" else "sklearn",
            "inputs": inference.inputs(self._service.signature),
            "outputs": inference.outputs(self._outputs(), manifest["probe"]["outputs"][0], len(manifest.classes)),
        })  # fmt: skip

    def _outputs(self) -> Value:
        manifest = self._service.manifest
        return inference.offered(manifest["task"], probabilities=manifest["probe"]["probabilities"] is not None)


def _json(value: Record) -> Response:
    return Response(status=200, body=body.write(value))
