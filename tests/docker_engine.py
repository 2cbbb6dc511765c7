"""pytest's way to the machine's Docker engine: a base image, a registry, and nothing left over."""

import fcntl
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import pytest
from tests import shared

BASE: Final = "model-ci-test/python:3.11"
BALANCER: Final = "model-ci-test/haproxy:2.6"
REGISTRY: Final = "model-ci-test/registry:2"
LABEL: Final = "model-ci-test.owner"  # the process whose end makes a container rubbish
_DEBIAN: Final = "bookworm"  # its Python is 3.11
_UPSTREAM: Final = "python:3.11-slim-bookworm"
_CA: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_APT: Final = "apt-get update -q && apt-get install -y -q --no-install-recommends {} && rm -rf /var/lib/apt/lists/*"
_CONFIG: Final = """
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
"""


@dataclass(frozen=True)
class DockerEngine:
    """The engine, a registry that it can push to (`127.0.0.1:<port>`), and an image with Python and pip."""

    client: Any
    registry: str
    base: str = BASE


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """Skip where there is no engine; in CI, where one must be, fail."""
    client = _connect()
    with _locked("images"):
        _make_base(client)
        _make_registry(client)

    def start() -> dict[str, Any]:
        _sweep(client)
        return _start(client)

    def stop(registry: dict[str, Any]) -> None:
        client.containers.get(registry["container"]).remove(force=True, v=True)

    with shared.running("registry", tmp_path_factory, start, stop) as registry:
        yield DockerEngine(client, registry["address"])
    client.close()


@pytest.fixture(scope="session")
def balancer(docker_engine: DockerEngine) -> str:
    """The image of HAProxy, made once from Debian's package."""
    with _locked("images"):
        if not _has(docker_engine.client, BALANCER):
            lines = [f"FROM {docker_engine.base}", "USER root", f"RUN {_APT.format('haproxy')}", "USER haproxy"]
            build(docker_engine.client, BALANCER, lines)
    return BALANCER


def absent(why: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("MODEL_CI_REQUIRE_ALL") == "1":
        pytest.fail(f"no Docker engine: {why}; run `.ci/setup engine`")
    pytest.skip(f"no Docker engine: {why}; run `.ci/setup engine`")


def build(client: Any, tag: str, lines: Sequence[str], files: dict[str, bytes] | None = None) -> str:
    """Build an image from a Dockerfile's lines and files beside it; return its id."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in {"Dockerfile": "\n".join(lines).encode(), **(files or {})}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    image, _ = client.images.build(fileobj=packed, custom_context=True, tag=tag, rm=True, forcerm=True)
    return str(image.id)


def _connect() -> Any:
    try:
        import docker

        client = docker.from_env(timeout=300)
        client.ping()
    except Exception as error:
        absent(str(error))
    return client


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Let one process of this machine do it; the kernel frees the lock of one that dies."""
    with (Path(tempfile.gettempdir()) / f"model-ci-test-{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _has(client: Any, tag: str) -> bool:
    return bool(client.images.list(name=tag))


def _make_base(client: Any) -> None:
    """Add pip and the machine's certificates to the upstream image, or to a Debian made here."""
    if _has(client, BASE):
        return
    certificates = _CA.read_bytes() if _CA.is_file() else b""
    build(
        client,
        BASE,
        [
            f"FROM {_beginning(client)}",
            f"RUN command -v pip3 || {{ {_APT.format('python3 python3-pip ca-certificates')}; }}",
            "RUN command -v python || ln -s python3 /usr/bin/python",
            # after the package of that name, which writes the file anew
            *((f"COPY certificates {_CA}",) if certificates else ()),
            f"ENV PIP_CERT={_CA} SSL_CERT_FILE={_CA} PIP_BREAK_SYSTEM_PACKAGES=1",
        ],
        {"certificates": certificates},
    )


def _beginning(client: Any) -> str:
    from docker.errors import DockerException

    try:
        client.images.pull(_UPSTREAM)
    except DockerException:
        return _debootstrap(client)
    return _UPSTREAM


def _debootstrap(client: Any) -> str:
    if os.geteuid() or not shutil.which("debootstrap"):
        absent(f"{_UPSTREAM} cannot be pulled, and only root can make a base image, with debootstrap")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        command = ["debootstrap", "--variant=minbase", _DEBIAN, str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
        archive = Path(scratch) / "root.tar"
        kept_out = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
        subprocess.run(["tar", "-C", str(root), *kept_out, "-cf", str(archive), "."], check=True)
        client.api.import_image_from_file(str(archive), repository="model-ci-test/debian", tag=_DEBIAN)
    return f"model-ci-test/debian:{_DEBIAN}"


def _make_registry(client: Any) -> None:
    if not _has(client, REGISTRY):
        lines = [f"FROM {BASE}", f"RUN {_APT.format('docker-registry')}", "COPY config.yml /config.yml"]
        lines += ["VOLUME /var/lib/registry", 'CMD ["docker-registry", "serve", "/config.yml"]']
        build(client, REGISTRY, lines, {"config.yml": _CONFIG.encode()})


def _start(client: Any) -> dict[str, str]:
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    made = client.containers.run(
        REGISTRY,
        name=f"model-ci-test-registry-{token_hex(4)}",
        labels={LABEL: str(owner)},
        ports={"5000/tcp": ("127.0.0.1", None)},
        detach=True,
    )
    made.reload()
    address = f"127.0.0.1:{made.ports['5000/tcp'][0]['HostPort']}"
    _wait(f"http://{address}/v2/")
    return {"container": made.id, "address": address}


def _wait(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _sweep(client: Any) -> None:
    """Remove what a killed session left."""
    for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        if not Path("/proc", container.labels[LABEL]).exists():
            container.remove(force=True, v=True)
