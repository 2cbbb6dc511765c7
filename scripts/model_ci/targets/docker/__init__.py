"""Docker: replicas of the service behind HAProxy, on any Docker host."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from model_ci.config import Config, Environment
from model_ci.errors import ServiceError
from model_ci.targets.deployment import CHALLENGER, CHAMPION, Ask, Deployment, RolloutError, Trial, Variant
from model_ci.targets.docker import mutex as lock
from model_ci.targets.docker import replicas
from model_ci.targets.docker.balancer import Balancer
from model_ci.targets.docker.engine import Engine
from model_ci.targets.docker.replicas import Replica
from model_ci.targets.docker.rollout import Rollout, Transition, named, transition


def open(  # noqa: A001 - each target has it
    config: Config, environment: str, settings: Environment, trial: Trial | None
) -> "DockerTarget":
    """Return the environment on the engine of DOCKER_HOST."""
    return DockerTarget(Engine(config.model.name, environment), environment, settings, trial)


class DockerTarget:
    """One environment on a Docker host; what runs is read from the labels of the containers and from the balancer."""

    def __init__(self, engine: Engine, environment: str, settings: Environment, trial: Trial | None) -> None:
        self.engine, self.environment, self.settings = engine, environment, settings
        self.balancer = Balancer(engine, settings.docker)
        self.trial = trial

    def current(self) -> Deployment | None:
        """Return what gets requests now; None when nothing does."""
        serving, weight = self._serving()
        everything = replicas.find(self.engine)
        existing = [replica for replica in everything if replica.alias in serving]
        if not self._answers():  # a balancer that was stopped comes back with those that run
            existing = [replica for replica in everything if replica.container.running]
            weight = next((r.variant.weight for r in reversed(existing) if r.variant.name == CHALLENGER), 0)
        many = Counter(replica.variant.name for replica in existing)
        newest = {replica.variant.name: replica.variant for replica in existing}
        if not newest:
            return None
        weights = {CHALLENGER: weight, CHAMPION: 100 - weight} if len(newest) > 1 else dict.fromkeys(newest, 100)
        variants = (replace(v, weight=weights[v.name], replicas=many[v.name]) for _, v in sorted(newest.items()))
        return Deployment(environment=self.environment, variants=tuple(sorted(variants, key=_champion_first)))

    def plan(self, desired: Deployment) -> Sequence[str]:
        """Say what apply would do."""
        steps = self.balancer.differences()
        change = self._transition(desired)
        for variant in desired.variants:
            for verb, many in (
                ("start", change.missing.count(variant)),
                ("bring in", sum(replica.variant.name == variant.name for replica in change.waiting)),
            ):
                if many:
                    steps.append(f"{verb} {_replicas(many)} of {named(variant)} as {variant.name}")
        before = self.current()
        now = {v.name: v.weight for v in before.variants} if before else {}
        if now != (then := {v.name: v.weight for v in desired.variants}):
            names = [name for name in (CHAMPION, CHALLENGER) if name in {**now, **then}]
            shifts = (f"{name} from {now.get(name, 0)} % to {then.get(name, 0)} %" for name in names)
            steps.append(f"move the requests: {', '.join(shifts)}")
        stopped = Counter((replica.variant.name, named(replica.variant)) for replica in change.surplus)
        return [*steps, *(f"stop {_replicas(n)} of {which}, {name}" for (name, which), n in stopped.items())]

    def apply(self, desired: Deployment, say: Callable[[str], None]) -> None:
        """Bring what is wanted up beside what serves, move the requests in one step, and stop the rest."""
        for variant in desired.variants:
            self._require(variant)
        nothing = self.current() is None
        if not nothing and not self.plan(desired):
            return
        try:
            self.balancer.ensure()
            Rollout(self.engine, self.balancer, self.settings, self.trial).go(desired, self._transition(desired), say)
        except (RolloutError, ServiceError):
            if nothing:
                self.remove()
            raise

    def address(self) -> str | None:
        """Return where the balancer is published."""
        if self.settings.docker.address:
            return self.settings.docker.address.rstrip("/")
        port = self.balancer.port()
        bound = self.settings.docker.bind
        everywhere = bound in ("0.0.0.0", "::", "127.0.0.1")  # noqa: S104 - it is compared
        return f"http://{self.engine.host if everywhere else bound}:{port}" if port else None

    def asking(self, deployment: Deployment) -> Ask | None:
        """Return nothing: the balancer has an address."""
        return None

    def lock(self, owner: str) -> AbstractContextManager[None]:
        """Hold the environment as long as this process lives."""
        return lock.held(self.engine, self.settings.docker.balancer, owner)

    def remove(self) -> None:
        """Stop and remove the replicas, the balancer and the network."""
        for container in self.engine.containers():
            if container.role != lock.LOCK:
                self.engine.remove(container, grace_s=1)
        self.engine.remove_network()

    def manifest(self, variant: Variant) -> bytes | None:
        """Return the manifest inside a variant's image, None when there is none."""
        return self.engine.file_of_image(variant.image, "/srv/manifest.json")

    def _transition(self, desired: Deployment) -> Transition:
        serving, _ = self._serving(down=False)
        return transition(replicas.find(self.engine), serving, desired, self.settings)

    def _answers(self) -> bool:
        existing = self.balancer.container()
        return existing is not None and existing.running

    def _serving(self, *, down: bool = True) -> tuple[set[str], int]:
        """Return who gets requests, with those that are down or without, and the challenger's weight."""
        if not self._answers():
            return set(), 0
        servers = self.balancer.servers()
        return {s.alias for s in servers if s.ready and (down or not s.down)}, self.balancer.weight()

    def _require(self, variant: Variant) -> None:
        """Have the image here before anything changes."""
        try:
            self.engine.require(variant.image)
        except ServiceError as error:
            raise RolloutError(*error.problems) from None


def _champion_first(variant: Variant) -> bool:
    return variant.name != CHAMPION


def _replicas(many: int) -> str:
    return "1 replica" if many == 1 else f"{many} replicas"


__all__ = ["DockerTarget", "Replica", "open"]
