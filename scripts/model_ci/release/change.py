"""A change of what serves: looked at, allowed, made, tried, written down, and taken back when it will not do.

The order is the one in which an interruption does least: first the traffic, which a service answers at every step, then
the names of what serves, the registry's aliases and the tags of the images, then the ledger. Each step finds out whether it
is done already, so the same order completes it.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Final

from model_ci import ci
from model_ci.config import Config
from model_ci.errors import ServiceError
from model_ci.frozen import dataclass
from model_ci.image import tags
from model_ci.release import ledger, policy, smoke
from model_ci.release.ledger import Entry
from model_ci.release.policy import Rule
from model_ci.run import Result, Run
from model_ci.serving.probe import Probe
from model_ci.targets import CHAMPION, Deployment, RolloutError, Target, Variant, open_target, settings
from model_ci.terms import Verdict
from model_ci.types import Document

_SETTLED: Final = {
    "aliases": "the registry's aliases",
    "image_tags": "the tags of the images",
    "ledger": "the ledger",
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to serve: `subject` is the variant that it is about, `passed` whether it passed its gates."""

    action: str
    deployment: Deployment
    subject: Variant
    passed: bool | None
    aliases: Callable[[], Mapping[str, str | None]] | None = None  # moves those of the registry; None: no name moves


@dataclass(kw_only=True)
class Change:
    """A change on its way; `steps` is what was done, in words."""

    config: Config
    environment: str
    run: Run
    probes: dict[str, Probe] = field(default_factory=dict)  # by digest
    steps: list[str] = field(default_factory=list)

    def target(self) -> Target:
        """Open the environment's target; new versions are tried there by the probes."""
        return open_target(self.config, self.environment, smoke.trial(self.probes, self.config.deploy.smoke))

    def judge(self, wish: Wish) -> list[Rule]:
        """Judge by the environment's policy."""
        where = ci.context()
        branch = where.branch if where.in_ci else self.run.record["code"]["branch"]
        claim = policy.Claim(variant=wish.subject, passed=wish.passed, branch=branch, where=where)
        return [*policy.judge(self.config, self.environment, claim), *self._tested(wish)]

    def forbidden(self, wish: Wish) -> list[str]:
        """Name each rule of the policy that refuses it."""
        return [f"refused by the policy: {rule.rule}: {rule.why}" for rule in self.judge(wish) if not rule.holds]

    def _tested(self, wish: Wish) -> list[Rule]:
        """Hold a promotion to the test of variants that the same run made, where it made one."""
        tested = self.run.section("compare-variants")
        if tested is None or wish.action != "promote":
            return []
        decision = tested["decision"]
        return [Rule(rule="compare-variants", holds=decision == "promote", why=f"it decided: {decision}")]

    def make(self, wish: Callable[[Deployment | None], Wish]) -> Document:
        """Make it, alone in the environment; return the section, with `failed` where it was refused or taken back."""
        target = self.target()
        with target.lock(_owner(self.run)):
            before = target.current()
            desired = wish(before)
            entries = ledger.read(self.config, self.environment)
            rules = self.judge(desired)
            section = self._section(desired, before, target, rules)
            if refused := [f"{rule.rule}: {rule.why}" for rule in rules if not rule.holds]:
                return section | {"failed": True, "why": f"the policy forbids it: {'; '.join(refused)}"}
            last = entries[-1].deployment if entries else None
            previous = before if before != desired.deployment else last
            naming = self._naming(desired, previous)
            if naming:
                naming.require()
            section["plan"] = list(target.plan(desired.deployment))
            try:
                section["smoke"] = self._bring(target, desired, before)
            except RolloutError as error:
                return section | {
                    "failed": True, "why": str(error), "rolled_back": True, "steps": self.steps,
                    "address": target.address(),
                }  # fmt: skip
            changed = before != desired.deployment or last != desired.deployment
            entry = self._entry(desired, previous) if changed else None
            settled = self._settle(desired, naming, entry)
            return section | settled | {"steps": self.steps, "address": target.address()}

    def _section(self, wish: Wish, before: Deployment | None, target: Target, rules: list[Rule]) -> Document:
        where = ci.context()
        return {
            "why": "",
            "failed": False,
            "environment": self.environment,
            "target": settings(self.config, self.environment).target,
            "address": target.address(),
            "action": wish.action,
            "actor": where.person,
            "version": wish.subject.version,
            "digest": wish.subject.digest,
            "weight": wish.subject.weight,
            "deployment": wish.deployment.as_record(),
            "previous": before.as_record() if before else None,
            "policy": [rule.as_record() for rule in rules],
            "plan": [],
            "steps": [],
            "smoke": None,
            "rolled_back": False,
            "aliases": None,
            "image_tags": None,
            "ledger": None,
        }

    def _bring(self, target: Target, wish: Wish, before: Deployment | None) -> Document:
        """Apply and ask the service where its users do; restore what ran before when it will not do."""
        target.apply(wish.deployment, self.steps.append)
        address = target.address()
        if address is None:
            return {"asked": None, **smoke.SmokeResult().as_record()}
        ask = smoke.over_http(address, self.config.deploy.smoke.timeout_s)
        served = wish.deployment.variant(wish.subject.name) or wish.deployment.variants[0]
        try:
            smoke_result = smoke.through(ask, served, self.probes.get(served.digest), self.config.deploy.smoke)
        except RolloutError:
            self.steps.append("restores what served before")
            if before:
                target.apply(before, self.steps.append)
            else:
                target.remove()
            raise
        return {"asked": address, **smoke_result.as_record()}

    def _naming(self, wish: Wish, previous: Deployment | None) -> tags.Move | None:
        """Return how the tags of the images are to move; None where no name moves, or the image was never pushed."""
        before = previous.variant(CHAMPION) if previous else None
        return tags.Move.of(self.config, wish.subject.image, before.image if before else None) if wish.aliases else None

    def _settle(self, wish: Wish, naming: tags.Move | None, entry: Entry | None) -> Document:
        """Move the names of what serves and write the ledger; what stops it says what is done and what is not."""
        every = {
            "aliases": wish.aliases,
            "image_tags": naming.make if naming else None,
            "ledger": partial(self._written, entry) if entry else None,
        }
        steps = {key: step for key, step in every.items() if step}
        section: Document = {"why": _summary(wish, changed=entry is not None)}
        for key, step in steps.items():
            try:
                section[key] = step()
            except ServiceError as error:
                done = ["the traffic", *(_SETTLED[each] for each in steps if each in section)]
                missing = [_SETTLED[each] for each in steps if each not in section]
                raise ServiceError(
                    f"{error}; in {self.environment}, done: {', '.join(done)}; not done: {', '.join(missing)}; give the "
                    "same order again, it does the rest"
                ) from None
        return section

    def _written(self, entry: Entry) -> Document:
        commit = ledger.append(self.config, entry)
        return {"branch": self.config.record.branch, "commit": commit.sha, "pushed": commit.pushed}

    def _entry(self, wish: Wish, previous: Deployment | None) -> Entry:
        return ledger.new(
            wish.action, self.environment, wish.deployment, previous,
            run_id=self.run.id, reason=self.run.record["trigger"]["reason"], where=ci.context(),
            approval=settings(self.config, self.environment).policy.approval,
        )  # fmt: skip


def result(section: Document) -> Result:
    """Turn what came of a change into a stage's result."""
    failed = section.pop("failed")
    return Result(section=section, verdict=Verdict.FAILED if failed else Verdict.PASSED)


def names(wish: Wish) -> list[str]:
    """Say which names are to move."""
    if wish.aliases is None:
        return []
    registry = f"make version {wish.subject.version} the champion in the registry"
    return [registry, *([f"tag {wish.subject.image} as champion"] if tags.pushed(wish.subject.image) else [])]


def action(before: Deployment | None, desired: Deployment) -> str:
    """Name what a deployment is: only other weights, or other images."""

    def images(deployment: Deployment) -> dict[str, str]:
        return {variant.name: variant.digest for variant in deployment.variants}

    return "weights" if before and before != desired and images(before) == images(desired) else "deploy"


def _summary(wish: Wish, *, changed: bool) -> str:
    shares = ", ".join(
        f"{'version ' + v.version if v.version else v.digest[7:19]} {v.weight} %" for v in wish.deployment.variants
    )
    return f"{wish.deployment.environment} {'serves' if changed else 'served already'} {shares}"


def _owner(run: Run) -> str:
    where = ci.context()
    return f"{where.person} ({where.run_url or f'run {run.id}'})"
