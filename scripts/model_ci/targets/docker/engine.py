"""The only caller of the Docker engine: the network, the replicas and the balancer of one environment, by labels."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.targets.deployment import Answer
from model_ci.types import Document

MODEL: Final = "model-ci.model"
ENVIRONMENT: Final = "model-ci.environment"
ROLE: Final = "model-ci.role"
PORT: Final = 8080
_HARDENED: Final = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
_LONGEST_S: Final = 120
_LOG_LINES: Final = 5
# Asks the service from inside its container, so that it works on any engine and before it gets any traffic.
_ASK: Final = """
import json, os, sys, time, urllib.error, urllib.request
body = os.environ.get("MODEL_CI_ASKED")
headers = {"Content-Type": "application/json"}
request = urllib.request.Request(sys.argv[1], body.encode() if body else None, headers)
begin = time.perf_counter()
try:
    answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=float(sys.argv[2]))
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    print(json.dumps([0, str(error), 0]))
    sys.exit()
text = answer.read().decode()
print(json.dumps([answer.status, text, time.perf_counter() - begin]))
"""


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of the environment, as the engine tells of it."""

    id: str
    name: str
    labels: Mapping[str, str]
    running: bool
    restarts: int
    exit_code: int
    created: str
    ports: Document
    image: str
    address: str  # in the environment's network; empty while it does not run

    @property
    def role(self) -> str:
        """What it is here: replica, balancer or lock."""
        return self.labels.get(ROLE, "")


class Engine:
    """A Docker host, seen from one environment of one model."""

    def __init__(self, model: str, environment: str) -> None:
        self.labels = {MODEL: model, ENVIRONMENT: environment}
        slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:40]
        other = "" if slug == model else f"-{sha256(model.encode()).hexdigest()[:6]}"
        self.prefix = f"model-ci-{slug}{other}-{environment}"

    @cached_property
    def client(self) -> Any:
        """The connection; raises ServiceError where no engine answers."""
        import docker

        with translated("connecting"):
            client = docker.from_env(timeout=_LONGEST_S)
            client.ping()
            return client

    @property
    def host(self) -> str:
        """Where the engine's published ports are, as this machine sees it."""
        return urlsplit(os.environ.get("DOCKER_HOST", "")).hostname or "127.0.0.1"

    def containers(self) -> list[Container]:
        """Return all of the environment's, oldest first."""
        from docker.errors import NotFound

        filters = {"label": [f"{name}={value}" for name, value in self.labels.items()]}
        containers = []
        with translated("listing containers"):
            for each in self.client.api.containers(all=True, filters=filters):
                try:
                    containers.append(_read(self.client.api.inspect_container(each["Id"])))
                except NotFound:
                    continue  # it went away meanwhile
        return sorted(containers, key=lambda container: container.created)

    def network(self) -> str:
        """Return the name of the environment's network, made when it is not there."""
        with translated(f"network {self.prefix}"):
            if not self.client.networks.list(names=[f"^{self.prefix}$"]):
                self.client.networks.create(self.prefix, driver="bridge", labels=self.labels)
        return self.prefix

    def require(self, image: str) -> str:
        """Return the id of an image, pulled where it is not there."""
        from docker.errors import ImageNotFound

        with translated(f"image {image}"):
            try:
                return str(self.client.images.get(image).id)
            except ImageNotFound:
                if image.startswith("sha256:"):
                    raise ConfigError(
                        f"docker: image {image} is not on this engine; push it when it is built"
                    ) from None
                return str(self.client.images.pull(image).id)

    def create(self, role: str, alias: str, image: str, labels: Mapping[str, str], **settings: Any) -> Container:
        """Make a container, known in the network as `alias`; it is not started."""
        network = self.network()
        aliased = {network: self.client.api.create_endpoint_config(aliases=[alias])}
        with translated(f"creating {self.prefix}-{alias}"):
            made = self.client.containers.create(
                image,
                name=f"{self.prefix}-{alias}",
                labels={**self.labels, ROLE: role, **labels},
                network=network,
                networking_config=aliased,
                restart_policy={"Name": "unless-stopped"},
                **_HARDENED,
                **settings,
            )
        return _read(made.attrs)

    def start(self, container: Container) -> None:
        """Start a container."""
        with translated(f"starting {container.name}"):
            self.client.api.start(container.id)

    def stop(self, container: Container) -> None:
        """Stop a container at once; it can be started again."""
        with translated(f"stopping {container.name}"):
            self.client.api.stop(container.id, timeout=0)

    def rename(self, container: Container, alias: str) -> None:
        """Give a container the name of another part of the environment."""
        name = f"{self.prefix}-{alias}"
        if container.name != name:
            with translated(f"renaming {container.name}"):
                self.client.api.rename(container.id, name)

    def put(self, container: Container, files: Mapping[str, str]) -> None:
        """Write files into a container, into its folder /model-ci."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"model-ci/{name}")
                entry.size, entry.mode = len(text.encode()), 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))
        with translated(f"writing into {container.name}"):
            self.client.api.put_archive(container.id, "/", packed.getvalue())

    def execute(self, container: Container, command: Sequence[str], **environment: str) -> str:
        """Run a command in a container and return what it prints; raise ServiceError when it fails."""
        with translated(f"asking {container.name}"):
            made = self.client.api.exec_create(container.id, list(command), environment=environment)["Id"]
            printed, complained = self._output(made)
            code = self.client.api.exec_inspect(made)["ExitCode"]
        if code:
            output = (complained or printed).decode(errors="replace").strip()
            raise ServiceError(f"docker: {container.name}: {command[0]} failed ({code}): {output}; see `docker logs`")
        return printed.decode()

    def _output(self, execution: str) -> tuple[bytes, bytes]:
        """Start an execution, wait for its end, and return what it prints and what it complains.

        The library's own way loses the beginning now and then: it reads the socket beside a buffer that has read ahead.
        """
        api = self.client.api
        answer = api.post(
            f"{api.base_url}/v{api.api_version}/exec/{execution}/start",
            json={"Detach": False, "Tty": False},
            timeout=_LONGEST_S,
        )
        api._raise_for_status(answer)  # turns it into the library's own errors
        streams = {1: b"", 2: b""}
        rest = answer.content
        while rest:
            kind, size = rest[0], int.from_bytes(rest[4:8], "big")
            streams[kind] = streams.get(kind, b"") + rest[8 : 8 + size]
            rest = rest[8 + size :]
        return streams[1], streams[2]

    def ask(self, container: Container, path: str, body: bytes | None, timeout_s: float) -> Answer:
        """Send a request to the service in a container; status 0 when it does not answer."""
        sent = {"MODEL_CI_ASKED": body.decode()} if body else {}
        url = f"http://127.0.0.1:{PORT}{path}"
        printed = self.execute(container, ["python3", "-c", _ASK, url, str(timeout_s)], **sent)
        status, text, seconds = json.loads(printed)
        return Answer(status=status, body=text.encode(), seconds=seconds)

    def file(self, container: Container, path: str) -> bytes | None:
        """Return a file of a container, None when it has none there."""
        from docker.errors import NotFound

        with translated(f"reading {path} of {container.name}"):
            try:
                stream, _ = self.client.api.get_archive(container.id, path)
            except NotFound:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                content = archive.extractfile(archive.getmembers()[0])
                return content.read() if content else None

    def file_of_image(self, image: str, path: str) -> bytes | None:
        """Return a file of an image, None when it has none there; nothing is started."""
        self.require(image)
        with translated(f"reading {path} of {image}"):
            made = self.client.api.create_container(image, command=["nothing"], labels={**self.labels, ROLE: "reader"})
        container = _read(self.client.api.inspect_container(made["Id"]))
        try:
            return self.file(container, path)
        finally:
            self.remove(container)

    def last_words(self, container: Container) -> str:
        """Return the end of what a container printed, in one line."""
        with translated(f"reading the log of {container.name}"):
            printed = self.client.api.logs(container.id, tail=_LOG_LINES).decode(errors="replace")
        return " | ".join(line.strip() for line in printed.splitlines() if line.strip()) or "it printed nothing"

    def signal(self, container: Container, name: str) -> None:
        """Send a signal to the container's process."""
        with translated(f"signalling {container.name}"):
            self.client.api.kill(container.id, name)

    def remove(self, container: Container, grace_s: int = 0) -> None:
        """Stop a container, give it `grace_s` to end by itself, and remove it; one that is gone is no error."""
        from docker.errors import NotFound

        with translated(f"removing {container.name}"):
            try:
                if container.running and grace_s:
                    self.client.api.stop(container.id, timeout=grace_s)
                self.client.api.remove_container(container.id, force=True, v=True)
            except NotFound:
                return

    def remove_network(self) -> None:
        """Remove the environment's network."""
        with translated(f"network {self.prefix}"):
            for network in self.client.networks.list(names=[f"^{self.prefix}$"]):
                network.remove()


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let what the engine refuses end as a ServiceError that says so."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise ServiceError(f"docker: {doing}: {error.explanation or error}; {_advice(error.status_code)}") from None
    except (DockerException, RequestException) as error:
        raise ServiceError(
            f"docker: {doing}: {error}; start the engine, or name another by DOCKER_HOST, and see that you may use it"
        ) from None


def _advice(status: int | None) -> str:
    match status:
        case 401 | 403:
            return "log in to the registry with `docker login`, with an account that may pull"
        case 404:
            return "see that the name is right, and that this engine can reach it"
        case 409:
            return "remove what is in the way, or wait until it is gone"
    return "see the engine's log"


def _read(attributes: Document) -> Container:
    state = attributes["State"]
    networks = (attributes.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=attributes["Id"],
        name=attributes["Name"].lstrip("/"),
        labels=attributes["Config"]["Labels"] or {},
        running=bool(state["Running"]) and not state.get("Restarting"),
        restarts=int(attributes.get("RestartCount") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        created=attributes["Created"],
        ports=(attributes.get("NetworkSettings") or {}).get("Ports") or {},
        image=attributes["Image"],
        address=next((n["IPAddress"] for n in networks.values() if n), ""),
    )
