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
        existing = self.endpoint.described()
        if existing is None or not existing.get("ProductionVariants"):
            return None
        models = {
            v["VariantName"]: v["ModelName"] for v in self.catalog.described(existing["EndpointConfigName"]) or ()
        }
        least = {} if self.settings.sagemaker.serverless else self.scaling.least()
        live = {each["VariantName"]: each for each in existing["ProductionVariants"]}
        weights = _percent({name: each.get("CurrentWeight", 0.0) for name, each in live.items()})
        variants = [
            Variant(
                name=name,
                weight=weights[name],
                replicas=least.get(name) or each.get("CurrentInstanceCount") or self.settings.replicas,
                **self.catalog.variables(models[name]),
            )
            for name, each in live.items()
        ]
        return Deployment(
            environment=self.environment, variants=tuple(sorted(variants, key=lambda v: v.name != CHAMPION))
        )

    def plan(self, desired: Deployment) -> Sequence[str]:
        """Say what apply would do."""
        self._require(desired)
        existing, before = self.endpoint.described(), self.current()
        steps = []
        if existing is None or before is None:
            steps.append(f"create endpoint {self.name}")
        elif self._needs_fleet(existing, desired):
            guarded = self._guarded(before, desired)
            steps.append(f"update endpoint {self.name}, {self.settings.sagemaker.shift if guarded else 'all at once'}")
        now = {variant.name: variant for variant in before.variants} if before else {}
        for variant in desired.variants:
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

    def apply(self, desired: Deployment, say: Callable[[str], None]) -> None:
        """Give the endpoint the fleet, the weights and the scaling that are wanted; on failure those it had."""
        self._require(desired)
        existing, before = self.endpoint.described(), self.current()
        if (
            existing is not None and existing["EndpointStatus"] == "Failed"
        ):  # its creation did; nothing can be made of it
            self.endpoint.delete()
            existing = before = None
        former = existing["EndpointConfigName"] if existing else None
        try:
            self._change(existing, before, desired, say)
        except ServiceError as error:
            self._undo(former, before, say)
            raise RolloutError(*error.problems) from None
        except BaseException:
            self._undo(former, before, say)
            raise
        say(f"serves: {', '.join(f'{variant.name} {variant.weight} %' for variant in desired.variants)}")
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
        self, existing: Document | None, before: Deployment | None, desired: Deployment, say: Callable[[str], None]
    ) -> None:
        if existing is None or before is None:
            say(f"creates endpoint {self.name}")
            configuration = self.catalog.configuration(desired, {v.name: v.replicas for v in desired.variants})
            self.endpoint.create(configuration, [{"Key": "model-ci.endpoint", "Value": self.name}])
        elif self._needs_fleet(existing, desired):
            guarded = self._guarded(before, desired)
            how = self.settings.sagemaker.shift if guarded else "all at once, for its variants are others"
            say(f"updates endpoint {self.name}: {how}")
            self.scaling.stop()
            self.endpoint.update(
                self.catalog.configuration(desired, self._machines(existing, desired)), guarded=guarded
            )
        elif before != desired:
            say("changes the weights")
            if not self.scaling.enabled:
                self.scaling.stop()
            self.endpoint.weigh(desired, counted=not (self.scaling.enabled or self.settings.sagemaker.serverless))
        self._try(before, desired, say)
        self.scaling.start(desired)

    def _try(self, before: Deployment | None, desired: Deployment, say: Callable[[str], None]) -> None:
        """Try each version that is new here."""
        known = {(variant.name, variant.digest) for variant in before.variants} if before else set()
        for variant in desired.variants:
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
            self.endpoint.weigh(before, counted=not (self.scaling.enabled or self.settings.sagemaker.serverless))
            self.scaling.start(before)
            say("restored what ran before")
        except ServiceError as error:
            say(f"could not restore what ran before: {error}")

    def _needs_fleet(self, existing: Document, desired: Deployment) -> bool:
        """Tell whether anything but weights and numbers of machines is new."""
        live = {each["VariantName"]: each for each in self.catalog.described(existing["EndpointConfigName"]) or ()}
        shapes = {variant.name: self.catalog.shape(variant) for variant in desired.variants}
        return set(live) != set(shapes) or any(
            live[name].get(key) != value for name in shapes for key, value in shapes[name].items()
        )

    def _guarded(self, before: Deployment, desired: Deployment) -> bool:
        """Tell whether SageMaker moves the requests in steps: only between fleets of the same variants, of machines."""
        same = {variant.name for variant in before.variants} == {variant.name for variant in desired.variants}
        return same and not self.settings.sagemaker.serverless

    def _machines(self, existing: Document, desired: Deployment) -> dict[str, int]:
        """Return how many machines to begin with: not fewer than load has made of them."""
        live = {each["VariantName"]: each.get("CurrentInstanceCount", 0) for each in existing["ProductionVariants"]}
        most = self.settings.sagemaker.autoscaling.max_replicas
        return {v.name: max(v.replicas, min(live.get(v.name, 0), most or 0)) for v in desired.variants}

    def _require(self, desired: Deployment) -> None:
        if self.settings.sagemaker.serverless and len(desired.variants) > 1:
            raise ConfigError(
                f"sagemaker: a serverless endpoint has one variant; leave deploy.environments.{self.environment}."
                "sagemaker.serverless out for a challenger beside the champion"
            )


def _percent(weights: Mapping[str, float]) -> dict[str, int]:
    """Return weights as percent that sum to 100."""
    total = sum(weights.values()) or 1.0
    percent = {name: round(100 * weight / total) for name, weight in weights.items()}
    first = max(percent, key=lambda name: percent[name])
    return {**percent, first: percent[first] + 100 - sum(percent.values())}
