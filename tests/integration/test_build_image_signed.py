"""An image is signed with a key, really, and whose signature counts is checked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.image.shop import Shop, a_shop, a_trained_shop  # noqa: F401 - fixtures

from model_ci import config as configuration
from model_ci import image
from model_ci.errors import ConfigError
from model_ci.image.signing import UnsignedError

pytestmark = pytest.mark.docker
STAND_IN = """#!{python}
import json, os, pathlib, sys
config = pathlib.Path(os.environ.get("DOCKER_CONFIG", "/absent")) / "config.json"
told = {{
    "arguments": sys.argv[1:],
    "token": os.environ.get("SIGSTORE_ID_TOKEN"),
    "logins": json.loads(config.read_text()) if config.is_file() else None,
}}
with open({file!r}, "a") as log:
    log.write(json.dumps(told) + "\\n")
print(json.dumps([{{"critical": {{}}}}]))
"""


def require_cosign() -> None:
    if not shutil.which("cosign"):
        if os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
            pytest.fail("no cosign; run `.ci/setup engine`")
        pytest.skip("no cosign; run `.ci/setup engine`")


def keys(folder: Path) -> tuple[str, str]:
    """Make a pair of keys; return the private one and the name of the public one's file."""
    folder.mkdir()
    environment = {**os.environ, "COSIGN_PASSWORD": "open sesame"}
    subprocess.run(["cosign", "generate-key-pair"], cwd=folder, env=environment, check=True, capture_output=True)
    return (folder / "cosign.key").read_text(), str(folder / "cosign.pub")


def test_what_is_signed_is_verified_and_nothing_else(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_cosign()
    (private, public), (_, other) = keys(tmp_path / "ours"), keys(tmp_path / "theirs")

    def check(reference: str, **given: str) -> None:
        settings = [f"build-image.signature.{name}={value}" for name, value in given.items()]
        image.verify(configuration.load(shop.root / "model-ci.yaml", settings), reference)

    assert "the environment has no SIGNING_KEY" in shop.build(code=2, signature={"key": "SIGNING_KEY"})[1]
    unsigned, _ = shop.build()
    with pytest.raises(UnsignedError, match="no valid signature"):
        check(unsigned["reference"], public_key=public)
    shop.forget()
    monkeypatch.setenv("SIGNING_KEY", private)
    monkeypatch.setenv("COSIGN_PASSWORD", "open sesame")
    section, told = shop.build(signature={"key": "SIGNING_KEY"}, tags=["signed"])
    assert section["signature"] == {"by": "key", "transparency_log": False}
    monkeypatch.delenv("SIGNING_KEY")
    check(section["reference"], public_key=public)
    with pytest.raises(UnsignedError, match="no valid signature"):
        check(section["reference"], public_key=other)
    with pytest.raises(ConfigError, match="nothing says who must have signed"):
        check(section["reference"])
    with pytest.raises(ConfigError, match="no file"):
        check(section["reference"], public_key="absent.pub")
    with pytest.raises(ConfigError, match="a tag may point elsewhere"):
        check(f"{shop.repository}:v1", public_key=public)
    secrets = (private.splitlines()[1], "open sesame")
    everything = told + "".join(f.read_text(errors="replace") for f in shop.run.rglob("*") if f.is_file())
    assert not [secret for secret in secrets if secret in everything]


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in cosign's place."""
    folder.mkdir()
    (folder / "cosign").write_text(text)
    (folder / "cosign").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_stand_in_of_cosign_is_told_to_sign_and_to_verify_by_identity(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    program(tmp_path / "programs", STAND_IN.format(python=sys.executable, file=str(notes)), monkeypatch)
    for name, value in {"SIGSTORE_ID_TOKEN": "of the job", "MODEL_CI_REGISTRY_USER": "u"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODEL_CI_REGISTRY_PASSWORD", "p")
    who = {"identity": "^https://github.com/acme/", "issuer": "https://token.actions.githubusercontent.com"}
    section, _ = shop.build(signature={"keyless": True, **who})
    assert section["signature"] == {"by": "identity", "transparency_log": True}
    settings = [f"build-image.signature.{name}={value}" for name, value in who.items()]
    settings.append(f"build-image.repository={shop.repository}")
    image.verify(configuration.load(shop.root / "model-ci.yaml", settings), section["reference"])

    sign, verify = [json.loads(line) for line in notes.read_text().splitlines()]
    plain = ["--allow-http-registry", "--allow-insecure-registry"]  # the registry is on this machine
    assert sign["arguments"] == ["sign", "--yes", *plain, section["reference"]]
    assert verify["arguments"] == [
        "verify", "--output=json", *plain, "--certificate-identity-regexp", who["identity"],
        "--certificate-oidc-issuer", who["issuer"], section["reference"],
    ]  # fmt: skip
    assert sign["token"] == "of the job"
    login: dict[str, Any] = {"auths": {shop.engine.registry: {"auth": "dTpw"}}}
    assert [sign["logins"], verify["logins"]] == [login, login]


def test_where_sigstore_is_away_signing_by_identity_ends_with_five(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_cosign()
    token = ".".join(("eyJhbGciOiJSUzI1NiJ9", "eyJpc3MiOiJodHRwczovL2dpdGxhYi5jb20iLCJzdWIiOiJ4In0", "c2ln"))
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    wrapped = f'#!/bin/sh\nHTTPS_PROXY=http://127.0.0.1:9 exec {shutil.which("cosign")} "$@"\n'  # where nobody is
    program(tmp_path / "programs", wrapped, monkeypatch)
    section, told = shop.build(code=5, signature={"keyless": True})
    assert section == {}
    assert f"cosign cannot sign {shop.repository}@sha256:" in told
    assert "fulcio.sigstore.dev" in told
    assert "the image is pushed and unsigned" in told
    assert shop.pushed("v1")
