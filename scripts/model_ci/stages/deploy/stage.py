"""Deploy: the image that was built serves in an environment, wholly or with a share of the requests."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from model_ci.config import Config
from model_ci.errors import ConfigError, ModelCIError, first_line
from model_ci.release import change, observation, smoke
from model_ci.release.change import Change, Wish
from model_ci.run import Result, Run
from model_ci.serving.probe import Probe
from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Variant, open_target, settings
from model_ci.terms import Verdict

MANIFEST: Final = "manifest.json"
_WHOLE: Final = 100


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The image and the section; what serves is observed."""
    image, registered = run.section("build-image"), run.section("register")
    return {
        "image": image["digest"] if image else None,
        "version": registered["version"] if registered else None,
        "deploy section": config.values["deploy"],
    }


def check(config: Config) -> None:
    """Find an environment that is not there."""
    settings(config, config.deploy.environment)


def observe(config: Config, run: Run) -> str | None:
    """Return in what the environment is no longer as the deployment left it; None where it serves, and answers as known."""
    section = run.section("deploy")
    if section is None:
        return None
    try:
        variant = built(config, run)
        probes = {variant.digest: probe(run)}
        left = Deployment.from_record(section["deployment"])
        return observation.differs(config, left, variant, probes)
    except ModelCIError as error:
        return f"what serves in {section['environment']} cannot be seen: {first_line(error)}"


def run(config: Config, run: Run) -> Result:
    """Bring the run's image to the environment; the verdict is failed when that is refused or taken back."""
    making = Change(config=config, environment=config.deploy.environment, run=run)
    variant = built(config, run)
    making.probes[variant.digest] = probe(run)
    return change.result(making.make(lambda before: wish(config, run, variant, before)))


def plan(config: Config, run: Run) -> list[str]:
    """Say what `run` would do, and change nothing."""
    making = Change(config=config, environment=config.deploy.environment, run=run)
    target = making.target()
    desired = wish(config, run, built(config, run), target.current())
    return [*making.forbidden(desired), *target.plan(desired.deployment)]


def render(config: Config, run: Run) -> Mapping[str, str]:
    """Return the files that describe what `run` would deploy; a share of the requests is put beside what serves now.

    Raises ConfigError where the target has no files, or nothing serves that could keep the rest of the requests.
    """
    from model_ci.targets import Renders

    environment = config.deploy.environment
    target = open_target(config, environment)
    if not isinstance(target, Renders):
        kind = settings(config, environment).target
        raise ConfigError(f"--render: target {kind} has no files; it is for kubernetes")
    whole = config.deploy.weight == _WHOLE
    serving = None if whole else target.current()
    if serving is None and not whole:
        raise ConfigError(
            f"--render: nothing serves in {environment} beside which {config.deploy.weight} % could be put; render with "
            "--weight 100, have that applied, and then this"
        )
    return target.render(composed(config, built(config, run), serving))


def built(config: Config, run: Run) -> Variant:
    """Return the image of the run as what is to serve, with the weight of the configuration."""
    image = run.require("build-image", wanted_by="deploy")
    registered = run.section("register")
    weight = config.deploy.weight
    return Variant(
        name=CHAMPION if weight == _WHOLE else CHALLENGER,
        image=image["reference"],
        digest=image["digest"],
        version=registered["version"] if registered else None,
        run_id=run.producer("build-image"),
        weight=weight,
        replicas=settings(config, config.deploy.environment).replicas,
    )


def probe(run: Run) -> Probe:
    """Read the rows to try the run's image with."""
    image = run.require("build-image", wanted_by="deploy")
    file = run.folder / image["folder"] / MANIFEST
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error}; run `model-ci build-image` again") from None
    if hashlib.sha256(content).hexdigest() != image["files"].get(MANIFEST):
        raise ConfigError(f"{file}: is not the one that was recorded; run `model-ci build-image` again")
    return smoke.read(content, str(file))


def wish(config: Config, run: Run, variant: Variant, before: Deployment | None) -> Wish:
    """Say what is to serve, given what serves."""
    desired = composed(config, variant, before)
    judged = run.section("evaluate")
    subject = desired.variant(variant.name) or desired.variants[0]
    return Wish(
        action=change.action(before, desired),
        deployment=desired,
        subject=subject,
        passed=judged["verdict"] == Verdict.PASSED if judged else None,
    )


def composed(config: Config, variant: Variant, before: Deployment | None) -> Deployment:
    """Put a variant beside the champion, or in its place; where nothing serves yet it gets everything."""
    champion = before.variant(CHAMPION) if before else None
    many = settings(config, config.deploy.environment).replicas
    alone = champion is None or champion.digest == variant.digest
    if variant.weight == _WHOLE or champion is None or alone:
        variants: tuple[Variant, ...] = (replace(variant, name=CHAMPION, weight=_WHOLE),)
    else:
        variants = (replace(champion, weight=_WHOLE - variant.weight, replicas=many), variant)
    return Deployment(environment=config.deploy.environment, variants=variants)
