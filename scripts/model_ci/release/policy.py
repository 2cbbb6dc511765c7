"""What must hold before anything changes in an environment."""

from collections.abc import Iterator
from dataclasses import asdict
from fnmatch import fnmatchcase

from model_ci import ci
from model_ci.config import Config
from model_ci.frozen import dataclass
from model_ci.targets import Variant, settings
from model_ci.types import Document


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A condition and whether it holds."""

    rule: str
    holds: bool
    why: str

    def as_record(self) -> Document:
        """Return it as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is known of the version that is to serve, and of who asks: `passed` is None when nobody knows."""

    variant: Variant
    passed: bool | None
    branch: str | None
    where: ci.Context


def judge(config: Config, environment: str, claim: Claim) -> list[Rule]:
    """Judge every rule that the environment's policy has."""
    return list(_rules(config, environment, claim))


def who_may(config: Config, environment: str, branch: str | None, where: ci.Context) -> Iterator[Rule]:
    """Judge who asks, whatever it is about."""
    policy = settings(config, environment).policy
    if policy.allowed_refs:
        here = branch or "no branch"
        holds = any(fnmatchcase(here, pattern) for pattern in policy.allowed_refs)
        yield Rule(rule="allowed_refs", holds=holds, why=f"this is {here}; allowed: {', '.join(policy.allowed_refs)}")
    if policy.only_ci:
        why = f"this is {where.provider}" if where.in_ci else "this is nobody's CI job but somebody's own machine"
        yield Rule(rule="only_ci", holds=where.in_ci, why=why)
    if policy.approval:
        runs_in = ci.protected_environment()
        why = f"the job runs in {runs_in or 'no protected environment'}; needed: {policy.approval}"
        yield Rule(rule="approval", holds=runs_in == policy.approval, why=why)


def _rules(config: Config, environment: str, claim: Claim) -> Iterator[Rule]:
    policy, version = settings(config, environment).policy, claim.variant.version
    yield from who_may(config, environment, claim.branch, claim.where)
    if policy.require_passed:
        words = {
            True: "it passed its gates",
            False: "it did not pass its gates",
            None: "nobody knows whether it passed",
        }
        yield Rule(rule="require_passed", holds=claim.passed is True, why=words[claim.passed])
    if policy.require_registered:
        why = f"it is version {version}" if version else "it is not registered"
        yield Rule(rule="require_registered", holds=version is not None, why=why)
    if policy.require_signature:
        yield _signature(config, claim.variant)


def _signature(config: Config, variant: Variant) -> Rule:
    from model_ci import image

    try:
        image.verify(config, variant.image)
    except Exception as error:  # noqa: BLE001 - whatever stops it, the signature is not shown to be good
        return Rule(rule="require_signature", holds=False, why=str(error))
    return Rule(rule="require_signature", holds=True, why="the signature is good")
