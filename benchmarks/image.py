"""Our image beside the one that MLflow makes of the same model, on the same base; and what a new model costs to push.

MLflow's recipe names its base, without a way to change it: the base is given that name while it builds, and loses it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import docker

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests import docker_engine as engine  # noqa: E402 - the path comes first

BAR: Final = 0.45
NAME: Final = "model-ci-bench"
PROJECT: Final = ROOT / "tests" / "ci" / "consumer"


def model_ci(project: Path, *arguments: str) -> dict[str, Any]:
    """Run a command in the project and return its newest record."""
    done = subprocess.run(["model-ci", *arguments], cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"model-ci {arguments[0]}: {done.stdout}{done.stderr}")
    newest = max((project / ".model-ci" / "runs").glob("*/run.json"))
    return json.loads(newest.read_text())  # type: ignore[no-any-return]


def ours(project: Path, settings: dict[str, Any], parameter: float) -> dict[str, Any]:
    """Train, build, try and push; return the section of the record."""
    given = [f"--set=build-image.{name}={json.dumps(value)}" for name, value in settings.items()]
    stages = "--stages=train,evaluate,register,build-image"
    record = model_ci(project, "run", stages, f"--set=train.parameters.C={parameter}", *given)
    return record["stages"]["build-image"]  # type: ignore[no-any-return]


def theirs(client: Any, project: Path, base: str, scratch: Path) -> float:
    """Build MLflow's image of the newest run's model; return its size in MiB."""
    newest = max((project / ".model-ci" / "runs").glob("*/run.json")).parent
    command = ["mlflow", "models", "generate-dockerfile", "-m", str(newest / "model"), "-d", str(scratch / "theirs")]
    subprocess.run(command, check=True, capture_output=True)
    recipe = (scratch / "theirs" / "Dockerfile").read_text()
    (named,) = re.findall(r"^FROM (\S+)", recipe, re.MULTILINE)
    there = client.images.list(name=named)
    client.images.get(base).tag(named)
    try:
        image, _ = client.images.build(path=str(scratch / "theirs"), tag=f"{NAME}:mlflow", rm=True, forcerm=True)
    finally:
        client.images.remove(named)
        for image_before in there:
            image_before.tag(named)
    return float(image.attrs["Size"]) / 2**20


def sent(before: dict[str, Any], after: dict[str, Any]) -> list[int]:
    """Return the sizes of the layers that the registry did not have."""
    known = {layer["digest"] for layer in before["layers"]}
    return [layer["bytes"] for layer in after["layers"] if layer["digest"] not in known]


def main() -> int:
    """Print the figures; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=engine.BASE, help="image that both stand on")
    base = parser.parse_args().base
    client = docker.from_env(timeout=1800)
    engine._make_base(client)
    engine._make_registry(client)
    missed = []
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-") as folder:
        scratch = Path(folder)
        project = shutil.copytree(PROJECT, scratch / "project")
        with engine._shared_registry(client, scratch / "registry.json") as registry:
            client.api.tag(base, f"{registry}/base", "1")
            client.api.push(f"{registry}/base", "1")
            found: dict[str, dict[str, Any]] = {}
            for builder, named, served in (
                ("docker", base, "onnx"), ("docker", base, "sklearn"), ("buildah", f"{registry}/base:1", "onnx"),
            ):  # fmt: skip
                what = f"{builder}, {served}"
                settings = {"base": named, "repository": f"{registry}/{NAME}/{builder}", "sbom": False,
                            "builder": builder, "engine": served}  # fmt: skip
                first, second = ours(project, settings, 1.0), ours(project, settings, 0.5)
                found[what] = second
                new = sent(first, second)
                total = sum(layer["bytes"] for layer in second["layers"])
                smoke = second["smoke"]
                print(
                    f"{what}: {second['size_mb']:.0f} MiB, {len(second['layers'])} layers; cold start {smoke['cold_start_s']:.2f} s; "
                    f"a new model sends {len(new)} layer of {sum(new) / 1024:.1f} KiB, of {total / 2**20:.0f} MiB",
                    flush=True,
                )
                if len(new) != 1:
                    missed.append(f"{what}: a new model sends {len(new)} layers")
            client.images.remove(f"{registry}/base:1")
        size = theirs(client, project, base, scratch)
        client.images.remove(f"{NAME}:mlflow", force=True)
        bottom = client.images.get(base).attrs["Size"] / 2**20
        print(f"MLflow: {size:.0f} MiB; the base of all of them: {bottom:.0f} MiB")
        for what, section in found.items():
            ratio = section["size_mb"] / size
            print(f"{what}: {ratio:.3f} of MLflow's (bar {BAR})")
            if ratio > BAR and "onnx" in what:
                missed.append(f"{what}: {ratio:.3f} of MLflow's size, more than {BAR}")
    print("\n".join(missed) or "all bars are met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
