"""The application: every request gets an answer, and is counted."""

import asyncio
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Final

from model_ci.serving import body
from model_ci.serving.batching import Batching
from model_ci.serving.exchange import DisconnectedError, Headers, Message, Receive, Request, Response, Send, read_body
from model_ci.serving.explain import Explainer
from model_ci.serving.log import LoggedRequest, PredictionLog
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Refusal
from model_ci.serving.routes import Question, Route, Routes
from model_ci.serving.service import Service
from model_ci.serving.signature import Rows

_LARGE: Final = 32 * 1024  # bytes of a body that would hold up the others; it is worked on beside them
UNKNOWN: Final = "unknown"  # the label of requests to routes that there are not


class App:
    """The service as an ASGI application."""

    def __init__(self, service: Service, log: PredictionLog | None = None) -> None:
        self.service = service
        self.log = log
        self._explainer = Explainer(service)
        self._routes = Routes(service, log, self._explainer)
        self._batching = Batching(service)
        self._limit = int(service.settings.max_body_mb * 2**20)
        self._pool = ThreadPoolExecutor(1, "rows")
        self._slow = ThreadPoolExecutor(1, "explain")
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
            route = self._routes.find(request)
            answer = await self._answer(route, request, receive, begin)
        except DisconnectedError:
            return
        except Refusal as refusal:
            answer = self._refused(refusal)
        except Exception:  # noqa: BLE001 - one request's bug is not the others'
            traceback.print_exc(file=sys.stderr)
            self.service.metrics.errors["internal"] += 1
            answer = Response(status=500, body=body.write({"error": "the service failed; its log says why"}))
        await self._send(send, request, answer)
        metrics, name = self.service.metrics, route.name if route else UNKNOWN
        metrics.requests[name, answer.status] += 1
        metrics.request_seconds[name].observe(time.perf_counter() - begin)

    async def _answer(self, route: Route, request: Request, receive: Receive, begin: float) -> Response:
        if route.tell:
            return route.tell()
        request.require_json()
        sent = await read_body(request, receive, self._limit)
        if route.explain:
            return Response(status=200, body=await self._explained(route.explain, sent))
        if not route.predict:
            raise RuntimeError(f"{route.name} neither tells, nor predicts, nor explains")
        if len(sent) > _LARGE:
            rows, answers, written = await self._predicted_beside(route.predict, sent)
        else:
            question = route.predict(sent)
            rows, answers = question.rows, await self._batching.ask(question.rows)
            written = question.write(answers)
        self._note(rows, answers, route, request, begin)
        return Response(status=200, body=written)

    async def _explained(self, explain: Callable[[bytes], bytes], sent: bytes) -> bytes:
        self._explainer.require()
        with self._explainer:
            return await asyncio.get_running_loop().run_in_executor(self._slow, explain, sent)

    async def _predicted_beside(
        self, predict: Callable[[bytes], Question], sent: bytes
    ) -> tuple[Rows, Predictions, bytes]:
        def work() -> tuple[Rows, Predictions, bytes, float]:
            question = predict(sent)
            answers, seconds = self.service.ask(question.rows)
            return question.rows, answers, question.write(answers), seconds

        rows, answers, written, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        self.service.metrics.called(rows.count, seconds)
        return rows, answers, written

    def _note(self, rows: Rows, answers: Predictions, route: Route, request: Request, begin: float) -> None:
        if self.log is not None:
            self.log.add(
                LoggedRequest(
                    time=time.time(), request_id=request.id, user=request.user, route=route.name, rows=rows,
                    answers=answers, duration_s=time.perf_counter() - begin,
                )
            )  # fmt: skip

    def _refused(self, refusal: Refusal) -> Response:
        self.service.metrics.errors[refusal.kind] += 1
        return Response(status=refusal.status, body=body.write(refusal.as_record()), headers=refusal.headers)

    async def _send(self, send: Send, request: Request, answer: Response) -> None:
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
