"""The build context: what the image is made of, in the order in which it changes, the same bytes every time."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from model_ci.serving.manifest import EXPLAIN, FOLDER
from model_ci.stages.build_image import requirements as lock
from model_ci.stages.build_image.bundle import CODE, MANIFEST, Bundle

CONTAINERFILE: Final = "Containerfile"
USER: Final = 10001
LOG: Final = "/var/log/model-ci"
PORT: Final = 8080
# Without a library that would have to be imported: it is asked every few seconds, for as long as the service lives.
_HEALTHY: Final = (
    "import os,socket,sys;"
    "s=socket.create_connection(('127.0.0.1',int(os.environ.get('MODEL_CI_PORT') or 8080)),3);"
    "s.sendall(b'GET /readyz HTTP/1.0\\r\\n\\r\\n');"
    "sys.exit(b' 200 ' not in s.recv(64))"
)


def create(bundle: Bundle, folder: Path, base: "Base", labels: Mapping[str, str]) -> str:
    """Fill the folder: Containerfile, packages/, code/, srv/. Return the SHA-256 of the lock.

    The bundle's files are moved, not copied.
    """
    requirements = lock.resolve(bundle.requirements, base.python, base.architecture, folder)
    lock.install(requirements, base.python, base.architecture, folder / "packages")
    (bundle.folder / CODE).rename(folder / "code")
    (folder / "srv").mkdir()
    for name in (FOLDER, EXPLAIN, MANIFEST):
        if (bundle.folder / name).exists():
            shutil.move(bundle.folder / name, folder / "srv" / name)
    (folder / "log").mkdir()
    (folder / CONTAINERFILE).write_text(containerfile(base.reference, labels), encoding="utf-8")
    _settle(folder)
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


class Base:
    """The image that ours stands on: its reference, its digest or id, and what it has."""

    def __init__(self, reference: str, digest: str, python: str, architecture: str) -> None:
        self.reference, self.digest, self.python, self.architecture = reference, digest, python, architecture

    def as_record(self) -> dict[str, str]:
        """Return it as the record holds it."""
        return {"reference": self.reference, "digest": self.digest, "python": self.python,
                "architecture": self.architecture}  # fmt: skip


def containerfile(base: str, labels: Mapping[str, str]) -> str:
    """Return the recipe: what changes rarely first, the model last, so that a new model is one new layer.

    Compiled files carry hashes in the place of times: the same layers whenever they are made.
    """
    compiled = "PYTHONHASHSEED=0 python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash"
    healthy = json.dumps(["python3", "-I", "-S", "-c", _HEALTHY])
    lines = [
        f"ARG BASE={base}",
        "FROM ${BASE} AS prepared",
        "COPY packages /prepared/packages",
        f"RUN {compiled} /prepared/packages",
        "FROM ${BASE} AS written",
        "COPY code /prepared/code",
        f"RUN {compiled} /prepared/code",
        "FROM ${BASE}",
        "COPY --from=prepared /prepared/packages /opt/model-ci/packages",
        f"COPY --chown={USER}:{USER} log {LOG}",
        "COPY --from=written /prepared/code /opt/model-ci/code",
        "COPY srv /srv",
        "ENV PYTHONPATH=/opt/model-ci/code:/opt/model-ci/packages PYTHONUNBUFFERED=1 HOME=/tmp",
        f"EXPOSE {PORT}",
        f"USER {USER}:{USER}",
        "WORKDIR /srv",
        "STOPSIGNAL SIGTERM",
        f"HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD {healthy}",
        'ENTRYPOINT ["python3", "-m", "model_ci.serving"]',
        "CMD []",
        *(f"LABEL {_quoted(name)}={_quoted(value)}" for name, value in sorted(labels.items())),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{plain}"'


def _settle(folder: Path) -> None:
    """Give every file the same time and rights, wherever and whenever it was made."""
    for path in [folder, *sorted(folder.rglob("*"))]:
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (0, 0))
