"""From what runs to what is wanted, so that at every step what answers can answer.

New replicas are started and watched beside the old ones, then all requests move in one step, then the old ones end
what they are doing and are stopped. Before that step an interruption has changed nothing, after it only what is left
over has to be cleared away; either is done by the next deployment, which reads where things stand.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from model_ci.config import Environment
from model_ci.errors import ServiceError
from model_ci.frozen import dataclass
from model_ci.targets.deployment import CHALLENGER, Answer, Deployment, RolloutError, Trial, Variant
from model_ci.targets.docker import replicas
from model_ci.targets.docker.balancer import Balancer
from model_ci.targets.docker.engine import Engine
from model_ci.targets.docker.replicas import Replica

_ASK_S: Final = 30.0
_GRACE_S: Final = 10


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What is to be kept, started and stopped."""

    kept: Sequence[Replica]  # serves and goes on
    waiting: Sequence[Replica]  # runs already, but gets no requests: an interrupted deployment started it
    missing: Sequence[Variant]  # one for each replica to start
    surplus: Sequence[Replica]


def transition(
    existing: Sequence[Replica], serving: set[str], desired: Deployment, settings: Environment
) -> Transition:
    """Compare what is wanted with the replicas there are; `serving` names those that get requests and answer."""
    kept, waiting, missing = [], [], []
    for variant in desired.variants:
        fit = [r for r in existing if r.container.running and r.serves(variant, settings.docker)]
        active = [r for r in fit if r.alias in serving][: variant.replicas]
        idle = [r for r in fit if r.alias not in serving][: variant.replicas - len(active)]
        kept += active
        waiting += idle
        missing += [variant] * (variant.replicas - len(active) - len(idle))
    used = {*replicas.aliases(kept), *replicas.aliases(waiting)}
    surplus = [replica for replica in existing if replica.alias not in used]
    return Transition(kept=kept, waiting=waiting, missing=missing, surplus=surplus)


class Rollout:
    """One way from what runs to what is wanted."""

    def __init__(self, engine: Engine, balancer: Balancer, settings: Environment, trial: Trial | None) -> None:
        self.engine, self.balancer, self.settings, self.trial = engine, balancer, settings, trial

    def go(self, desired: Deployment, change: Transition, say: Callable[[str], None]) -> None:
        """Do it; raise RolloutError, with nothing changed for those who ask, when what is new will not do."""
        new = list(change.waiting)
        try:
            for variant in change.missing:
                say(f"starts {variant.name}, {named(variant)}")
                new.append(replicas.start(self.engine, variant, self.settings.docker))
            self._bring_up(new, change, say)
        except BaseException as error:
            self._clear(new)
            if isinstance(error, ServiceError) and new:
                raise RolloutError(str(error)) from None
            raise
        challenger = desired.variant(CHALLENGER)
        ready = [*replicas.aliases(change.kept), *replicas.aliases(new)]
        self.balancer.shift(ready, challenger.weight if challenger else 0)
        shares = ", ".join(f"{variant.name} {variant.weight} %" for variant in desired.variants)
        say(f"serves: {shares}")
        self._retire(change.surplus, say)

    def _bring_up(self, new: Sequence[Replica], change: Transition, say: Callable[[str], None]) -> None:
        if not new:
            return
        self._until_ready(new)
        known = {(replica.variant.name, replica.variant.digest) for replica in change.kept}
        tried: set[tuple[str, str]] = set()
        for replica in new:
            key = (replica.variant.name, replica.variant.digest)
            if self.trial and key not in known | tried:
                tried.add(key)
                say(f"tries {replica.variant.name}, {named(replica.variant)}")
                self.trial(replica.variant, self._asking(replica))

    def _asking(self, replica: Replica) -> Callable[[str, bytes | None], Answer]:
        def ask(path: str, body: bytes | None) -> Answer:
            return self.engine.ask(replica.container, path, body, _ASK_S)

        return ask

    def _until_ready(self, new: Sequence[Replica]) -> None:
        """Wait until each replica says that it is ready, and the balancer finds it so."""
        deadline = time.monotonic() + self.settings.timeout_s
        waiting, message = list(new), ""
        while waiting:
            self._require_alive(waiting)
            for replica in list(waiting):
                message = self._ready(replica)
                if not message:
                    waiting.remove(replica)
            self._in_time(deadline, waiting, message)
        running = {c.id: c for c in self.engine.containers()}
        for backend in dict.fromkeys(replica.variant.name for replica in new):
            mine = [replica for replica in new if replica.variant.name == backend]
            self.balancer.admit(backend, {replica.alias: running[replica.container.id].address for replica in mine})
        while late := [r for r in new if r.alias not in self._up()]:
            self._require_alive(late)
            self._in_time(deadline, late, "the balancer gets no answer from it")

    def _ready(self, replica: Replica) -> str:
        """Return why a replica is not ready yet; nothing when it is."""
        try:
            status = self._asking(replica)("/readyz", None).status
        except ServiceError as error:
            return str(error)  # perhaps it just ended
        return "" if status == 200 else f"/readyz answers {status or 'nothing'}"

    def _up(self) -> set[str]:
        return {server.alias for server in self.balancer.servers() if server.up}

    def _in_time(self, deadline: float, late: Sequence[Replica], why: str) -> None:
        if not late:
            return
        if time.monotonic() > deadline:
            output = self.engine.last_words(late[0].container)
            raise RolloutError(
                f"docker: {named(late[0].variant)} was not ready within {self.settings.timeout_s:g} s: {why}; it said: {output}"
            )
        time.sleep(0.2)

    def _require_alive(self, desired: Sequence[Replica]) -> None:
        there = {container.id: container for container in self.engine.containers()}
        for replica in desired:
            existing = there.get(replica.container.id)
            if existing is None or not existing.running or existing.restarts:
                output = self.engine.last_words(existing) if existing else "it was removed"
                code = existing.exit_code if existing else "?"
                raise RolloutError(f"docker: {named(replica.variant)} ended by itself ({code}); it said: {output}")

    def _clear(self, new: Iterable[Replica]) -> None:
        """Take away what was started, whatever stopped us; what cannot be taken away now is next time."""
        new = list(new)
        try:
            self.balancer.dismiss(replicas.aliases(new))
            for replica in new:
                self.engine.remove(replica.container)
        except ServiceError:
            return

    def _retire(self, surplus: Sequence[Replica], say: Callable[[str], None]) -> None:
        """Stop replicas that get no requests any more, when they have answered those that they have."""
        deadline = time.monotonic() + self.settings.docker.drain_s
        gone = set(replicas.aliases(surplus))
        while gone and self._busy(gone) and time.monotonic() < deadline:
            time.sleep(0.2)
        there = set(replicas.aliases(replicas.find(self.engine)))
        self.balancer.dismiss(gone | {server.alias for server in self.balancer.servers()} - there)
        for replica in surplus:
            say(f"stops {replica.variant.name}, {named(replica.variant)}")
            self.engine.remove(replica.container, grace_s=_GRACE_S)

    def _busy(self, gone: set[str]) -> bool:
        sessions = self.balancer.sessions()
        return any(sessions.get(server.path) for server in self.balancer.servers() if server.alias in gone)


def named(variant: Variant) -> str:
    """Call a variant by its version and its digest."""
    version = f"version {variant.version}, " if variant.version else ""
    return f"{version}{variant.digest.removeprefix('sha256:')[:12]}"
