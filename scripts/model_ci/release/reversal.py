"""A rollback: an environment serves again what it served before."""

from dataclasses import replace

from model_ci.config import Config
from model_ci.release import change, history, ledger
from model_ci.release.change import Change, Wish
from model_ci.run import Result, Run
from model_ci.targets import CHAMPION, Deployment, Variant, settings


def make(config: Config, run: Run) -> Result:
    """Move traffic, names and ledger back; the verdict is failed when that is refused or taken back."""
    making = Change(config=config, environment=environment(config), run=run)
    target = making.target()
    variant = _before(config, target.current())
    making.probes |= history.probes(config, target, variant, required=False)
    return change.result(making.make(lambda before: wish(config, run, variant)))


def plan(config: Config, run: Run) -> list[str]:
    """Say what `run` would do, and change nothing."""
    making = Change(config=config, environment=environment(config), run=run)
    target = making.target()
    desired = wish(config, run, _before(config, target.current()))
    return [*making.forbidden(desired), *target.plan(desired.deployment), *change.names(desired)]


def environment(config: Config) -> str:
    """Name the environment that goes back."""
    return config.rollback.environment or config.promote.to


def wish(config: Config, run: Run, variant: Variant) -> Wish:
    """Say what is to serve again: it passed when it was deployed, so that a way back is never barred by its gates."""
    many = settings(config, environment(config)).replicas
    subject = replace(variant, name=CHAMPION, weight=100, replicas=many)
    return Wish(
        action="rollback",
        deployment=Deployment(environment=environment(config), variants=(subject,)),
        subject=subject,
        passed=True,
        aliases=history.aliases(config, run, environment(config), subject.version),
    )


def _before(config: Config, now: Deployment | None) -> Variant:
    return history.before(now, ledger.read(config, environment(config)), environment(config))
