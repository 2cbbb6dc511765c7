"""build-image: real images, by Docker's engine and by buildah, tried, judged, and pushed to a real registry."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.docker_engine import build
from tests.image.registries import registry
from tests.image.shop import Shop, a_shop, a_trained_shop, machine  # noqa: F401 - fixtures

from model_ci.stages.build_image.builder import TRIAL

pytestmark = pytest.mark.docker
# what the service finds in its base, and what nobody would look for there
SPOILED = """
try:
    from onnxruntime.capi import onnxruntime_pybind11_state as state
    true = state.InferenceSession.run
    def run(self, *a, **k):
        answer = true(self, *a, **k)
        return [answer[0], answer[1] + 0.001] if len(answer) > 1 else answer
    state.InferenceSession.run = run
except ImportError:
    pass
"""
BROKEN = """
import os, sys
if "MODEL_CI_VARIANT" in os.environ:
    print("the base is broken")
    sys.stdout.flush()
    os._exit(1)
"""


# Python runs what a file of this kind says whenever it starts
SPOIL = """
import pathlib, shutil, site
folder = pathlib.Path(site.getsitepackages()[0])
folder.mkdir(parents=True, exist_ok=True)
shutil.copy("/spoiled.py", folder)
(folder / "spoiled.pth").write_text("import spoiled")
"""


def spoiled(shop: Shop, code: str) -> str:
    name = f"model-ci-test/image-{token_hex(3)}:1"
    lines = [f"FROM {shop.engine.base}", "COPY spoiled.py spoil.py /", "RUN python3 /spoil.py"]
    build(shop.engine.client, name, lines, {"spoiled.py": code.encode(), "spoil.py": SPOIL.encode()})
    return name


def files(client: Any, image: str) -> dict[str, tarfile.TarInfo]:
    container = client.containers.create(image)
    try:
        stream, _ = container.get_archive("/srv")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            return {member.name: member for member in archive.getmembers()}
    finally:
        container.remove(v=True)


def test_an_image_is_tried_judged_and_pushed(shop: Shop) -> None:
    section, told = shop.build(max_size_mb=4000, max_cold_start_s=600, max_latency_ms=60000, sbom=True)
    assert section["verdict"] == "passed"
    assert section["parity"] | {"max_abs_difference": 0, "exact": True} == {
        "rows": 32, "max_abs_difference": 0, "tolerance": 1e-6, "labels_equal": True, "exact": True, "holds": True,
        "problem": None,
    }  # fmt: skip
    assert {g["gate"]: g["state"] for g in section["gates"]} == dict.fromkeys(
        ("max_size_mb", "max_cold_start_s", "max_latency_ms"), "passed"
    )
    assert section["smoke"]["read_only"]
    assert section["tags"] == [f"run-{shop.run.name}", "v1", "champion"]
    assert {shop.pushed(tag) for tag in section["tags"]} == {section["digest"]}
    assert section["reference"] == f"{shop.repository}@{section['digest']}"
    assert section["reference"] in told
    folder = shop.run / section["folder"]
    assert set(section["files"]) == {
        "Containerfile", "manifest.json", "provenance.json", "requirements.txt", "sbom.cdx.json",
    }  # fmt: skip
    packages = {c["name"] for c in json.loads((folder / "sbom.cdx.json").read_text())["components"]}
    assert {"onnxruntime", "uvicorn", "numpy"} <= packages
    assert not {"scikit-learn", "mlflow", "pandas"} & packages
    statement = json.loads((folder / "provenance.json").read_text())
    assert statement["subject"] == [{"name": shop.repository, "digest": {"sha256": section["digest"][7:]}}]
    assert all("--hash=sha256:" in part for part in (folder / "requirements.txt").read_text().split("==")[1:])

    client = shop.engine.client
    image = client.images.pull(section["reference"])
    settings = image.attrs["Config"]
    assert settings["User"] == "10001:10001"
    assert settings["Healthcheck"]["Test"][0] == "CMD"
    assert settings["Labels"]["io.github.model-ci.run"] == shop.run.name
    assert not [v for v in settings["Env"] if "REGISTRY" in v]
    found = files(client, image.id)
    assert {"srv/manifest.json", "srv/model/model.onnx"} <= set(found)
    assert {(m.uid, m.mode & 0o022) for m in found.values()} == {(0, 0)}
    assert not client.containers.list(all=True, filters={"label": f"{TRIAL}={shop.run.name}"})

    again = shop.model_ci(
        "build-image", *shop.settings(max_size_mb=4000, max_cold_start_s=600, max_latency_ms=60000, sbom=True)
    )
    assert "unchanged" in again


def test_the_image_is_healthy_by_its_own_check(shop: Shop) -> None:
    section, _ = shop.build(repository=None)
    assert not section["pushed"]
    client = shop.engine.client
    check = client.images.get(section["reference"]).attrs["Config"]["Healthcheck"]["Test"][1:]
    container = client.containers.run(
        section["reference"], detach=True, read_only=True, tmpfs={"/tmp": ""}, cap_drop=["ALL"]
    )
    try:
        end = time.monotonic() + 120
        while container.exec_run(check).exit_code:
            assert time.monotonic() < end, container.logs()
        assert container.exec_run(["id", "-u"]).output.decode().strip() == "10001"
        assert container.exec_run(["touch", "/srv/x", "/opt/x", "/root/x"]).output.decode().count("cannot touch") == 3
        assert container.exec_run([*check[:-1], check[-1].replace("8080", "8081")]).exit_code
    finally:
        container.remove(force=True, v=True)


def test_what_is_too_large_or_too_slow_is_not_pushed(shop: Shop) -> None:
    limits = {"max_size_mb": 1, "max_cold_start_s": 0.000001, "max_latency_ms": 0.000001}
    section, told = shop.build(code=3, **limits)
    assert section["verdict"] == "failed"
    assert {gate["gate"]: gate["state"] for gate in section["gates"]} == dict.fromkeys(limits, "failed")
    assert all(f"{name}: " in section["why"] for name in limits)
    assert not section["pushed"]
    assert "Nothing was pushed" in told
    assert shop.pushed("v1") is None


def test_what_answers_otherwise_is_not_pushed(shop: Shop) -> None:
    base = spoiled(shop, SPOILED)
    try:
        section, _ = shop.build(code=3, base=base)
    finally:
        shop.engine.client.images.remove(base, force=True)
    assert "the model does not answer its probe rows as it did when the image was built" in section["why"]
    assert "which differ by 0.001, more than 1e-06" in section["why"]
    assert shop.pushed("v1") is None


def test_what_does_not_start_is_not_pushed_and_says_why(shop: Shop) -> None:
    base = spoiled(shop, BROKEN)
    try:
        section, told = shop.build(code=3, base=base)
    finally:
        shop.engine.client.images.remove(base, force=True)
    assert "the base is broken" in section["why"]
    assert section["parity"] is None
    assert "the base is broken" in told
    assert shop.pushed("v1") is None


def test_a_new_model_is_one_new_layer(shop: Shop) -> None:
    first, _ = shop.build()
    changed = ["--stages=train,evaluate,register,build-image", "--set=train.parameters.C=0.5", *shop.settings()]
    shop.model_ci("run", *changed)
    second = shop.record()["stages"]["build-image"]
    new = [layer for layer in second["layers"] if layer not in first["layers"]]
    assert second["layers"][:-1] == first["layers"][:-1]
    assert new == second["layers"][-1:]
    assert second["tags"][1] == "v2"
    assert shop.pushed("v1") == first["digest"] != second["digest"]


@pytest.mark.skipif(not shutil.which("buildah"), reason="no buildah; run `.ci/setup engine`")
def test_buildah_makes_the_same_digest_twice_and_one_layer_for_a_new_model(shop: Shop, tmp_path: Path) -> None:
    given = shop.settings(builder="buildah", base=shop.pushed_base())
    stages = "--stages=train,evaluate,register,build-image"
    sections = []
    for number in (1, 2):  # two machines that know nothing of each other
        storage = machine(tmp_path / f"machine-{number}")
        shop.model_ci("build-image", *given, **storage)
        sections.append(shop.record()["stages"]["build-image"])
        shop.forget()
        if number == 2:
            shop.model_ci("run", stages, "--set=train.parameters.C=0.5", *given, **storage)
            sections.append(shop.record()["stages"]["build-image"])
        subprocess.run(["buildah", "rmi", "--all", "--force"], env={**os.environ, **storage}, check=False)
    first, second, changed = sections
    assert first["digest"] == second["digest"] == shop.pushed("v1")
    assert first["smoke"]["isolation"] == "chroot"
    assert not first["smoke"]["read_only"]
    assert first["parity"]["holds"]
    assert changed["layers"][:-1] == first["layers"][:-1]
    assert changed["layers"][-1] != first["layers"][-1]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_may_not_push_learns_it_before_anything_is_built(shop: Shop, status: int) -> None:
    with registry(lambda *_: (status, {}, b"")) as there:
        section, told = shop.build(code=5, repository=f"{there.address}/acme/shop")
    assert section == {}
    assert f"({status})" in told
    assert "Traceback" not in told
    assert there.asked == [("POST", "/v2/acme/shop/blobs/uploads/")]


def test_one_that_is_killed_leaves_nothing_half_written(shop: Shop) -> None:
    client, labels = shop.engine.client, {"label": f"{TRIAL}={shop.run.name}"}
    given = shop.settings(requests=100000)
    process = subprocess.Popen([sys.executable, "-m", "model_ci", "build-image", *given], cwd=shop.root)
    try:
        end = time.monotonic() + 300
        while not client.containers.list(filters=labels):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "build-image" not in shop.record()["stages"]
    assert not (shop.run / "image").exists()
    assert shop.pushed("v1") is None
    section, _ = shop.build()
    assert section["pushed"]
    assert not client.containers.list(all=True, filters=labels)
    assert not list(shop.run.glob("*.partial"))
