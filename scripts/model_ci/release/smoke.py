"""The smoke test: rows whose predictions are known are sent to a service, and its answers compared."""

import json
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from model_ci import web
from model_ci.config import Smoke
from model_ci.errors import ConfigError, ServiceError
from model_ci.serving.comparison import Answers
from model_ci.serving.probe import Probe
from model_ci.targets.deployment import Answer, Ask, RolloutError, Trial, Variant
from model_ci.types import Document

_PATIENCE: Final = 5  # times as many requests as the weight lets expect


def read(manifest: bytes, where: str) -> Probe:
    """Read the probe of a manifest; raise ConfigError when it has no rows to probe with."""
    try:
        values = json.loads(manifest)
    except ValueError:
        values = {}
    try:
        return Probe.read(values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}; build the image again") from None


@dataclass(kw_only=True)
class SmokeResult:
    """What a smoke test saw."""

    requests: int = 0
    compared: int = 0  # answers of the variant in question
    difference: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def add(self, probe: Probe, part: slice, answer: Answer, variant: Variant, settings: Smoke) -> None:
        """Compare an answer of the variant; raise RolloutError when it is not the expected one."""
        _require(answer, "/invocations")
        try:
            compared = probe.compare(Answers.read(answer.body), part, settings.tolerance)
        except ValueError as error:
            raise RolloutError(f"smoke test: {variant.name} sent {error}") from None
        if compared.problem:
            raise RolloutError(f"smoke test: {variant.name} answers otherwise than the model: {compared.problem}")
        self.difference = max(self.difference, compared.max_abs_difference or 0.0)
        self.compared += 1
        self.seconds.append(answer.seconds)

    def as_record(self) -> Document:
        """Return it as JSON."""
        ordered = sorted(self.seconds)
        at = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)] if ordered else None
        return {
            "requests": self.requests,
            "compared": self.compared,
            "max_difference": self.difference,
            "latency_ms_p50": round(statistics.median(ordered) * 1000, 3) if ordered else None,
            "latency_ms_p95": round(at * 1000, 3) if at is not None else None,
        }


def trial(probes: Mapping[str, Probe], settings: Smoke) -> Trial:
    """Return what tries a variant, by its digest, before it gets any traffic; a digest without probe is not compared."""

    def try_out(variant: Variant, ask: Ask) -> None:
        if probe := probes.get(variant.digest):
            seen = SmokeResult()
            for part, body in probe.requests():
                seen.add(probe, part, ask("/invocations", body), variant, settings)

    return try_out


def through(ask: Ask, variant: Variant, probe: Probe | None, settings: Smoke) -> SmokeResult:
    """Ask the service where its users ask it, until the variant has answered often enough.

    Raises RolloutError for an answer that is none, is another than is known, or comes too late.
    """
    result = SmokeResult()
    most = math.ceil(settings.requests * _PATIENCE * 100 / max(variant.weight, 1))
    if probe is None:
        require_ready(ask)
        return result
    for part, body in cycle(probe.requests()):
        answer = ask("/invocations", body)
        result.requests += 1
        if answer.variant in (None, variant.name):
            result.add(probe, part, answer, variant, settings)
        else:
            _require(answer, "/invocations")
        if (
            result.compared >= settings.requests
            or result.requests >= most
            or (not variant.weight and result.requests > 1)
        ):
            break
    if variant.weight and not result.compared:
        raise RolloutError(f"smoke test: none of {result.requests} requests was answered by {variant.name}")
    slow = statistics.median(result.seconds) * 1000 if result.seconds else 0.0
    if settings.max_latency_ms is not None and slow > settings.max_latency_ms:
        raise RolloutError(
            f"smoke test: the median answer took {slow:.1f} ms; {settings.max_latency_ms:g} ms are allowed"
        )
    return result


def over_http(address: str, timeout_s: float) -> Ask:
    """Return what asks the service at its address."""
    client = web.Client(tries=1, timeout_s=timeout_s)
    headers = {"Content-Type": "application/json", "Connection": "close"}  # a connection may stay with one replica

    def ask(path: str, body: bytes | None) -> Answer:
        begin = time.perf_counter()
        try:
            reply = client.ask("GET" if body is None else "POST", f"{address}{path}", headers, body)
        except ServiceError as error:
            raise RolloutError(f"smoke test: {address}{path} does not answer: {error}") from None
        variant = reply.headers.get("x-model-variant") if reply.status < 400 else None
        return Answer(status=reply.status, body=reply.body, seconds=time.perf_counter() - begin, variant=variant)

    return ask


def require_ready(ask: Ask) -> None:
    """Raise RolloutError unless the service says that it is ready."""
    _require(ask("/readyz", None), "/readyz")


def _require(answer: Answer, path: str) -> None:
    if answer.status != 200:
        body = answer.body[:200].decode(errors="replace")
        raise RolloutError(f"smoke test: {path} answered {answer.status or 'nothing'}: {body}")
