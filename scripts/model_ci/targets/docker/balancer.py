"""The balancer of an environment: one container of HAProxy, told what to do while it runs."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from model_ci.config import Docker
from model_ci.errors import ServiceError
from model_ci.targets.deployment import CHALLENGER
from model_ci.targets.docker import haproxy
from model_ci.targets.docker.engine import PORT, Container, Engine
from model_ci.targets.docker.haproxy import Server

BALANCER: Final = "balancer"
_PROBE: Final = "probe"
_OLD: Final = "balancer-old"  # the name of one that is being replaced
_PLACE: Final = "model-ci.place"
_COMMAND: Final = ["-W", "-db", "-f", haproxy.FILE]
_START_S: Final = 30.0
# Images of HAProxy have nc (Alpine) or bash (Debian).
_SAY: Final = (
    f'if command -v nc >/dev/null; then printf "%s\\n" "$MODEL_CI_SAID" | nc 127.0.0.1 {haproxy.ADMIN_PORT}; '
    f"else exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{haproxy.ADMIN_PORT}; "
    'printf "%s\\n" "$MODEL_CI_SAID" >&3; cat <&3\'; fi'
)


class Balancer:
    """What stands before the replicas; what it does is read from itself, and told to it without a reload."""

    def __init__(self, engine: Engine, settings: Docker) -> None:
        self.engine = engine
        self.settings = settings

    def container(self) -> Container | None:
        """Return its container, running or not; the newest where one is being replaced."""
        return next(reversed(self._containers()), None)

    def _containers(self) -> list[Container]:
        return [each for each in self.engine.containers() if each.role == BALANCER]

    def differences(self) -> list[str]:
        """Say what is not as the configuration has it."""
        existing = self.container()
        if existing is None:
            return [f"start the balancer {self.settings.balancer}"]
        if existing.labels.get(_PLACE) != self._place():
            return ["replace the balancer, for its image or its port changed; the service is away for a moment"]
        if not existing.running:
            return ["start the balancer again"]
        if self._frame_of(existing) != _digest(haproxy.frame(self.settings)):
            return ["tell the balancer its new settings"]
        return []

    def ensure(self) -> None:
        """Make it run, with the settings of the configuration; what an interrupted replacement left goes."""
        containers = self._containers()
        usable = [container for container in containers if self._usable(container)][-1:]
        running = [container for container in containers if container.running][:1]
        if usable:
            self._refresh(usable[0])
            self._wait()
        for container in containers:
            if container not in (usable or running):
                self.engine.remove(container)
        if not usable and running:
            self._replace(running[0])
        elif not usable:
            self._create((), 0)
            self._wait()

    def _refresh(self, container: Container) -> None:
        """Give it the settings of the configuration, and start it where it does not run."""
        if self._frame_of(container) != _digest(haproxy.frame(self.settings)):
            kept, weight = (self.servers(), self.weight()) if container.running else ((), 0)
            self._write(container, kept, weight)
            if container.running:
                self.engine.signal(container, "SIGUSR2")
        if not container.running:
            self.engine.start(container)

    def _replace(self, old: Container) -> None:
        """Put another in its place; the old one goes when the new one answers, and serves again when that does not."""
        kept, weight = self.servers(), self.weight()
        self.engine.rename(old, _OLD)
        same_port = self.settings.port in (None, _port(old))
        try:
            if same_port:  # two cannot listen there
                self.engine.stop(old)
            self._create(kept, weight, _port(old))
            self._wait()
        except BaseException:
            for container in self._containers():
                if container.id != old.id:
                    self.engine.remove(container)
            self.engine.rename(old, BALANCER)
            if same_port:
                self.engine.start(old)
            raise
        self.engine.remove(old)

    def _usable(self, existing: Container) -> bool:
        """Tell whether it is of the image and the port that are wanted, and was not left half made."""
        return existing.labels.get(_PLACE) == self._place() and bool(self.engine.file(existing, haproxy.FILE))

    def servers(self) -> list[Server]:
        """Return its places and who is in them."""
        return haproxy.read_servers(self.say("show servers state"))

    def weight(self) -> int:
        """Return the challenger's weight in percent."""
        return haproxy.read_weight(self.say(f"show map {haproxy.WEIGHTS}"))

    def sessions(self) -> Mapping[str, int]:
        """Return how many requests each place is busy with."""
        return haproxy.read_sessions(self.say("show stat"))

    def admit(self, backend: str, addresses: Mapping[str, str]) -> None:
        """Give replicas, by their names and addresses, a place where they are watched and get no requests yet."""
        servers = [server for server in self.servers() if server.backend == backend]
        taken = {server.alias: server for server in servers if server.alias in addresses}
        free = (server for server in servers if not server.alias)
        new = {alias: next(free) for alias in addresses if alias not in taken}
        self._tell([f"set server {server.path} fqdn {alias}" for alias, server in new.items()])
        self._until_found(backend, addresses)
        placed = {**taken, **new}
        self._tell([f"set server {placed[a].path} state drain" for a in addresses if not placed[a].ready])

    def shift(self, ready: Iterable[str], weight: int) -> None:
        """In one step, give the requests to these replicas and to no others, and the challenger its weight."""
        serving = set(ready)
        container = self._running()
        after = [replace(server, ready=server.alias in serving) for server in self.servers() if server.alias]
        self._write(container, after, weight)
        arrive = [f"set server {server.path} state ready" for server in after if server.ready]
        leave = [f"set server {server.path} state drain" for server in after if not server.ready]
        self._tell([*arrive, f"set map {haproxy.WEIGHTS} {CHALLENGER} {weight}", *leave])

    def dismiss(self, aliases: Iterable[str]) -> None:
        """Take the places of replicas away."""
        gone = set(aliases)
        servers = [server for server in self.servers() if server.alias and server.alias in gone]
        self._tell([f"set server {s.path} state maint; set server {s.path} fqdn {haproxy.NOBODY}" for s in servers])

    def say(self, commands: str) -> str:
        """Say something in HAProxy's language, and return what it answers."""
        return self.engine.execute(self._running(), ["sh", "-c", _SAY], MODEL_CI_SAID=commands)

    def port(self) -> int | None:
        """Return the port of the Docker host that it is published on."""
        container = self.container()
        return _port(container) if container else None

    def _tell(self, commands: Sequence[str]) -> None:
        if not commands:
            return
        answer = self.say("; ".join(commands))
        refused = [line for line in answer.splitlines() if line.strip() and "changed its FQDN" not in line]
        if refused:
            raise ServiceError(f"docker: the balancer refused: {'; '.join(refused)}; is it HAProxy 2.6 or later?")

    def _until_found(self, backend: str, addresses: Mapping[str, str]) -> None:
        deadline = time.monotonic() + _START_S
        while lost := addresses.items() - {(s.alias, s.address) for s in self.servers() if s.backend == backend}:
            if time.monotonic() > deadline:
                names = ", ".join(name for name, _ in lost)
                raise ServiceError(f"docker: the balancer cannot find {names} in the network; see `docker logs`")
            time.sleep(0.2)

    def _running(self) -> Container:
        existing = self.container()
        if existing is None or not existing.running:
            raise ServiceError("docker: the balancer does not run; deploy again")
        return existing

    def _place(self) -> str:
        return f"{self.settings.balancer} {self.settings.bind} {self.settings.port or 'any'}"

    def _frame_of(self, container: Container) -> str:
        written = self.engine.file(container, haproxy.FILE) or b""
        return _digest(written.decode().partition("\nbackend champion\n")[0])

    def _create(self, servers: Sequence[Server], weight: int, port: int | None = None) -> None:
        self.engine.require(self.settings.balancer)
        port = self.settings.port or port or self._free_port()
        made = self.engine.create(
            BALANCER,
            BALANCER,
            self.settings.balancer,
            {_PLACE: self._place()},
            entrypoint=["haproxy"],
            command=_COMMAND,
            stop_signal="SIGUSR1",
            ports={f"{PORT}/tcp": (self.settings.bind, port)},
        )
        self._write(made, servers, weight)
        self.engine.start(made)

    def _free_port(self) -> int:
        """Let the engine choose a port, and keep it: one that it chose would change with each start."""
        for left in (each for each in self.engine.containers() if each.role == _PROBE):
            self.engine.remove(left)
        probe = self.engine.create(
            _PROBE, "port", self.settings.balancer, {}, entrypoint=["cat"], tty=True,
            ports={f"{PORT}/tcp": (self.settings.bind, None)},
        )  # fmt: skip
        try:
            self.engine.start(probe)
            existing = next(each for each in self.engine.containers() if each.id == probe.id)
            return int(existing.ports[f"{PORT}/tcp"][0]["HostPort"])
        finally:
            self.engine.remove(probe)

    def _write(self, container: Container, servers: Iterable[Server], weight: int) -> None:
        """Keep what it is told in its files too, for when it is started again."""
        text = haproxy.configuration(self.settings, servers)
        self.engine.put(container, {"haproxy.cfg": text, "weights.map": haproxy.weights(weight)})

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                if self.servers():
                    return
            except ServiceError:
                existing = self.container()
                if time.monotonic() > deadline or (existing and existing.restarts):
                    output = self.engine.last_words(existing) if existing else "it is gone"
                    raise ServiceError(f"docker: the balancer does not come up: {output}; mend that") from None
            time.sleep(0.2)


def _port(container: Container) -> int | None:
    published = container.ports.get(f"{PORT}/tcp") or []
    return int(published[0]["HostPort"]) if published else None


def _digest(text: str) -> str:
    return sha256(text.strip().encode()).hexdigest()
