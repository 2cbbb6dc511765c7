"""Images by Docker's engine: through its API, and through buildx, for BuildKit and its cache, where that is installed."""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from model_ci.errors import ConfigError, ServiceError
from model_ci.image import repository
from model_ci.image.repository import Login, Name
from model_ci.stages.build_image.builder import ASK_PYTHON, TRIAL, Image, read_base
from model_ci.stages.build_image.builder import Trial as Trial_
from model_ci.stages.build_image.context import CONTAINERFILE, LOG, PORT, Base

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container


_TIMEOUT_S: Final = 600
_LINES: Final = 15


def engine() -> "tuple[DockerClient, str]":
    """Return the engine's client, or None and why there is none."""
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.from_env(timeout=_TIMEOUT_S)
        client.ping()
    except (DockerException, RequestException, OSError) as error:
        return None, str(error)
    return client, ""


class DockerBuilder:
    """Builds on a Docker host; layers that are there already are not built again."""

    name = "docker"

    def __init__(self, client: "DockerClient") -> None:
        self.client = client
        self._words = ""

    def version(self) -> str:
        """Return the engine's version, and whether BuildKit builds."""
        with translated("asking the engine"):
            version = self.client.version()["Version"]
        return f"{version}{' with BuildKit' if self._buildx() else ''}"

    def base(self, reference: str) -> Base:
        """Pull the base where it is not here, and ask it for its Python."""
        from docker.errors import ContainerError, ImageNotFound

        with translated(f"build-image.base {reference}"):
            try:
                image = self.client.images.get(reference)
            except ImageNotFound:
                image = self.client.images.pull(reference)
            try:
                output = self.client.containers.run(
                    image.id, list(ASK_PYTHON), entrypoint="python3", remove=True, network_mode="none"
                )
            except ContainerError as error:
                raise ConfigError(
                    f"build-image.base: {reference}: its python3 does not work: {error.stderr!r}"
                ) from None
        digests = [d.partition("@")[2] for d in image.attrs.get("RepoDigests") or []]
        return read_base(reference, (digests or [image.id])[0], output.decode())

    def build(self, context: Path, tag: str, cache: Name | None, login: Login | None) -> Image:
        """Build with BuildKit where there is buildx, else by the API."""
        cached = self._fetched(cache, login) if cache else []
        if self._buildx():
            _build_by_buildx(context, tag, cached)
        else:
            self._build_by_api(context, tag, cached)
        with translated("looking at the image"):
            image = self.client.images.get(tag)
        size, layers = image.attrs["Size"] / 2**20, image.attrs["RootFS"]["Layers"]
        return Image(id=str(image.id), size_mb=round(size, 3), layers=len(layers))

    @contextmanager
    def trial(self, image: Image, run_id: str, environment: Mapping[str, str]) -> Iterator[Trial_]:
        """Run it with a root that cannot be written, without a capability, and no user's rights."""
        remote = urlsplit(os.environ.get("DOCKER_HOST", "")).hostname
        with translated("starting the image"):
            for left in self.client.containers.list(
                all=True, filters={"label": f"{TRIAL}={run_id}"}, ignore_removed=True
            ):
                left.remove(force=True, v=True)
            container = self.client.containers.create(
                image.id, labels={TRIAL: run_id}, environment=dict(environment), read_only=True, cap_drop=["ALL"],
                security_opt=["no-new-privileges"], tmpfs={"/tmp": "", LOG: "uid=10001"},  # noqa: S108 - the container's
                ports={f"{PORT}/tcp": ("0.0.0.0" if remote else "127.0.0.1", None)},  # noqa: S104 - of the engine's host
            )  # fmt: skip
        try:
            with translated("starting the image"):
                container.start()
                port = self._port(container)
            yield Trial_(
                host=remote or "127.0.0.1",
                port=port,
                isolation="docker",
                read_only=True,
                alive=lambda: _runs(container),
            )
        finally:
            self._words = self._output(container)
            container.remove(force=True, v=True)

    def last_words(self) -> str:
        """Return the end of what the service printed."""
        return self._words

    def push(self, image: Image, name: Name, tag: str, login: Login | None) -> str:
        """Push, again where the registry is busy; layers that it has are not sent."""
        with translated("tagging the image"):
            self.client.api.tag(image.id, name.repository, tag)
        return repository.pushed(name, login, lambda: self._push(name.repository, tag, login))

    def scan(self, image: Image, folder: Path) -> str:
        """Return the image's id: syft asks the engine."""
        return f"docker:{image.id}"

    def _push(self, target: str, tag: str, login: Login | None) -> tuple[str, str]:
        """Return what went wrong, or the digest."""
        output, digest = "", ""
        with translated(f"pushing {target}:{tag}"):
            for line in self.client.api.push(target, tag, stream=True, decode=True, auth_config=_auth(login)):
                output = str(line.get("error") or output)
                digest = (line.get("aux") or {}).get("Digest") or digest
        return output, "" if output else digest

    def _port(self, container: "Container") -> int:
        container.reload()
        bound = (container.ports or {}).get(f"{PORT}/tcp")
        if not bound:
            raise ServiceError(f"build-image: the service ended at once: {self._output(container)}")
        return int(bound[0]["HostPort"])

    def _output(self, container: "Container") -> str:
        with translated("reading what the service printed"):
            printed = container.logs(tail=_LINES).decode(errors="replace")
        return " | ".join(line.strip() for line in printed.splitlines() if line.strip()) or "it printed nothing"

    def _fetched(self, cache: Name, login: Login | None) -> list[str]:
        """Pull the image whose layers are to be used: either builder looks here first, and neither has our login."""
        from docker.errors import DockerException

        try:
            self.client.images.pull(cache.repository, tag=cache.tag, auth_config=_auth(login))
        except DockerException:
            return []  # without it everything is built anew, and is the same
        return [f"{cache.repository}:{cache.tag}"]

    def _build_by_api(self, context: Path, tag: str, cached: list[str]) -> None:
        from docker.errors import BuildError

        with translated("building the image"):
            try:
                self.client.images.build(
                    path=str(context), dockerfile=CONTAINERFILE, tag=tag, rm=True, forcerm=True, cache_from=cached
                )
            except BuildError as error:
                raise ServiceError(f"build-image: {error.msg}: {_tail(error.build_log)}") from None

    def _buildx(self) -> bool:
        if not shutil.which("docker"):
            return False
        return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let what the engine refuses end as a ServiceError that says so."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise ServiceError(
            f"docker: {doing}: {error.explanation or error}; see that the name is right and reachable"
        ) from None
    except (DockerException, RequestException) as error:
        raise ServiceError(f"docker: {doing}: {error}; see that the engine runs, and that you may use it") from None


def _build_by_buildx(context: Path, tag: str, cached: list[str]) -> None:
    """Build in the engine itself, `default`: another builder of buildx has neither its base nor its layers.

    The context goes as one archive. Of a folder BuildKit asks only for files whose size or time is another than when it
    was last sent, and ours all have one time.
    """
    command = ["docker", "buildx", "build", "--builder=default", "--progress=plain", "--load", "--tag", tag]
    command += ["--file", CONTAINERFILE, "--build-arg", "BUILDKIT_INLINE_CACHE=1"]
    command += [f"--cache-from={name}" for name in cached]
    # attestations would make an index of the image; ours are files beside the record
    environment = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    with tempfile.TemporaryFile() as packed:
        # buildx knows an archive by its first header, and not in Python's own format
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(context, ".")
        packed.seek(0)
        done = subprocess.run(
            [*command, "-"], stdin=packed, capture_output=True, text=True, check=False, env=environment
        )
    if done.returncode:
        raise ServiceError(f"build-image: docker buildx: {_words(done.stderr)}")


def _auth(login: Login | None) -> dict[str, str] | None:
    return {"username": login.user, "password": login.password} if login else None


def _runs(container: "Container") -> bool:
    with translated("looking at the service"):
        container.reload()
    return bool(container.status == "running")


def _tail(log: "Iterable[Mapping[str, str]]") -> str:
    return _words("".join(str(line.get("stream") or line.get("error") or "") for line in log))


def _words(text: str) -> str:
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    return " | ".join([line for line in lines if line][-_LINES:])
