"""The image's parts that need no builder: names, logins, registries that refuse, judgements, labels, the recipe."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tests.image.registries import Answer, Registry, registry

from model_ci import config as configuration
from model_ci.config import BuildImage
from model_ci.errors import ConfigError, ServiceError
from model_ci.image import repository, signing
from model_ci.image.repository import Login, Name, Repository
from model_ci.stages.build_image import context, provenance, trial
from model_ci.stages.build_image import requirements as lock
from model_ci.stages.build_image import stage as build_image

SMALLEST = (Path(__file__).parents[1] / "examples" / "valid" / "smallest" / "model-ci.yaml").read_text()
LOGIN = Login(user="robot", password="secret")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_ci.web.sleep", lambda _: None)
    for name in ("MODEL_CI_REGISTRY_USER", "MODEL_CI_REGISTRY_PASSWORD", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def settings(tmp_path: Path, **given: Any) -> BuildImage:
    file = tmp_path / "model-ci.yaml"
    file.write_text(SMALLEST)
    return configuration.load(file, [f"build-image.{n}={json.dumps(v)}" for n, v in given.items()]).build_image


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag"),
    [
        ("python:3.11-slim", "docker.io", "library/python", "3.11-slim"),
        ("acme/shop", "docker.io", "acme/shop", "latest"),
        ("ghcr.io/acme/shop", "ghcr.io", "acme/shop", "latest"),
        ("localhost/shop:1", "localhost", "shop", "1"),
        ("127.0.0.1:5000/a/b/c_d__e.f-g", "127.0.0.1:5000", "a/b/c_d__e.f-g", "latest"),
    ],
)
def test_names_are_read_as_docker_reads_them(text: str, registry: str, path: str, tag: str) -> None:
    name = Name.parse(text, "here")
    assert (name.registry, name.path, name.tag) == (registry, path, tag)
    assert name.plain == registry.startswith(("localhost", "127."))


@pytest.mark.parametrize(
    "text", ["", "ghcr.io/", "ghcr.io/Acme/shop", "a//b", "https://ghcr.io/a", "a b", "a:b:c", "a/-b"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no image's name"):
        Name.parse(text, "build-image.repository")


@pytest.mark.parametrize(
    ("status", "login", "words", "tries"),
    [
        (401, None, "wants a login", 1),
        (401, LOGIN, "does not take the login", 1),
        (403, LOGIN, "packages: write", 1),
        (404, LOGIN, "no such repository", 1),
        (429, None, "too often", 4),
        (500, None, "answered 500 (upset), tried 4 times", 4),
        (503, None, "answered 503 (upset), tried 4 times", 4),
    ],
)
def test_a_refusal_says_what_to_do(status: int, login: Login | None, words: str, tries: int) -> None:
    def answer(told: Registry, method: str, path: str, authorization: str | None) -> Answer:
        return status, {}, b'{"errors": [{"code": "X", "message": "upset"}]}'

    with registry(answer) as there:
        name = Name.parse(f"{there.address}/acme/shop", "here")
        with pytest.raises(ServiceError) as refused:
            Repository(name, login).require_push()
    assert words in str(refused.value)
    assert f"{there.address}/acme/shop: " in str(refused.value)
    assert "secret" not in str(refused.value)
    assert len(there.asked) == tries


def test_a_registry_that_is_away_is_a_service_that_is_away() -> None:
    with registry(lambda *_: (200, {}, b"")) as there:
        pass
    with pytest.raises(ServiceError, match="cannot be reached"):
        Repository(Name.parse(f"{there.address}/shop", "here"), None).require_push()


def test_a_registry_that_was_busy_is_asked_again() -> None:
    def answer(told: Registry, method: str, path: str, authorization: str | None) -> Answer:
        return (503, {}, b"") if len(told.asked) < 3 else (202, {}, b"")

    with registry(answer) as there:
        Repository(Name.parse(f"{there.address}/shop", "here"), None).require_push()
    assert len(there.asked) == 3


def test_a_token_is_fetched_with_the_login_and_used() -> None:
    def answer(told: Registry, method: str, path: str, authorization: str | None) -> Answer:
        if path.startswith("/token"):
            assert "scope=repository%3Ashop%3Apull%2Cpush" in path
            return 200, {}, b'{"token": "t0k3n"}'
        if authorization != "Bearer t0k3n":
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{told.address}/token",service="s"'}, b""
        return 202, {}, b""

    with registry(answer) as there:
        Repository(Name.parse(f"{there.address}/shop", "here"), LOGIN).require_push()
    basic = "Basic " + base64.b64encode(b"robot:secret").decode()
    assert there.authorizations == [basic, basic, "Bearer t0k3n"]


def test_an_upload_elsewhere_does_not_get_the_password() -> None:
    with registry(lambda *_: (204, {}, b"")) as other:
        answers = iter([(202, {"Location": f"http://{other.address}/upload"}, b"")])
        with registry(lambda *_: next(answers)) as there:
            Repository(Name.parse(f"{there.address}/shop", "here"), LOGIN).require_push()
    assert (other.asked, other.authorizations) == ([("DELETE", "/upload")], [None])


def test_a_password_goes_only_to_the_registry_it_is_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(tmp_path, repository="ghcr.io/acme/shop", login={"user": "U", "password": "P"})
    ghcr, other = Name.parse("ghcr.io/acme/shop", ""), Name.parse("registry.example/acme/shop", "")
    assert repository.login(ghcr, given) is None
    for name, value in {"": "ghcr.io", "_USER": "me", "_PASSWORD": "token"}.items():
        monkeypatch.setenv(f"MODEL_CI_PLATFORM_REGISTRY{name}", value)
    assert repository.login(ghcr, given) == Login(user="me", password="token")
    assert repository.login(other, given) is None
    monkeypatch.setenv("P", "secret")
    with pytest.raises(ConfigError, match="P is set and U is not"):
        repository.login(ghcr, given)
    monkeypatch.setenv("U", "robot")
    assert repository.login(ghcr, given) == LOGIN
    assert repository.login(other, given) is None


def test_what_docker_login_left_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(b"robot:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}, "other.example": {}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    given = settings(tmp_path)
    assert repository.login(Name.parse("ghcr.io/acme/shop", ""), given) == LOGIN
    assert repository.login(Name.parse("other.example/acme/shop", ""), given) is None


def test_a_login_file_is_ours_alone_and_goes(tmp_path: Path) -> None:
    with repository.login_file(Name.parse("ghcr.io/acme/shop", ""), LOGIN) as variables:
        file = Path(variables["REGISTRY_AUTH_FILE"])
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert not file.parent.exists()


def test_what_was_not_measured_does_not_pass() -> None:
    limits = {"max_size_mb": 100.0, "max_cold_start_s": 2.0, "max_latency_ms": None}
    states = {g["gate"]: g["state"] for g in trial.judge(limits, {"size_mb": 100.0})}
    assert states == {"max_size_mb": "passed", "max_cold_start_s": "failed"}
    assert trial.judge(limits, {"size_mb": math.nan, "cold_start_s": 2.1})[0]["state"] == "failed"
    assert trial.judge(limits, {"size_mb": 1, "cold_start_s": 2.1})[1]["state"] == "failed"


def test_the_recipe_puts_what_changes_last() -> None:
    text = context.containerfile("python:3.11-slim", {"a.b": 'say "$HOME" \\ it\nnow'})
    final = text.rpartition("FROM ")[2].splitlines()
    copied = [line.split()[-1] for line in final if line.startswith("COPY")]
    assert copied == ["/opt/model-ci/packages", context.LOG, "/opt/model-ci/code", "/srv"]
    assert f"USER {context.USER}:{context.USER}" in final
    assert not [line for line in final if line.startswith("RUN")]
    assert final[-1] == r'LABEL "a.b"="say \"\$HOME\" \\ it now"'


def test_versions_are_those_that_are_installed() -> None:
    found = lock.installed(["uvicorn==0.0.1", "nothing-of-that-name==1"])
    names = {line.partition("==")[0] for line in found}
    assert {"click", "h11"} <= names
    assert not {"uvicorn", "nothing-of-that-name", "httptools"} & names


def test_labels_leave_out_what_is_not_known() -> None:
    record = {
        "run_id": "r", "model": {"name": "shop", "task": "binary"}, "tool": {"version": "1"},
        "code": {"commit": None, "repository": None, "dirty": None}, "stages": {"train": {"data": {"sha256": "d"}}},
    }  # fmt: skip
    base = context.Base("python:3.11-slim", "sha256:b", "3.11", "amd64")
    found = provenance.labels(record, None, base, {"digest": "m", "engine": "onnx"})
    assert found["io.github.model-ci.run"] == "r"
    assert {"org.opencontainers.image.revision", "org.opencontainers.image.version"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"repository": "ghcr.io/acme/shop:1"}, "has a tag or digest"),
        ({"repository": "ghcr.io/Acme/shop"}, "is no image's name"),
        ({"signature": {"keyless": True}}, "an image that is not pushed cannot be signed"),
        (
            {"repository": "ghcr.io/acme/shop", "signature": {"key": "NO_SUCH_KEY"}},
            "the environment has no NO_SUCH_KEY",
        ),
    ],
)
def test_what_would_fail_later_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], why: str
) -> None:
    monkeypatch.setattr(signing, "_program", lambda: "cosign")
    file = tmp_path / "model-ci.yaml"
    file.write_text(SMALLEST)
    with pytest.raises(ConfigError, match=why):
        build_image.check(configuration.load(file, [f"build-image.{n}={json.dumps(v)}" for n, v in given.items()]))


@pytest.mark.parametrize("allowed", [False, True])
def test_an_image_that_was_not_tried_is_a_no_unless_that_is_allowed(tmp_path: Path, allowed: bool) -> None:
    tried = {"smoke": None, "parity": None, "trouble": "buildah run: not permitted", "gates": []}
    verdict, why = build_image._verdict(settings(tmp_path, allow_untried=allowed), tried)
    assert verdict == ("passed" if allowed else "failed")
    assert "not permitted" in why
    late = {**tried, "gates": [{"gate": "max_cold_start_s", "limit": 1.0, "value": None, "state": "failed"}]}
    assert build_image._verdict(settings(tmp_path, allow_untried=allowed), late)[0] == "failed"


def test_what_started_but_did_not_answer_is_a_no_even_where_untried_images_are_allowed(tmp_path: Path) -> None:
    tried = {"smoke": {"rows": 32}, "parity": None, "trouble": "not ready within 1 s", "gates": []}
    assert build_image._verdict(settings(tmp_path, allow_untried=True), tried)[0] == "failed"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("unauthorized: authentication required", 401),
        ("denied: requested access to the resource is denied", 403),
        ("name unknown: repository not found", 404),
        ("toomanyrequests: upset", 429),
        ("received unexpected HTTP status: 503 Service Unavailable", 503),
        ("dial tcp: lookup registry.example: no such host", 0),
        ("net/http: TLS handshake timeout", 0),
        ("EOF", 0),
        ("the disk is full", None),
    ],
)
def test_a_builders_complaint_is_understood(said: str, status: int | None) -> None:
    assert repository.status(said) == status
