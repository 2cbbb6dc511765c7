"""The flights' service, asked through every route: in this process by the thousand, and as a process over HTTP."""

import json
import math
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.asking import JSON, Answer, Running, app, ask, command, free_port, running, until

from model_ci.serving.app import App

REFUSALS = {400, 413, 415, 422}
FUZZ = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def onnx(flights_bundle: Path) -> App:
    return app(flights_bundle, max_rows=500, max_body_mb=0.5)


@pytest.fixture(scope="module")
def sklearn(flights_bundle_sklearn: Path) -> App:
    return app(flights_bundle_sklearn, max_rows=500, max_body_mb=0.5)


@pytest.fixture(scope="module")
def service(flights_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    scratch = tmp_path_factory.mktemp("service")
    given = {"VARIANT": "champion", "PREDICTION_LOG": scratch / "log", "MAX_BODY_MB": 1}
    with running(flights_bundle, scratch, **given) as started:
        yield started


def probe(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())["probe"]  # type: ignore[no-any-return]


def row(folder: Path) -> dict[str, Any]:
    said = probe(folder)["inputs"]
    return dict(zip(said["columns"], said["data"][0], strict=True))


# what is answered


def test_the_answer_is_what_mlflow_gives_and_the_probabilities_with_it(onnx: App, flights_bundle: Path) -> None:
    said = probe(flights_bundle)
    answer = ask(onnx, "POST", "/invocations", {"dataframe_split": said["inputs"]}, {**JSON, "x-request-id": "r-1"})
    assert answer.status == 200
    assert answer.json["predictions"] == said["outputs"]
    assert [p[1] for p in answer.json["probabilities"]] == pytest.approx(
        [p[1] for p in said["probabilities"]], abs=1e-9
    )
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["x-model-variant"] == "default"
    assert answer.headers["x-model-version"] == "7"


def test_mlflows_scoring_of_the_same_rows_is_the_same(onnx: App, sklearn: App, flights_bundle: Path) -> None:
    """Awkward values, through MLflow's own parsing and signature, and through both engines."""
    from mlflow import pyfunc
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    theirs = pyfunc.load_model(str(flights_bundle / "model"))
    known = theirs.metadata.get_input_schema()
    base = row(flights_bundle)
    changes: list[dict[str, Any]] = [{}]
    changes += [{name: None} for name, value in base.items() if not isinstance(value, int)]
    changes += [{name: "never seen"} for name, value in base.items() if isinstance(value, str)]
    changes += [
        {"seats": True},
        {"seats": 5},
        {"seats": "5.5"},
        {"seats": 2**53 + 1},
        {"seats": 2**64},
        {"seats": 1e308},
    ]
    changes += [
        {"distance": 5.0},
        {"distance": "7"},
        {"distance": True},
        {"distance": 2**62},
        {"more": 1},
        {"temp": math.nan},
    ]
    sent = {"dataframe_records": [{**base, **change} for change in changes]}
    expected = [
        theirs.predict(infer_and_parse_data({"dataframe_records": [r]}, known)).tolist()[0]
        for r in sent["dataframe_records"]
    ]
    found = [ask(served, "POST", "/invocations", sent).json for served in (onnx, sklearn)]
    assert found[0]["predictions"] == found[1]["predictions"] == expected
    ours, others = ([p[1] for p in f["probabilities"]] for f in found)
    assert ours == pytest.approx(others, abs=1e-12)


def test_an_optional_column_left_out_is_null(onnx: App, flights_bundle: Path) -> None:
    full = row(flights_bundle)
    short = {name: value for name, value in full.items() if name != "seats"}
    answers = [ask(onnx, "POST", "/invocations", {"inputs": [sent]}) for sent in (short, {**full, "seats": None})]
    assert answers[0].status == 200
    assert answers[0].json == answers[1].json
    assert ask(onnx, "POST", "/invocations", {"inputs": [{**full, "seats": 1.0}]}).json != answers[0].json


def test_the_open_inference_protocol(onnx: App, flights_bundle: Path) -> None:
    meta = ask(onnx, "GET", "/v2/models/shop").json
    assert meta["versions"] == ["7"]
    assert meta["outputs"][1] == {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}
    said = probe(flights_bundle)
    columns = list(zip(*said["inputs"]["data"], strict=True))
    tensors = [
        {**tensor, "shape": [len(values)], "data": values}
        for tensor, values in zip(meta["inputs"], columns, strict=True)
    ]
    for path in ("/v2/models/shop/infer", "/v2/models/shop/versions/7/infer"):
        answer = ask(onnx, "POST", path, {"id": "i", "inputs": tensors}).json
        assert answer["model_name"] == "shop"
        assert answer["model_version"] == "7"
        assert answer["id"] == "i"
        label, chances = answer["outputs"]
        assert label == {"name": "predict", "datatype": "INT64", "shape": [32], "data": said["outputs"]}
        assert chances["shape"] == [32, 2]
        assert chances["data"] == pytest.approx([p for r in said["probabilities"] for p in r], abs=1e-9)
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/shop/ready"):
        assert ask(onnx, "GET", path).status == 200


def test_an_explanation_adds_up_and_is_not_in_an_image_built_without(
    onnx: App, sklearn: App, flights_bundle: Path
) -> None:
    sent = {"inputs": [row(flights_bundle)] * 2}
    answer = ask(onnx, "POST", "/explain", sent).json
    assert answer["columns"] == list(row(flights_bundle))
    assert answer["of_class"] == 1
    for attributions, output in zip(answer["attributions"], answer["outputs"], strict=True):
        assert answer["base"] + sum(attributions) == pytest.approx(output, abs=1e-6)
    assert ask(onnx, "POST", "/explain", {"inputs": [row(flights_bundle)] * 101}).status == 413
    refused = ask(sklearn, "POST", "/explain", sent)
    assert refused.status == 501
    assert "build-image.explain" in refused.json["error"]


# what is refused


@pytest.mark.parametrize(
    ("status", "method", "path", "headers", "body"),
    [
        (404, "GET", "/", JSON, None),
        (404, "POST", "/v2/models/other/infer", JSON, {}),
        (405, "GET", "/invocations", JSON, None),
        (405, "POST", "/metrics", JSON, {}),
        (405, "DELETE", "/livez", JSON, None),
        (415, "POST", "/invocations", {}, {}),
        (415, "POST", "/invocations", {"content-type": "text/csv"}, b"a,b\n1,2\n"),
        (415, "POST", "/invocations", {"content-type": "application/json; charset=latin-1"}, {}),
        (400, "POST", "/invocations", {"content-type": "Application/JSON; charset=UTF-8"}, {}),
        (413, "POST", "/invocations", JSON, b" " * 600_000),
        (413, "POST", "/invocations", {**JSON, "content-length": "600000"}, {}),
    ],
)
def test_the_wrong_way_to_ask(
    onnx: App, status: int, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    answer = ask(onnx, method, path, body, headers)
    assert answer.status == status
    assert answer.json["error"]
    assert (answer.headers.get("allow") is not None) == (status == 405)


def test_a_head_is_a_get_without_its_body(onnx: App) -> None:
    answer = ask(onnx, "HEAD", "/livez")
    assert (answer.status, answer.body) == (200, b"")


def test_a_body_in_many_parts_is_one_body(onnx: App, flights_bundle: Path) -> None:
    sent = {"dataframe_split": probe(flights_bundle)["inputs"]}
    assert ask(onnx, "POST", "/invocations", sent, parts=7).body == ask(onnx, "POST", "/invocations", sent).body
    assert ask(onnx, "POST", "/invocations", b" " * 600_000, parts=9).status == 413


def test_a_request_id_that_could_break_a_log_is_not_taken(onnx: App) -> None:
    for wrong in ("a\tb", "ü", "x" * 129):
        assert ask(onnx, "GET", "/livez", headers={"x-request-id": wrong}).headers["x-request-id"] != wrong


def test_nothing_is_predicted_before_the_model_is_there(flights_bundle: Path) -> None:
    from model_ci.serving.manifest import Manifest
    from model_ci.serving.service import Service
    from model_ci.serving.settings import Settings

    cold = App(Service(Settings(), Manifest.read(flights_bundle / "manifest.json")))
    assert ask(cold, "GET", "/livez").status == 200
    assert ask(cold, "GET", "/readyz").status == 503
    assert ask(cold, "POST", "/invocations", {"inputs": [row(flights_bundle)]}).status == 503
    assert ask(cold, "POST", "/explain", {"inputs": [row(flights_bundle)]}).status == 503


def test_what_fails_in_the_service_is_told_as_that_and_counted(
    onnx: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx.service, "described", lambda: 1 / 0)
    assert ask(onnx, "GET", "/version").status == 500
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert onnx.service.metrics.errors["internal"] == 1


def test_rows_that_the_model_refuses_are_named(
    sklearn: App, flights_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sklearn.service.require_loaded()
    asked = engine.predict

    def picky(rows: Any) -> Any:
        if "XX" in rows.values[0]:
            raise ValueError("no such carrier")
        return asked(rows)

    monkeypatch.setattr(engine, "predict", picky)
    good, bad = row(flights_bundle), {**row(flights_bundle), "carrier": "XX"}
    answer = ask(sklearn, "POST", "/invocations", {"inputs": [good, bad, good, bad]})
    assert answer.status == 422
    assert [(p["row"], p["reason"]) for p in answer.json["problems"]] == [
        (1, "the model refuses it: no such carrier"), (3, "the model refuses it: no such carrier"),
    ]  # fmt: skip


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(["JFK", "UA", "", "5", "1e3", 5, 1.0, 10**400, -0.0]), st.lists(st.integers(), max_size=2),
)  # fmt: skip
ANYTHING = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)  # fmt: skip


@st.composite
def nearly(draw: st.DrawFn, base: dict[str, Any]) -> dict[str, Any]:
    """Draw rows that are right but for a few values, in one of the forms."""
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        changed = draw(st.dictionaries(st.sampled_from([*base, "other"]), VALUES, max_size=3))
        left_out = draw(st.sets(st.sampled_from(list(base)), max_size=1))
        rows.append({k: v for k, v in {**base, **changed}.items() if k not in left_out})
    form = draw(st.sampled_from(["dataframe_records", "instances", "inputs", "columns", "dataframe_split", "v2"]))
    names = list(base)
    match form:
        case "columns":
            return {"inputs": {n: [r.get(n) for r in rows] for n in names}}
        case "dataframe_split":
            return {form: {"columns": names, "data": [[r.get(n) for n in names] for r in rows]}}
        case "v2":
            return {"inputs": [{"name": n, "shape": [len(rows)], "datatype": draw(st.sampled_from(["FP64", "BYTES", "INT64"])), "data": [r.get(n) for r in rows]} for n in names]}  # fmt: skip
    return {form: rows}


def test_a_thousand_nearly_right_requests_are_answered_alike_by_both_engines(
    onnx: App, sklearn: App, flights_bundle: Path
) -> None:
    seen: Counter[int] = Counter()

    @settings(FUZZ, max_examples=1000)
    @given(sent=nearly(row(flights_bundle)))
    def check(sent: dict[str, Any]) -> None:
        path = (
            "/v2/models/shop/infer"
            if isinstance(sent.get("inputs"), list) and "shape" in sent["inputs"][0]
            else "/invocations"
        )
        ours, theirs = (ask(served, "POST", path, sent) for served in (onnx, sklearn))
        seen[ours.status] += 1
        assert ours.status == theirs.status, (ours.json, theirs.json)
        assert ours.status in {200, *REFUSALS}
        if ours.status != 200:
            assert ours.json == theirs.json
            assert all(p["reason"] for p in ours.json.get("problems", []))
        elif path == "/invocations":
            assert ours.json["predictions"] == theirs.json["predictions"]
            assert [p[1] for p in ours.json["probabilities"]] == pytest.approx([p[1] for p in theirs.json["probabilities"]], abs=1e-9)  # fmt: skip

    check()
    assert seen[200] > 50
    assert seen[422] > 200


def test_a_thousand_bodies_of_anything_are_refused_and_never_fail(onnx: App) -> None:
    paths = st.sampled_from(["/invocations", "/v2/models/shop/infer"])
    keys = st.sampled_from(
        ["inputs", "instances", "dataframe_split", "dataframe_records", "outputs", "columns", "data"]
    )
    mappings = st.dictionaries(
        keys, ANYTHING | st.fixed_dictionaries({"columns": ANYTHING, "data": ANYTHING}), max_size=2
    )

    @settings(FUZZ, max_examples=1200)
    @given(path=paths, sent=mappings | ANYTHING | st.binary(max_size=40))
    def check(path: str, sent: Any) -> None:
        assert ask(onnx, "POST", path, sent).status in REFUSALS

    check()


# the process


def test_over_http_it_answers_counts_and_logs(service: Running, flights_bundle: Path) -> None:
    before = service.metrics()
    sent = {"dataframe_split": probe(flights_bundle)["inputs"]}
    answer = service.ask("POST", "/invocations", sent, {**JSON, "x-request-id": "logged-1", "x-user-id": "ann"})
    assert answer.json["predictions"] == probe(flights_bundle)["outputs"]
    assert service.ask("POST", "/invocations", {"inputs": []}).status == 422
    after = service.metrics()

    def rose(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert rose("model_ci_requests_total route=/invocations status=200") == 1
    assert rose("model_ci_requests_total route=/invocations status=422") == 1
    assert rose("model_ci_errors_total reason=input") == 1
    assert rose("model_ci_rows_total") == 32
    assert rose("model_ci_batch_rows_bucket le=50.0") == 1
    assert rose("model_ci_model_seconds_count") == 1
    assert rose("model_ci_request_seconds_count route=/invocations") == 2
    assert after["model_ci_cold_start_seconds"] > after["model_ci_load_seconds"] > 0
    assert after["model_ci_log_dropped_total"] == 0
    digest = service.ask("GET", "/version").json["digest"]
    assert after[f"model_ci_info digest={digest} engine=onnx run_id=20260101T000000000Z-0123abcd"] == 1

    def logged() -> Any:
        lines = (
            line
            for file in (service.log.parent / "log").glob("predictions-*.jsonl")
            for line in file.read_bytes().splitlines()
        )
        return next((said for line in lines if (said := json.loads(line))["request_id"] == "logged-1"), None)

    line = until(logged, "the line")
    assert (line["variant"], line["version"], line["user"], line["route"]) == ("champion", "7", "ann", "/invocations")
    assert line["inputs"] == probe(flights_bundle)["inputs"]["data"]
    assert line["outputs"] == answer.json["predictions"]
    assert line["probabilities"] == answer.json["probabilities"]


def test_the_document_tells_the_truth(service: Running) -> None:
    """What schemathesis makes of /openapi.json, right and wrong, over every route, with its own checks of the answers."""
    import schemathesis
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    beyond = [checks.negative_data_rejection]  # 5 and "5" are taken for a double, true for 1
    tensors = [*beyond, checks.positive_data_acceptance]  # that shape and data agree is more than a schema can say
    many = {"/invocations": 60, "/v2/models/shop/infer": 60}
    tried: Counter[str] = Counter()

    def try_out(operation: Any, mode: Any) -> None:
        @settings(FUZZ, max_examples=many.get(operation.path, 3))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            tried[operation.path] += 1
            case.call_and_validate(excluded_checks=tensors if operation.path.endswith("/infer") else beyond)

        check()

    for found in schema.get_all_operations():
        if found.ok().path == "/explain":
            continue  # takes rows by the same code, and longer than these clients wait
        try_out(found.ok(), schemathesis.GenerationMode.POSITIVE)
        if found.ok().method == "post":
            try_out(found.ok(), schemathesis.GenerationMode.NEGATIVE)
    assert len(tried) == 11
    assert min(tried[path] for path in many) >= 100


def test_a_large_request_does_not_hold_up_the_others(service: Running, flights_bundle: Path) -> None:
    large = {"dataframe_records": [row(flights_bundle)] * 2000}
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(service.ask("POST", "/invocations", large)))
    thread.start()
    while thread.is_alive():
        assert service.ask("GET", "/livez").status == 200
    thread.join()
    assert len(answers[0].json["predictions"]) == 2000


def test_raw_nonsense_is_refused_and_the_service_goes_on(service: Running) -> None:
    import socket

    for sent in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            assert b" 200 " not in raw.recv(200)
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    assert service.ask("GET", "/readyz").status == 200


def test_no_request_is_lost_while_it_shuts_down(flights_bundle: Path, tmp_path: Path) -> None:
    """Clients that reuse connections, and obey when they are told to close them, as load balancers do."""
    sent = json.dumps({"inputs": [row(flights_bundle)]})
    told, failed, answered, ended = threading.Event(), [], Counter[int](), []

    def client(port: int) -> None:
        while not told.is_set():
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                keep = True
                while keep and not told.is_set():
                    connection.request("POST", "/invocations", body=sent, headers=JSON)
                    answer = connection.getresponse()
                    answer.read()
                    answered[answer.status] += 1
                    keep = answer.getheader("connection") != "close"
            except (OSError, HTTPException) as error:
                failed.append(repr(error))
            finally:
                connection.close()
        ended.append(port)

    with running(flights_bundle, tmp_path, DRAIN_S=2, PREDICTION_LOG=tmp_path / "log") as service:
        threads = [threading.Thread(target=client, args=(service.port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: answered[200] > 300, "some answers")
        before = answered[200]
        service.process.send_signal(signal.SIGTERM)
        until(lambda: service.ask("GET", "/readyz").status == 503, "not ready")
        until(lambda: answered[200] > before + 50, "answers while it drains")
        told.set()  # what a load balancer does when it sees that the service is not ready
        for thread in threads:
            thread.join()
        assert service.process.wait(30) == 0
    assert failed == []
    assert set(answered) == {200}
    lines = [line for file in (tmp_path / "log").glob("*.jsonl") for line in file.read_bytes().splitlines()]
    assert len(lines) == answered[200]


def test_a_request_under_way_is_answered_when_there_is_no_time_to_drain(flights_bundle: Path, tmp_path: Path) -> None:
    large = json.dumps({"dataframe_records": [row(flights_bundle)] * 9000}).encode()
    with running(flights_bundle, tmp_path, DRAIN_S=0) as service:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(large)))
        connection.endheaders(large[:1000])
        until(service.metrics, "it heard")
        service.process.send_signal(signal.SIGTERM)
        until(lambda: "draining" in service.log.read_text(), "it ends")
        connection.send(large[1000:])
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["predictions"]) == 9000
        connection.close()
        assert service.process.wait(30) == 0


def started(folder: Path, scratch: Path, **given: Any) -> tuple[int, str]:
    arguments, environment = command(folder, free_port(), **given)
    done = subprocess.run(
        arguments, env=environment, cwd=scratch, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_what_must_not_start_ends_with_2_and_a_sentence(flights_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(flights_bundle, tmp_path / "srv"))
    (folder / "model" / "model.onnx").write_bytes(b"x")
    code, said = started(folder, tmp_path)
    assert code == 2
    assert "model.onnx: is not what the manifest vouches for" in said
    assert "Traceback" not in said
    code, said = started(flights_bundle, tmp_path, PORT="x", PREDICTION_LOG="/proc/nowhere")
    assert (code, "Traceback" in said) == (2, False)
    code, said = started(flights_bundle, tmp_path, PREDICTION_LOG="/proc/nowhere")
    assert (code, "cannot be written" in said) == (2, True)


def test_a_port_that_is_taken_is_told(service: Running, flights_bundle: Path, tmp_path: Path) -> None:
    code, said = started(flights_bundle, tmp_path, PORT=service.port)
    assert code == 2
    assert "cannot listen" in said


def test_the_image_of_onnx_needs_neither_scikit_learn_nor_pandas_nor_mlflow(service: Running) -> None:
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    for absent in ("sklearn", "pandas", "mlflow", "scipy", "pyarrow"):
        assert f"/{absent}/" not in maps
