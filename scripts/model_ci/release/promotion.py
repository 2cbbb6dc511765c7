"""A promotion: what serves in one environment becomes the champion of the next, or a challenger that of its own."""

from dataclasses import replace

from model_ci import registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.release import change, history, ledger
from model_ci.release.change import Change, Wish
from model_ci.run import Result, Run
from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Variant, open_target, settings
from model_ci.terms import Verdict


def make(config: Config, run: Run) -> Result:
    """Move traffic, names and ledger; the verdict is failed when that is refused or taken back."""
    making = Change(config=config, environment=config.promote.to, run=run)
    variant = candidate(config)
    making.probes |= history.probes(config, making.target(), variant, required=True)
    section = making.make(lambda before: wish(config, run, variant))
    return change.result(section | {"source": source(config)})


def plan(config: Config, run: Run) -> list[str]:
    """Say what `run` would do, and change nothing."""
    making = Change(config=config, environment=config.promote.to, run=run)
    desired = wish(config, run, candidate(config))
    steps = list(making.target().plan(desired.deployment))
    return [*making.forbidden(desired), *steps, *change.names(desired)]


def source(config: Config) -> str:
    """Name the environment that is promoted from."""
    return config.promote.source or settings(config, config.promote.to).source or config.promote.to


def candidate(config: Config) -> Variant:
    """Find what is to be promoted: by its version, the challenger where there is one, or what serves."""
    name, version = source(config), config.promote.version
    now = open_target(config, name).current()
    serving = list(now.variants) if now else []
    if version is None:
        if not serving:
            raise ConfigError(f"promote: nothing serves in {name}; deploy there first, or name a version")
        chosen = [variant for variant in serving if variant.name == CHALLENGER] or serving
        if len(serving) > 1 and name != config.promote.to:
            shown = ", ".join(f"{v.version or v.digest[:19]} ({v.weight} %)" for v in serving)
            raise ConfigError(f"promote: {name} serves two versions, {shown}; say which with --version")
        return chosen[0]
    entries = [entry.deployment for entry in reversed(ledger.read(config, name)) if entry.deployment]
    for variant in [*serving, *(variant for deployment in entries for variant in deployment.variants)]:
        if variant.version == version:
            return variant
    raise ConfigError(f"promote: version {version} never served in {name}; deploy it there first")


def wish(config: Config, run: Run, variant: Variant) -> Wish:
    """Say what is to serve: the candidate alone."""
    many = settings(config, config.promote.to).replicas
    subject = replace(variant, name=CHAMPION, weight=100, replicas=many)
    number = subject.version
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
        version = store.version(number) if number else None
    verdict = version.tags.get("model_ci.verdict") if version else None
    return Wish(
        action="promote",
        deployment=Deployment(environment=config.promote.to, variants=(subject,)),
        subject=subject,
        passed=verdict == Verdict.PASSED if verdict else None,
        aliases=history.aliases(config, run, config.promote.to, number),
    )
