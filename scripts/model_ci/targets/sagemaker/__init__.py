"""SageMaker: an endpoint with a production variant for each of ours, replaced blue/green and watched by alarms."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from model_ci.config import Config, Environment
from model_ci.errors import ConfigError, ServiceError
from model_ci.targets import names
from model_ci.targets.deployment import CHAMPION, Ask, Deployment, RolloutError, Trial, Variant
from model_ci.targets.sagemaker import mutex as lock
from model_ci.targets.sagemaker.aws import Aws
from model_ci.targets.sagemaker.catalog import Catalog
from model_ci.targets.sagemaker.endpoint import IN_SERVICE, Endpoint
from model_ci.targets.sagemaker.scaling import Scaling
from model_ci.types import Document

_LOCK_S: Final = 4 * 3600.0


def open(  # noqa: A001 - each target has it
    config: Config, environment: str, settings: Environment, trial: Trial | None
) -> "SageMakerTarget":
    """Return the environment as an endpoint of the account that the credentials are for."""
    return SageMakerTarget(names.service(config.model.name, environment), environment, settings, trial)


class SageMakerTarget:
    """One environment as one endpoint; what runs is read from the endpoint, its configuration and its models."""

    def __init__(self, name: str, environment: str, settings: Environment, trial: Trial | None) -> None:
        self.name, self.environment, self.settings, self.trial = name, environment, settings, trial
        self.aws = Aws(settings.sagemaker.region)
        self.endpoint = Endpoint(self.aws, name, settings)
        self.catalog = Catalog(self.aws, name, settings)
        self.scaling = Scaling(self.aws, name, settings)

    def current(self) -> Deployment | None:
        """Return what gets requests now; None when nothing does."""
        found = self.endpoint.described()
        if found is None or not found.get("ProductionVariants"):
            return None
        models = {v["VariantName"]: v["ModelName"] for v in self.catalog.described(found["EndpointConfigName"]) or ()}
        least = {} if self.settings.sagemaker.serverless else self.scaling.least()
        live = {each["VariantName"]: each for each in found["ProductionVariants"]}
        weights = _percent({name: each.get("CurrentWeight", 0.0) for name, each in live.items()})
        variants = [
            Variant(
                name=name,
                weight=weights[name],
                replicas=least.get(name) or each.get("CurrentInstanceCount") or self.settings.replicas,
                **self.catalog.told(models[name]),
            )
            for name, each in live.items()
        ]
        return Deployment(
            environment=self.environment, variants=tuple(sorted(variants, key=lambda v: v.name != CHAMPION))
        )

    def plan(self, wanted: Deployment) -> Sequence[str]:
        """Say what apply would do."""
        self._require(wanted)
        found, before = self.endpoint.described(), self.current()
        steps = []
        if found is None or before is None:
            steps.append(f"create endpoint {self.name}")
        elif self._needs_fleet(found, wanted):
            guarded = self._guarded(before, wanted)
            steps.append(f"update endpoint {self.name}, {self.settings.sagemaker.shift if guarded else 'all at once'}")
        now = {variant.name: variant for variant in before.variants} if before else {}
        for variant in wanted.variants:
            there = now.pop(variant.name, None)
            if there is None or there.digest != variant.digest:
                steps.append(
                    f"{variant.name}: {names.version(variant)} in place of {names.version(there) if there else 'nothing'}"
                )
            for what in ("weight", "replicas"):
                old, new = getattr(there, what, 0), getattr(variant, what)
                if old != new:
                    steps.append(f"{variant.name}: {what} from {old} to {new}")
        return [*steps, *(f"remove {name}" for name in now)]

    def apply(self, wanted: Deployment, say: Callable[[str], None]) -> None:
        """Give the endpoint the fleet, the weights and the scaling that are wanted; on failure those it had."""
        self._require(wanted)
        found, before = self.endpoint.described(), self.current()
        if found is not None and found["EndpointStatus"] == "Failed":  # its creation did; nothing can be made of it
            self.endpoint.delete()
            found = before = None
        former = found["EndpointConfigName"] if found else None
        try:
            self._change(found, before, wanted, say)
        except ServiceError as error:
            self._undo(former, before, say)
            raise RolloutError(*error.problems) from None
        except BaseException:
            self._undo(former, before, say)
            raise
        say(f"serves: {', '.join(f'{variant.name} {variant.weight} %' for variant in wanted.variants)}")
        live = self.endpoint.described()
        self.catalog.clear(live["EndpointConfigName"] if live else None)

    def address(self) -> str | None:
        """Return nothing: requests to an endpoint are signed, and go through AWS's API."""
        return None

    def asking(self, deployment: Deployment) -> Ask | None:
        """Return what asks the largest variant of the endpoint through AWS's API."""
        return self._asking(max(deployment.variants, key=lambda variant: variant.weight).name)

    def lock(self, owner: str) -> AbstractContextManager[None]:
        """Hold the endpoint's lock."""
        return lock.held(self.aws, self.name, owner, _LOCK_S)

    def remove(self) -> None:
        """Delete the endpoint, its configurations, its models and its scaling."""
        self.scaling.stop()
        self.endpoint.delete()
        self.catalog.clear(None)

    def _change(
        self, found: Document | None, before: Deployment | None, wanted: Deployment, say: Callable[[str], None]
    ) -> None:
        if found is None or before is None:
            say(f"creates endpoint {self.name}")
            configuration = self.catalog.configuration(wanted, {v.name: v.replicas for v in wanted.variants})
            self.endpoint.create(configuration, [{"Key": "model-ci.endpoint", "Value": self.name}])
        elif self._needs_fleet(found, wanted):
            guarded = self._guarded(before, wanted)
            how = self.settings.sagemaker.shift if guarded else "all at once, for its variants are others"
            say(f"updates endpoint {self.name}: {how}")
            self.scaling.stop()
            self.endpoint.update(self.catalog.configuration(wanted, self._machines(found, wanted)), guarded=guarded)
        elif before != wanted:
            say("changes the weights")
            if not self.scaling.wanted:
                self.scaling.stop()
            self.endpoint.weigh(wanted, counted=not (self.scaling.wanted or self.settings.sagemaker.serverless))
        self._try(before, wanted, say)
        self.scaling.start(wanted)

    def _try(self, before: Deployment | None, wanted: Deployment, say: Callable[[str], None]) -> None:
        """Try each version that is new here."""
        known = {(variant.name, variant.digest) for variant in before.variants} if before else set()
        for variant in wanted.variants:
            if self.trial and (variant.name, variant.digest) not in known:
                say(f"tries {variant.name}, {names.version(variant)}")
                self.trial(variant, self._asking(variant.name))

    def _asking(self, variant: str) -> Callable[[str, bytes | None], Any]:
        return lambda path, body: self.endpoint.ask(variant, path, body)

    def _undo(self, former: str | None, before: Deployment | None, say: Callable[[str], None]) -> None:
        """Give the endpoint what it had; an error here is told, not raised."""
        try:
            live = self.endpoint.described()
            if live is None:
                return
            if former is None or before is None:
                self.scaling.stop()
                self.endpoint.delete()
                self.catalog.clear(None)
                say("removed what was begun")
                return
            if live["EndpointStatus"] != IN_SERVICE:
                say(f"endpoint {self.name} is {live['EndpointStatus']}; SageMaker itself takes back what fails")
                return
            if live["EndpointConfigName"] != former:
                self.scaling.stop()
                self.endpoint.update(former, guarded=False)
            self.endpoint.weigh(before, counted=not (self.scaling.wanted or self.settings.sagemaker.serverless))
            self.scaling.start(before)
            say("restored what ran before")
        except ServiceError as error:
            say(f"could not restore what ran before: {error}")

    def _needs_fleet(self, found: Document, wanted: Deployment) -> bool:
        """Tell whether anything but weights and numbers of machines is new."""
        live = {each["VariantName"]: each for each in self.catalog.described(found["EndpointConfigName"]) or ()}
        shapes = {variant.name: self.catalog.shape(variant) for variant in wanted.variants}
        return set(live) != set(shapes) or any(
            live[name].get(key) != value for name in shapes for key, value in shapes[name].items()
        )

    def _guarded(self, before: Deployment, wanted: Deployment) -> bool:
        """Tell whether SageMaker moves the requests in steps: only between fleets of the same variants, of machines."""
        same = {variant.name for variant in before.variants} == {variant.name for variant in wanted.variants}
        return same and not self.settings.sagemaker.serverless

    def _machines(self, found: Document, wanted: Deployment) -> dict[str, int]:
        """Return how many machines to begin with: not fewer than load has made of them."""
        live = {each["VariantName"]: each.get("CurrentInstanceCount", 0) for each in found["ProductionVariants"]}
        most = self.settings.sagemaker.autoscaling.max_replicas
        return {v.name: max(v.replicas, min(live.get(v.name, 0), most or 0)) for v in wanted.variants}

    def _require(self, wanted: Deployment) -> None:
        if self.settings.sagemaker.serverless and len(wanted.variants) > 1:
            raise ConfigError(
                f"sagemaker: a serverless endpoint has one variant; leave deploy.environments.{self.environment}."
                "sagemaker.serverless out for a challenger beside the champion"
            )


def _percent(weights: Mapping[str, float]) -> dict[str, int]:
    """Return weights as percent that sum to 100."""
    total = sum(weights.values()) or 1.0
    found = {name: round(100 * weight / total) for name, weight in weights.items()}
    first = max(found, key=lambda name: found[name])
    return {**found, first: found[first] + 100 - sum(found.values())}
