"""A client of the artifact protocol (version 4), for the server that act has; only the standard library."""

import base64
import fnmatch
import glob
import hashlib
import io
import json
import os
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOKEN = os.environ["ACTIONS_RUNTIME_TOKEN"]
SERVICE = os.environ["ACTIONS_RESULTS_URL"].rstrip("/") + "/twirp/github.actions.results.api.v1.ArtifactService/"


def call(method: str, **body: object) -> Any:
    """Call the artifact service."""
    claims = TOKEN.split(".")[1]
    scopes = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["scp"].split()
    run, job = next(s for s in scopes if s.startswith("Actions.Results:")).split(":")[1:3]
    body |= {"workflowRunBackendId": run, "workflowJobRunBackendId": job}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    with urllib.request.urlopen(
        urllib.request.Request(SERVICE + method, json.dumps(body).encode(), headers), timeout=30
    ) as answer:
        return json.load(answer)


def names() -> list[str]:
    """Return the artifacts of this run."""
    try:
        return sorted({artifact["name"] for artifact in call("ListArtifacts").get("artifacts", [])})
    except OSError:  # act drops the connection while the run has no artifact
        return []


def fail(message: str) -> None:
    """End the step with an annotation."""
    sys.exit(f"::error::{message}")


def files_below(place: Path, hidden: bool) -> Iterator[Path]:
    """Return the files of a file or folder; a hidden one below it only when asked for."""
    for file in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
        inside = file.relative_to(place.parent if place.is_file() else place).parts
        if hidden or not any(part.startswith(".") for part in inside):
            yield file.resolve()


def select(lines: list[str], hidden: bool) -> tuple[list[Path], Path]:
    """Return the files that the lines name and the folder that their names in the archive begin below."""
    files: set[Path] = set()
    excluded: set[Path] = set()
    roots: list[str] = []
    for line in lines:
        for match in glob.glob(line.lstrip("!"), recursive=True, include_hidden=True):  # noqa: PTH207
            place = Path(match)
            (excluded if line.startswith("!") else files).update(files_below(place, hidden))
            if not line.startswith("!"):
                roots.append(str((place if place.is_dir() else place.parent).resolve()))
    return sorted(files - excluded), Path(os.path.commonpath(roots)) if roots else Path()


def upload() -> dict[str, str]:
    """Upload what ARTIFACT_PATH names."""
    name, none = os.environ["ARTIFACT_NAME"], os.environ["ARTIFACT_NONE"]
    if set(name) & set('":<>|*?\r\n\\/'):
        fail(f"The artifact name is not valid: {name}")
    lines = [line.strip() for line in os.environ["ARTIFACT_PATH"].splitlines() if line.strip()]
    files, root = select(lines, os.environ["ARTIFACT_HIDDEN"] == "true")
    if not files:
        message = f"No files were found with the provided path: {lines}"
        if none == "error":
            fail(message)
        print(f"::warning::{message}" if none == "warn" else message)
        return {}
    if os.environ["ARTIFACT_OVERWRITE"] != "true" and name in names():
        fail(f"An artifact with this name already exists: {name}")
    return send(name, files, root)


def send(name: str, files: list[Path], root: Path) -> dict[str, str]:
    """Upload files as one archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(root))
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    address = call("CreateArtifact", name=name, version=4)["signedUploadUrl"]
    for part, content in (("block", data), ("blocklist", b"")):
        request = urllib.request.Request(f"{address}&comp={part}", content, method="PUT")
        urllib.request.urlopen(request, timeout=60)
    done = call("FinalizeArtifact", name=name, size=str(len(data)), hash=f"sha256:{digest}")
    print(f"Artifact {name}: {len(files)} files, {len(data)} bytes")
    return {"artifact-id": str(done.get("artifactId", "")), "artifact-digest": digest}


def download() -> dict[str, str]:
    """Download the artifacts that ARTIFACT_NAME or ARTIFACT_PATTERN names."""
    name, pattern = os.environ["ARTIFACT_NAME"], os.environ["ARTIFACT_PATTERN"]
    folder = Path(os.environ["ARTIFACT_PATH"] or ".").expanduser().resolve()
    chosen = [a for a in names() if (a == name if name else fnmatch.fnmatch(a, pattern or "*"))]
    if name and not chosen:
        fail(f"Unable to download artifact(s): Artifact not found for name: {name}")
    for artifact in chosen:
        flat = name or os.environ["ARTIFACT_MERGE"] == "true"
        receive(artifact, folder if flat else folder / artifact)
    return {"download-path": str(folder)}


def receive(artifact: str, folder: Path) -> None:
    """Download one artifact into a folder."""
    address = call("GetSignedArtifactURL", name=artifact)["signedUrl"]
    with urllib.request.urlopen(address, timeout=60) as answer:
        data = answer.read()
    folder.mkdir(parents=True, exist_ok=True)
    zipfile.ZipFile(io.BytesIO(data)).extractall(folder)
    print(f"Artifact {artifact} -> {folder}")


if __name__ == "__main__":
    outputs = {"upload": upload, "download": download}[sys.argv[1]]()
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
        file.writelines(f"{key}={value}\n" for key, value in outputs.items())
