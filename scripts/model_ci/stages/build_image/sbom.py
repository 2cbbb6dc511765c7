"""What is in the image, package by package: CycloneDX, as syft finds it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from model_ci.errors import ServiceError
from model_ci.stages.build_image.builder import Builder, Image
from model_ci.types import Document

FILE: Final = "sbom.cdx.json"


def write(builder: Builder, image: Image, folder: Path) -> Document:
    """Write the bill of the image's materials; return what the record says of it."""
    with tempfile.TemporaryDirectory(prefix="model-ci-sbom-") as scratch:
        source = builder.scan(image, Path(scratch))
        file = folder / FILE
        environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "SYFT_CACHE_DIR": scratch}
        command = [_program(), "scan", source, "--quiet", "--output", f"cyclonedx-json={file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise ServiceError(f"build-image: syft cannot read the image: {' '.join(done.stderr.split())}")
    document = json.loads(file.read_bytes())
    kinds = Counter(_kind(c.get("purl", "")) for c in document.get("components", []) if c.get("type") == "library")
    return {"file": FILE, "format": f"CycloneDX {document['specVersion']}", "components": dict(sorted(kinds.items()))}


def _kind(purl: str) -> str:
    return purl.removeprefix("pkg:").partition("/")[0] or "other"


def _program() -> str:
    """Return the syft of this very environment, else the one on the path."""
    ours = Path(sys.executable).with_name("syft")
    if ours.is_file():
        return str(ours)
    if program := shutil.which("syft"):
        return program
    raise ServiceError("build-image: there is no syft to list the image's packages; install model-ci[build-image]")
