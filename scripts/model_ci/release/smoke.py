"""The smoke test: rows whose predictions are known are sent to a service, and its answers compared."""

import http.client
import json
import math
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Final

from model_ci.config import Smoke
from model_ci.errors import ConfigError
from model_ci.targets.deployment import Answer, Ask, RolloutError, Trial, Variant

_ROWS: Final = 8  # of a request
_PATIENCE: Final = 5  # times as many requests as the weight lets expect


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Rows and what the model says of them, from the manifest of its image."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    outputs: Sequence[Any]
    probabilities: Sequence[Sequence[float]] | None
    tolerance: float

    @classmethod
    def read(cls, manifest: bytes, where: str) -> "Probe":
        """Read a manifest; raise ConfigError when it has no rows to probe with."""
        try:
            probe = json.loads(manifest)["probe"]
            read = cls(
                columns=probe["inputs"]["columns"],
                rows=probe["inputs"]["data"],
                outputs=probe["outputs"],
                probabilities=probe.get("probabilities"),
                tolerance=float(probe.get("tolerance") or 0),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{where}: has no probe rows ({error!r}); build the image again") from None
        if not read.rows or len(read.rows) != len(read.outputs):
            raise ConfigError(
                f"{where}: has {len(read.rows)} probe rows and {len(read.outputs)} outputs; build it again"
            )
        return read

    def bodies(self) -> list[tuple[slice, bytes]]:
        """Return requests that together send every row."""
        parts = [slice(i, i + _ROWS) for i in range(0, len(self.rows), _ROWS)]
        return [
            (p, json.dumps({"dataframe_split": {"columns": self.columns, "data": self.rows[p]}}).encode())
            for p in parts
        ]


@dataclass(kw_only=True)
class Findings:
    """What a smoke test saw."""

    requests: int = 0
    compared: int = 0  # answers of the variant in question
    difference: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
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
            once = [(part, body) for part, body in probe.bodies()]
            found = Findings()
            for part, body in once:
                _compare(probe, part, ask("/invocations", body), variant, settings, found)

    return try_out


def through(ask: Ask, variant: Variant, probe: Probe | None, settings: Smoke) -> Findings:
    """Ask the service where its users ask it, until the variant has answered often enough.

    Raises RolloutError for an answer that is none, is another than is known, or comes too late.
    """
    found = Findings()
    most = math.ceil(settings.requests * _PATIENCE * 100 / max(variant.weight, 1))
    if probe is None:
        _require(ask("/readyz", None), "/readyz")
        return found
    for part, body in cycle(probe.bodies()):
        answer = ask("/invocations", body)
        found.requests += 1
        if answer.variant in (None, variant.name):
            _compare(probe, part, answer, variant, settings, found)
        else:
            _require(answer, "/invocations")
        if found.compared >= settings.requests or found.requests >= most or (not variant.weight and found.requests > 1):
            break
    if variant.weight and not found.compared:
        raise RolloutError(f"smoke test: none of {found.requests} requests was answered by {variant.name}")
    slow = statistics.median(found.seconds) * 1000 if found.seconds else 0.0
    if settings.max_latency_ms is not None and slow > settings.max_latency_ms:
        raise RolloutError(
            f"smoke test: the median answer took {slow:.1f} ms; {settings.max_latency_ms:g} ms are allowed"
        )
    return found


def over_http(address: str, timeout_s: float) -> Ask:
    """Return what asks the service at its address."""
    opener = urllib.request.build_opener()

    def ask(path: str, body: bytes | None) -> Answer:
        request = urllib.request.Request(f"{address}{path}", body, {"Content-Type": "application/json"})  # noqa: S310 - http by the schema
        begin = time.perf_counter()
        try:
            with opener.open(request, timeout=timeout_s) as got:
                content, status, variant = got.read(), got.status, got.headers.get("X-Model-Variant")
        except urllib.error.HTTPError as error:
            content, status, variant = error.read(), error.code, None
        except (OSError, http.client.HTTPException) as error:
            raise RolloutError(f"smoke test: {address}{path} does not answer: {error}") from None
        return Answer(status=status, body=content, seconds=time.perf_counter() - begin, variant=variant)

    return ask


def _require(answer: Answer, path: str) -> None:
    if answer.status != 200:
        said = answer.body[:200].decode(errors="replace")
        raise RolloutError(f"smoke test: {path} answered {answer.status or 'nothing'}: {said}")


def _compare(  # noqa: PLR0913, PLR0917 - what is compared, with what, and where it is noted
    probe: Probe, part: slice, answer: Answer, variant: Variant, settings: Smoke, found: Findings
) -> None:
    _require(answer, "/invocations")
    try:
        said = json.loads(answer.body)
        predictions, probabilities = list(said["predictions"]), said.get("probabilities")
    except (ValueError, KeyError, TypeError):
        raise RolloutError(
            f"smoke test: {variant.name} answered {answer.body[:200]!r}, which are no predictions"
        ) from None
    expected = list(probe.outputs[part])
    pairs = list(zip(predictions, expected, strict=False))
    if len(predictions) != len(expected):
        raise RolloutError(f"smoke test: {variant.name} gave {len(predictions)} predictions for {len(expected)} rows")
    if probe.probabilities is not None and probabilities is not None:
        rows = zip(probabilities, probe.probabilities[part], strict=False)
        pairs += [pair for got, known in rows for pair in zip(got, known, strict=False)]
    tolerance = max(settings.tolerance, probe.tolerance)
    for got, known in pairs:
        off = _difference(got, known)
        if not off <= tolerance:
            raise RolloutError(
                f"smoke test: {variant.name} predicts {got!r} where {known!r} is known, off by more than {tolerance:g}"
            )
        found.difference = max(found.difference, off)
    found.compared += 1
    found.seconds.append(answer.seconds)


def _difference(got: Any, known: Any) -> float:
    """Return by how much two outputs differ, relative to large ones; infinity for what has no distance."""
    if isinstance(got, bool) or isinstance(known, bool) or not isinstance(got, int | float):
        return 0.0 if got == known and type(got) is type(known) else math.inf
    if not isinstance(known, int | float):
        return math.inf
    return abs(got - known) / max(1.0, abs(known))
