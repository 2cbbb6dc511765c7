"""An image is signed with a key, really, and whose signature counts is checked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.image.shop import Shop, a_shop, a_trained_shop  # noqa: F401 - fixtures

from model_ci import config as configuration
from model_ci import image
from model_ci.errors import ConfigError
from model_ci.image.signature import UnsignedError

pytestmark = pytest.mark.docker


def keys(folder: Path) -> tuple[str, str]:
    """Make a pair of keys; return the private one and the name of the public one's file."""
    folder.mkdir()
    environment = {**os.environ, "COSIGN_PASSWORD": "open sesame"}
    subprocess.run(["cosign", "generate-key-pair"], cwd=folder, env=environment, check=True, capture_output=True)
    return (folder / "cosign.key").read_text(), str(folder / "cosign.pub")


def test_what_is_signed_is_verified_and_nothing_else(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("cosign"):
        if os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
            pytest.fail("no cosign; run `.ci/setup engine`")
        pytest.skip("no cosign; run `.ci/setup engine`")
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
