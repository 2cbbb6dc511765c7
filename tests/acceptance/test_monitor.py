"""`model-ci monitor` through its front door: limits on what a service counts, and on what came of its predictions."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.conftest import write_rows

from model_ci import report
from model_ci.serving.metrics import Metrics

Command = Callable[..., Any]
START = datetime(2026, 3, 1, tzinfo=UTC)
END = "2026-03-15"


class Replicas:
    """Replicas of a service; each look at one may find that it has done more, as `work` says."""

    def __init__(self) -> None:
        self.services: list[Metrics] = []
        self.work: Callable[[Metrics], None] = lambda metrics: None
        self.status = 200
        replicas = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                metrics = replicas.services[int(self.path.split("/")[1])]
                replicas.work(metrics)
                text = metrics.text()
                self.send_response(replicas.status)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, requests: int = 100, failed: int = 0, cold: float = 2.0, variant: str = "champion") -> str:
        """Start a replica that has answered already; return the address of its metrics."""
        metrics = Metrics(variant)
        metrics.version, metrics.cold_start_seconds, metrics.load_seconds = "3", cold, 0.5
        serve(metrics, requests, failed)
        self.services.append(metrics)
        return f"http://127.0.0.1:{self.server.server_port}/{len(self.services) - 1}/metrics"


def serve(metrics: Metrics, requests: int, failed: int = 0, seconds: float = 0.02) -> None:
    """Answer, and be probed."""
    for i in range(requests):
        metrics.requests["/invocations", 500 if i < failed else 200] += 1
        metrics.request_seconds["/invocations"].observe(seconds)
        metrics.model_seconds.observe(seconds / 2)
        metrics.requests["/livez", 200] += 1
        metrics.request_seconds["/livez"].observe(5)


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    """No replica yet."""
    found = Replicas()
    yield found
    found.server.shutdown()
    found.server.server_close()


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["monitor"]  # type: ignore[no-any-return]


def rules(project: Any) -> set[str]:
    return {f["rule"] for f in section(project)["findings"] if f["level"] == "failure"}


def test_replicas_are_counted_together(project: Any, command: Command, replicas: Replicas) -> None:
    endpoints = [replicas.add(300, failed=3), replicas.add(100, cold=4.0)]
    project.configure(monitor={"endpoints": endpoints, "limits": [{"metric": "error_rate", "max": 0.01}]})
    answer = command(project.root, "monitor")
    assert answer.code == 0, answer.text
    (window,) = section(project)["windows"]
    figures = window["figures"]
    assert (figures["requests"], figures["error_rate"], figures["replicas"]) == (400, 0.0075, 2)
    assert (figures["cold_start_s"], figures["load_s"]) == (4.0, 0.5)
    assert figures["latency_mean_ms"] == pytest.approx(20)
    assert 10 < figures["latency_p95_ms"] <= 25, "probes are no demand"
    assert figures["model_mean_ms"] == pytest.approx(10)
    assert window["begin"] is None
    assert figures["requests_per_second"] is None
    assert section(project)["verdict"] == "passed"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"metric": "error_rate", "max": 0.005}, "error_rate max 0.005 (endpoints): 1 of 1 windows beyond it"),
        ({"metric": "replicas", "min": 2}, "replicas min 2 (endpoints): 1 of 1 windows beyond it"),
        ({"metric": "latency_p95_ms", "max": 5}, "latency_p95_ms max 5"),
        ({"metric": "cold_start_s", "max": 1}, "cold_start_s max 1"),
        ({"metric": "utilisation", "max": 0.8}, "utilisation max 0.8: 1 of 1 windows have no value: what was asked"),
    ],
)
def test_a_limit_that_is_broken_or_unknown_fails(
    project: Any, command: Command, replicas: Replicas, limit: dict[str, Any], told: str
) -> None:
    project.configure(monitor={"endpoints": [replicas.add(failed=1)], "limits": [limit]})
    answer = command(project.root, "monitor")
    assert answer.code == 3, answer.text
    assert told in section(project)["why"]
    assert limit["metric"] in answer.out
    assert [r.check for r in report.refusals(project.record())] == ["monitor"]


def test_no_requests_are_no_good_latency(project: Any, command: Command, replicas: Replicas) -> None:
    limits = [{"metric": "latency_p95_ms", "max": 50}, {"metric": "error_rate", "max": 0.01}]
    project.configure(monitor={"endpoints": [replicas.add(0)], "limits": limits})
    answer = command(project.root, "monitor")
    assert answer.code == 3
    assert "no requests were seen" in answer.out
    assert rules(project) == {"missing"}
    assert command(project.root, "monitor", "--set", "monitor.allow=[missing]").code == 0
    assert section(project)["verdict"] == "done", "allowed is not passed"


def test_a_replica_that_does_not_answer_fails(project: Any, command: Command, replicas: Replicas) -> None:
    there = replicas.add()
    project.configure(monitor={"endpoints": [there, "http://127.0.0.1:9/metrics"]})
    assert command(project.root, "monitor").code == 3
    assert "http://127.0.0.1:9/metrics: gives no metrics" in section(project)["why"]
    replicas.status = 500
    project.configure(monitor={"endpoints": [there], "limits": [{"metric": "replicas", "min": 1}]})
    assert command(project.root, "monitor").code == 3
    assert rules(project) == {"endpoint", "missing"}


def test_a_variant_is_watched_alone(project: Any, command: Command, replicas: Replicas) -> None:
    endpoints = [replicas.add(100), replicas.add(50, failed=25, variant="challenger")]
    limits = [{"metric": "error_rate", "max": 0.01}]
    project.configure(monitor={"endpoints": endpoints[:1], "limits": limits, "variant": "champion"})
    assert command(project.root, "monitor").code == 0
    project.configure(monitor={"endpoints": endpoints[1:], "variant": "challenger"})
    assert command(project.root, "monitor").code == 3
    project.configure(monitor={"endpoints": endpoints})
    assert command(project.root, "monitor").code == 3
    assert "no metric model_ci_* of variant challenger" in section(project)["why"]


def test_k_of_n_windows_break_a_limit(project: Any, command: Command, replicas: Replicas) -> None:
    looks = iter([0, 10, 0, 10, 0, 10, 0, 10, 10])
    replicas.work = lambda metrics: serve(metrics, 20, failed=next(looks))
    limits = [{"metric": "error_rate", "max": 0.1}]
    watched = {"endpoints": [replicas.add(1000)], "gap_s": 0.05, "windows": 3, "breaches": 3, "limits": limits}
    project.configure(monitor=watched)
    assert command(project.root, "monitor").code == 0
    (limit,) = section(project)["limits"]
    assert limit["values"] == [0.5, 0.0, 0.5]
    assert [w["figures"]["requests"] for w in section(project)["windows"]] == [20, 20, 20]
    assert command(project.root, "monitor", "--set", "monitor.breaches=1").code == 3
    replicas.work = lambda metrics: serve(metrics, 20, failed=10)
    assert command(project.root, "monitor").code == 3


def test_too_few_replicas_are_told_with_what_it_takes(project: Any, command: Command, replicas: Replicas) -> None:
    replicas.work = lambda metrics: serve(metrics, 1000, seconds=0.2)  # 100 s in the model between two looks
    project.configure(monitor={"endpoints": [replicas.add()], "gap_s": 0.1})
    assert command(project.root, "monitor").code == 0
    busy = section(project)["windows"][0]["figures"]["utilisation"]
    assert busy > 0.8
    (finding,) = section(project)["findings"]
    assert (finding["rule"], finding["level"]) == ("resources", "warning")
    assert "too few resources: 1 replicas are busy" in finding["what"]
    assert f"it takes {-(-busy // 0.8):.0f}" in finding["what"]
    project.configure(monitor={"limits": [{"metric": "utilisation", "max": 0.1}]})
    assert command(project.root, "monitor").code == 3


def test_a_replica_that_began_anew_is_counted_from_its_start(
    project: Any, command: Command, replicas: Replicas
) -> None:
    replicas.add(500)

    def restart(metrics: Metrics) -> None:
        if len(replicas.services) == 1:
            replicas.services.append(metrics)
        elif metrics.requests["/invocations", 200] > 400:
            replicas.services[0].requests["/invocations", 200] = 30

    replicas.work = restart
    project.configure(monitor={"endpoints": [replicas.add(0).replace("/1/", "/0/")], "gap_s": 0.05})
    replicas.services.pop()
    assert command(project.root, "monitor").code == 0
    assert section(project)["windows"][0]["figures"]["requests"] == 30


def log(
    root: Path, rows: int = 2000, days: int = 14, wrong: Callable[[int, str], float] = lambda day, kind: 0.1
) -> None:
    """Log predictions of two weeks and what came of them, wrong as often as `wrong` says of a day and a kind."""
    draw, lines, labels = random.Random(5), [], ["request_id,sold"]
    for i in range(rows):
        day, kind, truth = i * days // rows, draw.choice("ab"), draw.randint(0, 1)
        right = draw.random() >= wrong(day, kind)
        said = truth if right else 1 - truth
        chance = 0.5 + (0.4 if said else -0.4) * draw.random()
        line = {
            "time": (START + timedelta(days=days) * (i / rows)).isoformat(timespec="milliseconds"),
            "request_id": f"r{i}", "variant": "champion", "version": "3", "user": None, "route": "/invocations",
            "columns": ["size", "kind"], "inputs": [[draw.random(), kind]], "outputs": [said],
            "probabilities": [[1 - chance, chance]], "duration_ms": 1.0,
        }  # fmt: skip
        lines.append(json.dumps(line))
        labels.append(f"r{i},{truth}")
    (root / "log").mkdir(exist_ok=True)
    (root / "log" / "predictions-20260301T000000Z-a-1-0.jsonl").write_text("\n".join(lines) + "\n")
    (root / "labels.csv").write_text("\n".join(labels) + "\n")


@pytest.fixture
def judged(project: Any) -> Any:
    """Watch what came of two weeks of predictions."""
    gates = [{"metric": "accuracy", "min": 0.8}]
    quality = {"window": "7d", "windows": 2, "breaches": 1, "gates": gates, "metrics": ["roc_auc", "log_loss"]}
    project.configure(
        monitor={"predictions": "log", "outcomes": "labels.csv", "until": END, "quality": quality},
        evaluate={"uncertainty": {"resamples": 300}},
    )
    return project


def adjust(project: Any, **quality: Any) -> None:
    import yaml

    values = yaml.safe_load((project.root / "model-ci.yaml").read_text())["monitor"]["quality"]
    project.configure(monitor={"quality": {**values, **quality}})


def test_quality_is_told_with_intervals_over_time(judged: Any, command: Command) -> None:
    log(judged.root)
    answer = command(judged.root, "monitor")
    assert answer.code == 0, answer.text
    spans = section(judged)["quality"]
    assert [s["begin"][:10] for s in spans] == ["2026-03-01", "2026-03-08"]
    assert [s["rows"] for s in spans] == [1000, 1000]
    for span in spans:
        assert span["metrics"].keys() == {"accuracy", "roc_auc", "log_loss"}
        low, high = span["metrics"]["accuracy"]["interval"]
        assert low < span["metrics"]["accuracy"]["value"] < high
        assert low < 0.9 < high
    assert "accuracy" in answer.out


def test_quality_that_falls_fails_once_it_is_sure_and_often_enough(judged: Any, command: Command) -> None:
    log(judged.root, wrong=lambda day, kind: 0.1 if day < 7 else 0.4)
    assert command(judged.root, "monitor").code == 3
    (gate,) = section(judged)["gates"]
    assert (gate["state"], gate["broken"]) == ("failed", 1)
    adjust(judged, breaches=2)
    assert command(judged.root, "monitor").code == 0
    adjust(judged, breaches=1, gates=[{"metric": "accuracy", "min": 0.61}])
    assert command(judged.root, "monitor").code == 0, "0.6 on 1,000 rows is not surely below 0.61"
    assert section(judged)["quality"][1]["gates"][0]["state"] == "inconclusive"


def test_a_slice_that_falls_fails_and_so_does_bias(judged: Any, command: Command) -> None:
    log(judged.root, wrong=lambda day, kind: 0.45 if kind == "b" and day >= 7 else 0.1)
    adjust(judged, gates=[{"metric": "accuracy", "min": 0.6, "by": "kind"}])
    assert command(judged.root, "monitor").code == 3
    assert "kind=b" in section(judged)["why"]
    adjust(judged, gates=[{"metric": "equalized_odds", "max": 0.1, "by": "kind"}])
    assert command(judged.root, "monitor").code == 3
    assert section(judged)["gates"][0]["values"][0] < 0.1 < section(judged)["gates"][0]["values"][1]
    adjust(judged, gates=[{"metric": "accuracy", "max_gap": 0.9, "by": "kind"}])
    assert command(judged.root, "monitor").code == 0


def test_numbers_have_quality_too(judged: Any, command: Command) -> None:
    log(judged.root)
    judged.configure(model={"task": "regression"}, evaluate={"gates": [{"metric": "r2", "min": 0}], "metrics": []})
    adjust(judged, gates=[{"metric": "mean_absolute_error", "max": 0.2}], metrics=[])
    assert command(judged.root, "monitor").code == 0
    value = section(judged)["quality"][0]["metrics"]["mean_absolute_error"]["value"]
    assert 0.05 < value < 0.15


def test_labels_that_are_late_are_waited_for(judged: Any, command: Command) -> None:
    log(judged.root)
    file = judged.root / "labels.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:1020]) + "\n")
    assert command(judged.root, "monitor").code == 3
    assert rules(judged) == {"missing"}
    assert "19 of 1000 predicted rows have an outcome, at least 100 are needed" in section(judged)["why"]
    adjust(judged, delay="7d", windows=1)
    assert command(judged.root, "monitor").code == 0


@pytest.fixture
def held(judged: Any, command: Command) -> Any:
    """Let a champion have been evaluated on 1,204 held-out rows, and hold the predictions to that."""
    write_rows(judged.root / "data.csv", rows=4000)
    judged.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.6}]})
    adjust(judged, windows=1, gates=[{"metric": "accuracy", "max_drop": 0.05}])
    register(judged, command)
    return judged


def register(project: Any, command: Command) -> None:
    answer = command(project.root, "run", "--stages", "train,evaluate,register")
    assert answer.code == 0, answer.text


def champion_had(project: Any, metric: str = "accuracy", part: str | None = None) -> float:
    file = max((project.root / ".model-ci" / "runs").glob("*/quality/quality.json"))
    figures = json.loads(file.read_text())["figures"]
    return next(f["value"] for f in figures if (f["metric"], f["slice"]) == (metric, part))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("lost", "code", "state"),
    [(-0.1, 0, "passed"), (0.0, 0, "passed"), (0.06, 0, "inconclusive"), (0.15, 3, "failed")],
    ids=["better", "equal", "a little worse", "worse"],
)
def test_predictions_are_held_to_what_the_champion_had(
    held: Any, command: Command, lost: float, code: int, state: str
) -> None:
    had = champion_had(held)
    log(held.root, rows=4000, wrong=lambda day, kind: 1 - had + lost)
    answer = command(held.root, "monitor")
    assert answer.code == code, answer.text
    (gate,) = section(held)["gates"]
    assert (gate["state"], gate["champion"]) == (state, had)
    assert section(held)["reference"]["rows"] == 1204
    (span,) = section(held)["quality"]
    (low, high), alone = span["gates"][0]["interval"], span["metrics"]["accuracy"]["interval"]
    assert low < span["gates"][0]["difference"] < high
    assert high - low > 1.2 * (alone[1] - alone[0]), "the champion's rows are few, too"
    assert rules(held) == ({"quality"} if code else set())
    assert f"max_drop 0.05 from the champion's {had:.4f}" in answer.out


def test_one_limit_that_holds_does_not_answer_for_one_that_is_open(held: Any, command: Command) -> None:
    adjust(held, gates=[{"metric": "accuracy", "max_drop": 0.05}, {"metric": "accuracy", "min": 0.1}])
    log(held.root, rows=4000, wrong=lambda day, kind: 1 - champion_had(held) + 0.06)
    assert command(held.root, "monitor").code == 0
    assert [gate["state"] for gate in section(held)["gates"]] == ["inconclusive", "passed"]
    assert section(held)["verdict"] == "done"
    assert section(held)["why"] == "1 of 2 limits hold; 1 inconclusive"


def test_each_slice_is_held_to_its_own(held: Any, command: Command) -> None:
    adjust(held, gates=[{"metric": "accuracy", "max_drop": 0.1, "by": "kind"}])
    register(held, command)
    had = {kind: champion_had(held, part=f"kind={kind}") for kind in "ab"}
    log(held.root, rows=4000, wrong=lambda day, kind: 1 - had[kind])
    assert command(held.root, "monitor").code == 0, section(held)["why"]
    (gate,) = section(held)["quality"][0]["gates"]
    assert {part["slice"]: part["champion"] for part in gate["slices"]} == {f"kind={k}": v for k, v in had.items()}
    log(held.root, rows=4000, wrong=lambda day, kind: 1 - had[kind] + 0.25 * (kind == "b"))
    assert command(held.root, "monitor").code == 3
    assert "kind=b" in section(held)["why"]
    assert rules(held) == {"quality"}


def test_what_is_better_low_and_what_is_fair_are_held_to_the_champion_too(held: Any, command: Command) -> None:
    gates = [{"metric": "brier_score", "max_rise": 0.1}, {"metric": "equalized_odds", "max_rise": 0.2, "by": "kind"}]
    adjust(held, gates=gates)
    register(held, command)
    log(held.root, rows=4000, wrong=lambda day, kind: 0.05)
    assert command(held.root, "monitor").code == 0, section(held)["why"]
    assert [gate["state"] for gate in section(held)["gates"]] == ["passed", "passed"]
    log(held.root, rows=4000, wrong=lambda day, kind: 0.45)
    assert command(held.root, "monitor").code == 3
    assert [gate["state"] for gate in section(held)["gates"]] == ["failed", "passed"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"gates": [{"metric": "f1", "max_drop": 0.05}]},
            "f1 max_drop 0.05: 1 of 1 spans failed it; the champion was not judged by f1 when it was evaluated",
        ),
        (
            {"gates": [{"metric": "accuracy", "max_drop": 0.05, "by": "kind"}]},
            "the champion was not judged by accuracy in kind=a when it was evaluated; what cannot be compared does not pass",
        ),
    ],
    ids=["metric", "slice"],
)
def test_what_the_champion_was_not_judged_by_is_never_green(
    held: Any, command: Command, change: dict[str, Any], told: str
) -> None:
    log(held.root, rows=4000)
    adjust(held, **change)
    assert command(held.root, "monitor").code == 3
    assert told in section(held)["why"]
    assert rules(held) == {"reference"}, "it says nothing of the model, so it is no reason to train again"


def test_without_a_champion_there_is_nothing_to_hold_to(judged: Any, command: Command) -> None:
    adjust(judged, gates=[{"metric": "accuracy", "max_drop": 0.05}])
    log(judged.root)
    assert command(judged.root, "monitor").code == 3
    assert "quality: there is no champion in" in section(judged)["why"]
    assert rules(judged) == {"reference"}
    assert section(judged)["reference"] is None
    assert command(judged.root, "monitor", "--set", "monitor.allow=[reference]").code == 0
    assert section(judged)["verdict"] == "done", "allowed is not passed"


def test_a_version_without_quality_is_nothing_to_hold_to(judged: Any, command: Command) -> None:
    judged.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.6}]})
    adjust(judged, gates=[{"metric": "accuracy", "max_drop": 0.05}])
    assert command(judged.root, "run", "--stages", "train,evaluate").code == 0
    record = judged.record()
    del record["stages"]["evaluate"]["quality"]  # as a version of model-ci before it left one
    (judged.runs()[-1] / "run.json").write_text(json.dumps(record))
    assert command(judged.root, "register").code == 0
    log(judged.root)
    assert command(judged.root, "monitor").code == 3
    assert "version 1 of shop has no quality with it" in section(judged)["why"]
    assert command(judged.root, "monitor", "--set", "monitor.quality.version='7'").code == 2


@pytest.mark.parametrize("case", ["nan", "too few"])
def test_what_has_no_value_is_not_as_good_as_the_champion(held: Any, command: Command, case: str) -> None:
    if case == "nan":
        log(held.root, rows=4000)
        adjust(held, gates=[{"metric": "roc_auc", "max_drop": 0.05}])
        file = held.root / "labels.csv"
        file.write_text("request_id,sold\n" + "".join(f"r{i},1\n" for i in range(4000)))
    else:
        log(held.root, rows=80)
    assert command(held.root, "monitor").code == 3, section(held)["why"]
    assert rules(held) == {"quality" if case == "nan" else "missing"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "monitor: there is nothing to watch"),
        ({"limits": [{"metric": "error_rate", "max": 0.1}], "predictions": "log", "outcomes": "l.csv"}, "monitor.limits: no source tells them"),
        ({"endpoints": ["http://a"], "limits": [{"metric": "error_rate"}]}, "monitor.limits"),
        ({"endpoints": ["http://a"], "limits": [{"metric": "eror_rate", "max": 1}]}, "monitor.limits"),
        ({"endpoints": ["http://a"], "limits": [{"metric": "replicas", "min": 3, "max": 2}]}, "nothing can hold"),
        ({"endpoints": ["ftp://a"]}, "monitor.endpoints"),
        ({"endpoints": ["http://a"], "windows": 3}, "monitor.windows: endpoints without gap_s have one window"),
        ({"prometheus": "http://a", "breaches": 2}, "monitor.breaches: 2 of 1 windows"),
        ({"cloudwatch": "shop", "window": "90s"}, "CloudWatch counts by whole minutes up to 1d"),
        ({"cloudwatch": "shop", "window": "2d"}, "CloudWatch counts by whole minutes up to 1d"),
        ({"predictions": "log"}, "monitor.outcomes: is not set"),
        ({"prometheus": "http://a", "quality": {"gates": [{"metric": "accuracy", "min": 0.5}]}}, "monitor.predictions: is not set"),
        ({"predictions": "log", "outcomes": "l.csv", "quality": {"gates": [{"metric": "accuracy", "max_rise": 0.5}]}}, "monitor.quality.gates[0].max_rise: a higher accuracy is better"),
        ({"predictions": "log", "outcomes": "l.csv", "quality": {"gates": [{"metric": "latency_ms", "max": 5}]}}, "set it in monitor.limits"),
        ({"predictions": "log", "outcomes": "l.csv", "until": "today"}, "monitor.until: 'today' is no time"),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_a_mistake(
    project: Any, command: Command, settings: dict[str, Any], told: str
) -> None:
    project.configure(monitor=settings)
    answer = command(project.root, "monitor")
    assert answer.code == 2, answer.text
    assert told in answer.err
