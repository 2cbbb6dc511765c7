"""What stands between a version and its traffic: the policy, rows whose answers are known, and what served before."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import CONFIG

from model_ci import ci
from model_ci import config as configuration
from model_ci.errors import ConfigError
from model_ci.release import history, ledger, policy, smoke
from model_ci.serving.comparison import Answers
from model_ci.serving.probe import Probe
from model_ci.targets import CHALLENGER, CHAMPION, Answer, Deployment, RolloutError, Variant

ONE = Variant(name=CHAMPION, image="i1", digest="sha256:1", version="1", run_id="r", weight=100, replicas=1)
TWO, THREE = replace(ONE, digest="sha256:2", version="2"), replace(ONE, digest="sha256:3", version="3")
PROBE = Probe(
    columns=["x"], rows=[[i] for i in range(10)], expected=Answers(labels=[i / 10 for i in range(10)], probabilities=None),
    tolerance=0, classes=False,
)  # fmt: skip
SETTINGS = configuration.Smoke(tolerance=1e-6, requests=6, max_latency_ms=None, timeout_s=5)


def load(tmp_path: Path, **rules: Any) -> configuration.Config:
    values = {**CONFIG, "deploy": {"environments": {"production": {"policy": rules}}}}
    (tmp_path / "model-ci.yaml").write_text(yaml.safe_dump(values))
    return configuration.load(tmp_path / "model-ci.yaml")


def claim(**changes: Any) -> policy.Claim:
    return replace(policy.Claim(variant=ONE, passed=True, branch="main", where=ci.Context()), **changes)


@pytest.mark.parametrize(
    ("rules", "who", "holds"),
    [
        ({}, claim(), {"require_passed": True}),
        ({}, claim(passed=False), {"require_passed": False}),
        ({}, claim(passed=None), {"require_passed": False}),
        ({"require_passed": False}, claim(passed=None), {}),
        ({"allowed_refs": ["main", "release/*"]}, claim(branch="release/2"), {"allowed_refs": True}),
        ({"allowed_refs": ["main", "release/*"]}, claim(branch="maintenance"), {"allowed_refs": False}),
        ({"allowed_refs": ["*"]}, claim(branch=None), {"allowed_refs": True}),
        ({"allowed_refs": ["main"]}, claim(branch=None), {"allowed_refs": False}),
        ({"only_ci": True}, claim(), {"only_ci": False}),
        ({"only_ci": True}, claim(where=ci.Context(provider="github")), {"only_ci": True}),
        ({"require_registered": True}, claim(variant=replace(ONE, version=None)), {"require_registered": False}),
        ({"require_registered": True}, claim(), {"require_registered": True}),
        ({"require_signature": True}, claim(), {"require_signature": False}),
        ({"approval": "production"}, claim(), {"approval": False}),
    ],
)
def test_each_rule_holds_or_not(
    tmp_path: Path, rules: dict[str, Any], who: policy.Claim, holds: dict[str, bool]
) -> None:
    judged = {rule.rule: rule.holds for rule in policy.judge(load(tmp_path, **rules), "production", who)}
    assert judged == ({} if rules.get("require_passed") is False else {"require_passed": who.passed is True}) | holds


def test_gitlab_says_which_protected_environment_a_job_runs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_ENVIRONMENT_NAME", "production")
    rules = policy.judge(load(tmp_path, approval="production"), "production", claim())
    assert [rule.holds for rule in rules if rule.rule == "approval"] == [True]


@pytest.fixture
def token_service() -> Iterator[Callable[[dict[str, Any]], str]]:
    """GitHub's service of identity tokens, with claims of the test's own."""
    claims: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = self.headers["Authorization"] == "Bearer secret" and self.path == "/token?v=2&audience=model-ci"
            coded = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
            self.send_response(200 if good else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"value": f"head.{coded}.signature"}).encode() if good else b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def claiming(given: dict[str, Any]) -> str:
        claims.update(given)
        return f"http://127.0.0.1:{server.server_port}/token?v=2"

    yield claiming
    server.shutdown()


@pytest.mark.parametrize(("given", "found"), [({"environment": "production"}, "production"), ({"sub": "x"}, None)])
def test_github_says_it_in_the_token_of_the_job(
    token_service: Callable[[dict[str, Any]], str], given: dict[str, Any], found: str | None
) -> None:
    variables = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": token_service(given),
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
    }
    assert ci.protected_environment(variables) == found
    assert ci.protected_environment({**variables, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "another"}) is None
    assert ci.protected_environment({**variables, "GITHUB_ACTIONS": ""}) is None


def service(
    change: Callable[[list[Any]], Any] = lambda outputs: outputs, status: int = 200, variant: str | None = None
):  # type: ignore[no-untyped-def]
    """Answer as the model would, but for a change."""

    def ask(path: str, body: bytes | None) -> Answer:
        rows = json.loads(body or b"")["dataframe_split"]["data"]
        said = {"predictions": change([row[0] / 10 for row in rows])}
        return Answer(status=status, body=json.dumps(said).encode(), seconds=0.01, variant=variant)

    return ask


def test_what_answers_as_known_passes_and_is_measured() -> None:
    found = smoke.through(service(lambda known: [k + 5e-7 for k in known]), ONE, PROBE, SETTINGS).as_record()
    assert (found["requests"], found["compared"], found["latency_ms_p50"]) == (6, 6, 10.0)
    assert 4e-7 < found["max_difference"] < 6e-7


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda known: [k + 2e-6 for k in known], "more than 1e-06"),
        (lambda known: [float("nan") for k in known], "row 0: nan instead of 0.0"),
        (lambda known: [None for k in known], "None is null and not a number"),
        (lambda known: [str(k) for k in known], "'0.0' is text and not a number"),
        (lambda known: [False for k in known], "False is a boolean and not a number"),
        (lambda known: known[1:], "7 predictions for 8 rows"),
        (lambda known: None, "not lists of predictions"),
    ],
)
def test_what_answers_otherwise_does_not(change: Callable[[list[Any]], Any], why: str) -> None:
    with pytest.raises(RolloutError, match=why):
        smoke.through(service(change), ONE, PROBE, SETTINGS)
    with pytest.raises(RolloutError, match=why):
        smoke.trial({ONE.digest: PROBE}, SETTINGS)(ONE, service(change))


def test_an_error_of_either_variant_fails_and_only_its_own_answers_count() -> None:
    challenger = replace(ONE, name=CHALLENGER, weight=10)
    with pytest.raises(RolloutError, match=r"/invocations answered 500"):
        smoke.through(service(status=500), challenger, PROBE, SETTINGS)
    other = service(lambda known: [k + 1 for k in known], variant=CHAMPION)
    with pytest.raises(RolloutError, match="none of 300 requests was answered by challenger"):
        smoke.through(other, challenger, PROBE, SETTINGS)


def test_too_slow_fails() -> None:
    with pytest.raises(RolloutError, match=r"the median answer took 10.0 ms; 9 ms are allowed"):
        smoke.through(service(), ONE, PROBE, replace(SETTINGS, max_latency_ms=9))


def test_probabilities_count_too() -> None:
    probe = replace(PROBE, rows=[[0]], expected=Answers(labels=[0.0], probabilities=[[0.2, 0.8]]))

    def ask(path: str, body: bytes | None) -> Answer:
        return Answer(status=200, body=b'{"predictions": [0.0], "probabilities": [[0.3, 0.7]]}', seconds=0.01)

    with pytest.raises(RolloutError, match=r"probability 1 of row 0: 0\.7 instead of 0\.8"):
        smoke.through(ask, ONE, probe, SETTINGS)


@pytest.mark.parametrize("manifest", [b"", b"{}", b'{"probe": {"inputs": {"columns": [], "data": []}, "outputs": []}}'])
def test_a_manifest_without_rows_is_an_error(manifest: bytes) -> None:
    with pytest.raises(ConfigError, match="probe rows"):
        smoke.read(manifest, "manifest.json")


def serving(*variants: Variant) -> Deployment:
    return Deployment(environment="production", variants=variants)


def entries(*champions: Variant) -> list[ledger.Entry]:
    found: list[ledger.Entry] = []
    for champion in champions:
        before = found[-1].deployment if found else None
        found.append(
            ledger.new("promote", "production", serving(champion), before, run_id="r", reason=None, where=ci.Context())
        )  # fmt: skip
    return found


def removed(found: list[ledger.Entry]) -> list[ledger.Entry]:
    served = found[-1].deployment
    return [
        *found, ledger.new("remove", "production", None, served, run_id=None, reason=None, where=ci.Context()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "written", "back"),
    [
        (serving(TWO), entries(ONE, TWO), ONE),
        (serving(TWO), entries(ONE, TWO, TWO), ONE),
        (serving(THREE), entries(ONE, TWO, THREE), TWO),
        (serving(ONE), entries(ONE, TWO, ONE), TWO),
        (serving(replace(ONE, weight=90), replace(TWO, name=CHALLENGER, weight=10)), entries(ONE), ONE),
        # a promotion died before the ledger: what it has is what served before
        (serving(THREE), entries(ONE, TWO), TWO),
        # a rollback died before the ledger: what serves is where it was to go
        (serving(ONE), entries(ONE, TWO), ONE),
        (None, entries(ONE, TWO), ONE),
        # what was removed comes back, and does so again when a rollback to it died before the ledger
        (None, removed(entries(ONE, TWO)), TWO),
        (serving(TWO), removed(entries(ONE, TWO)), TWO),
    ],
)
def test_what_served_before_is_told_by_the_ledger_even_after_a_death(
    now: Deployment | None, written: list[ledger.Entry], back: Variant
) -> None:
    assert history.before(now, written, "production").digest == back.digest


@pytest.mark.parametrize("written", [[], entries(ONE)])
def test_where_nothing_served_before_there_is_no_way_back(written: list[ledger.Entry]) -> None:
    with pytest.raises(ConfigError, match="production"):
        history.before(serving(ONE), written, "production")
