"""What served before, by the ledger; and what belongs to a version that does not come from this run."""

from collections.abc import Callable, Mapping, Sequence

from model_ci import registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.release import smoke
from model_ci.release.ledger import Entry
from model_ci.run import RUNS, Run
from model_ci.serving.probe import Probe
from model_ci.targets import CHAMPION, Deployment, Reads, Target, Variant


def before(now: Deployment | None, entries: Sequence[Entry], environment: str) -> Variant:
    """Return the champion to go back to; raise ConfigError when none is known.

    With a challenger beside it, that is the champion itself; after a removal, what was removed. Where the last change was
    interrupted before the ledger had it: what the ledger has, or, when a rollback was what was interrupted, what serves
    already.
    """
    if now and len(now.variants) > 1 and (champion := now.variant(CHAMPION)):
        return champion
    last = entries[-1] if entries else None
    written = _champion(last.deployment or last.previous) if last else None
    if last is None or written is None:
        raise ConfigError(f"rollback: the ledger knows nothing that served in {environment} before; deploy by hand")
    if last.deployment is None:
        return written
    older = _older(entries, written)
    serving = _champion(now)
    if serving and serving.digest != written.digest and (older is None or serving.digest != older.digest):
        return written
    if older is None:
        raise ConfigError(f"rollback: nothing but {_named(written)} ever served in {environment}; deploy another")
    return older


def probes(config: Config, target: Target, variant: Variant, *, required: bool) -> dict[str, Probe]:
    """Return the rows to try a version with: from its run's folder, or from the image itself.

    Raises ConfigError when there are none and they are required.
    """
    file = config.root / RUNS / (variant.run_id or "-") / "image" / "manifest.json"
    if file.is_file():
        return {variant.digest: smoke.read(file.read_bytes(), str(file))}
    manifest = target.manifest(variant) if isinstance(target, Reads) else None
    if manifest:
        return {variant.digest: smoke.read(manifest, variant.image)}
    if required:
        raise ConfigError(f"promote: no rows to try {_named(variant)} with; fetch the folder of run {variant.run_id}")
    return {}


def aliases(
    config: Config, run: Run, environment: str, version: str | None
) -> Callable[[], Mapping[str, str | None]] | None:
    """Return what makes a version the champion in the registry; None where nothing is to move.

    An environment that another is promoted from is not the last, and moves no alias.
    """
    if version is None or any(
        other.source == environment for name, other in config.deploy.environments.items() if name != environment
    ):
        return None

    def move() -> Mapping[str, str | None]:
        with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:
            champion, previous = store.promote(version)
        return {"champion": champion, "previous": previous}

    return move


def _champion(deployment: Deployment | None) -> Variant | None:
    return deployment.variant(CHAMPION) if deployment else None


def _older(entries: Sequence[Entry], written: Variant) -> Variant | None:
    """Return the champion before the one that is written last."""
    for entry in reversed(entries):
        for deployment in (entry.deployment, entry.previous):
            champion = _champion(deployment)
            if champion and champion.digest != written.digest:
                return champion
    return None


def _named(variant: Variant) -> str:
    return f"version {variant.version}" if variant.version else variant.digest[:19]
