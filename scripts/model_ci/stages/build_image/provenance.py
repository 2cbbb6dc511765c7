"""Where an image comes from: its labels, and a statement as SLSA writes them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from model_ci.stages.build_image.context import Base
from model_ci.types import Document

if TYPE_CHECKING:
    from model_ci.record_types import Record
    from model_ci.types import Settings


FILE: Final = "provenance.json"
_OCI: Final = "org.opencontainers.image"
_OURS: Final = "io.github.model-ci"


def labels(record: "Record", version: str | None, base: Base, manifest: Mapping[str, object]) -> dict[str, str]:
    """Return the image's labels: what it is, and what it was made from. Equal for equal runs."""
    code, trained = record["code"], record["stages"]["train"]
    values = {
        f"{_OCI}.title": record["model"]["name"],
        f"{_OCI}.description": f"{record['model']['name']}, a model for {record['model']['task']}, as a service",
        f"{_OCI}.version": version,
        f"{_OCI}.revision": code["commit"],
        f"{_OCI}.source": code["repository"],
        f"{_OCI}.base.name": base.reference,
        f"{_OCI}.base.digest": base.digest,
        f"{_OURS}.run": record["run_id"],
        f"{_OURS}.model-digest": manifest["digest"],
        f"{_OURS}.engine": manifest["engine"],
        f"{_OURS}.data": trained["data"]["sha256"],
        f"{_OURS}.code-dirty": None if code["dirty"] is None else str(code["dirty"]).lower(),
        f"{_OURS}.toolkit": record["tool"]["version"],
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def statement(record: "Record", image: "Settings", digest: str, files: Mapping[str, str]) -> Document:
    """Return an in-toto statement with SLSA's provenance v1: what was built, by whom, from what.

    `image` is the stage's section; `files` are the SHA-256 of the model's files.
    """
    code, trained, ci = record["code"], record["stages"]["train"], record["ci"]
    materials = [
        {"uri": f"docker://{image['base']['reference']}", "digest": _digest(image["base"]["digest"])},
        {"uri": trained["data"]["location"], "digest": {"sha256": trained["data"]["sha256"]}},
        {"uri": "requirements.txt", "digest": {"sha256": image["requirements_sha256"]}},
        *({"uri": f"model/{name}", "digest": {"sha256": sha256}} for name, sha256 in sorted(files.items())),
    ]
    if code["commit"]:
        materials.append({"uri": f"git+{code['repository'] or ''}", "digest": {"gitCommit": code["commit"]}})
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": image["repository"] or record["model"]["name"], "digest": _digest(digest)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://model-ci.github.io/build-image/v1",
                "externalParameters": {"settings": record["config"]["values"]["build-image"], "dirty": code["dirty"]},
                "internalParameters": {"engine": image["engine"], "builder": image["builder"]},
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": {"id": ci["run_url"] or ci["provider"], "version": {"model-ci": record["tool"]["version"]}},
                "metadata": {"invocationId": record["run_id"]},
            },
        },
    }


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}
