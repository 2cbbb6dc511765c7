"""Build-image: the model as a service in an image, tried and judged, and only then pushed."""

import hashlib
import json
import platform
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci import model
from model_ci.config import BuildImage, Config
from model_ci.errors import ConfigError, ServiceError
from model_ci.image import repository, signing
from model_ci.image.repository import Login, Name, Repository
from model_ci.run import Result, Run
from model_ci.serving.probe import Probe
from model_ci.stages.build_image import provenance, sbom, trial
from model_ci.terms import State, Verdict
from model_ci.types import Document

if TYPE_CHECKING:
    from model_ci.stages.build_image.builder import Builder, Image
    from model_ci.stages.build_image.bundle import Bundle

FOLDER: Final = "image"  # of the run
_PACKAGE: Final = Path(__file__).parents[2]
_SHIPPED: Final = ("serving", "explanation", "image", "stages/build_image")
_KEPT: Final = ("Containerfile", "requirements.txt", "srv/manifest.json")


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The model's files, its version, the service's code, the base, and the settings."""
    train, registered = run.section("train"), run.section("register")
    return {
        "model": train["model"]["files"] if train else None,
        "data": train["data"]["sha256"] if train else None,
        "run": run.producer("build-image"),
        "version": [registered["version"], registered["champion"]] if registered else [None, None],
        "service code": _code(),
        "base": _base_state(config.build_image),
        "build-image section": config.values["build-image"],
    }


def check(config: Config) -> None:
    """Find what would stop it after the model was trained: a wrong name, no builder, no right to push, no key."""
    settings = config.build_image
    _limits(settings)
    signing.check(settings.signature)
    if settings.repository is None:
        if signing.required(settings.signature):
            raise ConfigError("build-image.signature: an image that is not pushed cannot be signed; set repository")
        return
    named = settings.repository
    if "@" in named or ":" in named.rpartition("/")[2]:
        raise ConfigError(
            f"{config.file}: build-image.repository: {named!r} has a tag or digest; leave it out, model-ci sets the tags"
        )
    _repository(settings).require_push()


def run(config: Config, run: Run) -> Result:
    """Build, start, ask, measure and judge the image, and push it when nothing speaks against it.

    The verdict is failed, and nothing is pushed, when the image answers otherwise than the model, is larger or slower
    than it may be, or could not be tried.
    """
    from model_ci.stages.build_image import context
    from model_ci.stages.build_image.choice import choose

    settings = config.build_image
    builder = choose(settings.builder)
    base = builder.base(_base(settings))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model-ci-image-")))
        left = stack.enter_context(run.new_folder(FOLDER))
        bundle = _bundle(config, run, scratch / "bundle")
        (scratch / "context").mkdir()
        labels = provenance.labels(run.record, _version(run), base, bundle.manifest)
        locked = context.create(bundle, scratch / "context", base, labels)
        for name in _KEPT:
            file = scratch / "context" / name
            (left / file.name).write_bytes(file.read_bytes())
        image = builder.build(scratch / "context", _local(config, run), *_cache(settings))
        tried = _try(config, run, builder, image, bundle)
        verdict, why = _verdict(settings, tried)
        materials = sbom.write(builder, image, left) if settings.sbom and verdict == Verdict.PASSED else None
        section = {
            "why": why, "builder": builder.name, "builder_version": builder.version(), "base": base.as_record(),
            "engine": {"name": bundle.manifest["engine"], "why": bundle.manifest["why"]},
            "model_digest": bundle.manifest["digest"], "size_mb": image.size_mb, "requirements_sha256": locked,
            **tried, "sbom": materials, "labels": labels,
        }  # fmt: skip
        section |= _push(config, run, builder, image, verdict)
        trained = run.require("train", wanted_by="build-image")["model"]
        written = provenance.statement(run.record, section, section["digest"], trained["files"])
        (left / provenance.FILE).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        files = model.hash_files(left)
    return Result(section={**section, "folder": FOLDER, "files": files}, verdict=verdict)


def _bundle(config: Config, run: Run, folder: Path) -> "Bundle":
    """Put together what is served, from the run's model and the rows that were held out."""
    from model_ci.data import table
    from model_ci.stages.build_image import bundle

    trained = run.require("train", wanted_by="build-image")
    data = table.load(config.data, root=config.root)
    run.require_data("train", data.version.sha256, "build-image")
    described = trained["model"]
    saved = run.folder / described["folder"]
    model.check(saved, described["files"])
    folder.mkdir()
    settings = config.build_image
    explained = None
    if settings.explain:
        from model_ci.explanation import explainer

        rows = explainer.background(data.train, config.explain.seed)
        explained = bundle.Explain(background=rows, seed=config.explain.seed, tolerance=config.explain.tolerance)
    with model.opened(saved, config.model.positive, "build-image") as predictor:
        source = bundle.Source(
            folder=saved, files=described["files"], estimator=predictor.model, columns=predictor.columns,
            classes=predictor.classes, name=config.model.name, task=config.model.task, run_id=run.id,
            version=_version(run), positive=config.model.positive,
        )  # fmt: skip
        return bundle.create(
            source, data.holdout, folder, engine=settings.engine, tolerance=settings.tolerance, explain=explained
        )


def _try(config: Config, run: Run, builder: "Builder", image: "Image", bundle: "Bundle") -> Document:
    """Start the image and ask it; what goes wrong is told, and fails."""
    settings, probe = config.build_image, Probe.read(bundle.manifest)
    compared, smoke, problem = None, None, None
    try:
        begin = time.monotonic()
        with builder.trial(image, run.id, {"MODEL_CI_VARIANT": "trial"}) as there:
            smoke = {"isolation": there.isolation, "read_only": there.read_only, "rows": len(probe.rows)}
            service = trial.TrialService(there.host, there.port)
            service.wait(begin, settings.timeout_s, there.alive)
            compared = trial.compare(service, probe)
            smoke["cold_start_s"] = round(time.monotonic() - begin, 3)
            smoke |= trial.latencies(service, probe, settings.requests)
    except ServiceError as error:
        problem = f"{error}; {builder.last_words() or 'it printed nothing'}"
    measured: Document = {"size_mb": image.size_mb, **(smoke or {})}
    return {
        "parity": trial.as_record(compared) if compared else None,
        "smoke": smoke,
        "trouble": problem,
        "gates": trial.judge(_limits(settings), measured),
    }


def _verdict(settings: BuildImage, tried: Mapping[str, Any]) -> tuple[Verdict, str]:
    """Say yes only to what was tried and answers as the model does, within its limits."""
    failed = [gate for gate in tried["gates"] if gate["state"] == State.FAILED]
    compared = tried["parity"]
    if tried["smoke"] is None and settings.allow_untried and not failed:
        return Verdict.PASSED, f"it could not be tried, which is allowed: {tried['trouble']}"
    if tried["trouble"]:
        return Verdict.FAILED, f"the image does not serve: {tried['trouble']}"
    if not compared or not compared["holds"]:
        detail = f": {compared['problem']}" if compared and compared.get("problem") else ""
        return Verdict.FAILED, f"the image answers otherwise than the model{detail}"
    if failed:
        return Verdict.FAILED, ", ".join(f"{g['gate']}: {g['value']} is above {g['limit']:g}" for g in failed)
    return Verdict.PASSED, "it starts, answers as the model does, and keeps its limits"


def _push(config: Config, run: Run, builder: "Builder", image: "Image", verdict: str) -> Document:
    """Push under every tag, the alias last, and sign; an image that was refused, or has no repository, stays here."""
    settings = config.build_image
    local: Document = {
        "repository": settings.repository, "tags": [], "digest": image.id, "reference": image.id, "pushed": False,
        "layers": [], "signature": None,
    }  # fmt: skip
    if settings.repository is None or verdict != Verdict.PASSED:
        return local
    there = _repository(settings)
    tags = _tags(run, settings)
    digests = {builder.push(image, there.name, tag, there.login) for tag in tags}
    if len(digests) != 1:
        raise ServiceError(
            f"{settings.repository}: its tags got several digests: {', '.join(sorted(digests))}; build again"
        )
    digest = digests.pop()
    manifest = there.manifest(digest)
    reference = f"{settings.repository}@{digest}"
    signed = signing.sign(reference, settings.signature, there.login) if signing.required(settings.signature) else None
    layers = [{"digest": layer["digest"], "bytes": layer["size"]} for layer in manifest["layers"]]
    return {**local, "tags": tags, "digest": digest, "reference": reference, "pushed": True, "layers": layers,
            "signature": signed}  # fmt: skip


def _tags(run: Run, settings: BuildImage) -> list[str]:
    registered = run.section("register")
    named = [f"run-{run.id}"]
    if registered:
        alias = "champion" if registered["champion"] == registered["version"] else "challenger"
        named += [f"v{registered['version']}", *settings.tags, alias]
    else:
        named += settings.tags
    return list(dict.fromkeys(named))


def _version(run: Run) -> str | None:
    registered = run.section("register")
    return registered["version"] if registered else None


def _local(config: Config, run: Run) -> str:
    """Return what the image is called where it is built."""
    name = re.sub(r"[^a-z0-9]+", "-", config.model.name.lower()).strip("-") or "model"
    return f"model-ci/{name}:{run.id}"


def _cache(settings: BuildImage) -> tuple[Name | None, Login | None]:
    """Return an earlier image in the registry, whose layers a fresh runner may take over, and who may pull it."""
    if settings.repository is None:
        return None, None
    there = _repository(settings)
    tag = next((tag for tag in ("challenger", "champion") if there.digest(tag)), None)
    return replace(there.name, tag=tag) if tag else None, there.login


def _repository(settings: BuildImage) -> Repository:
    name = Name.parse(str(settings.repository), "build-image.repository")
    return Repository(name, repository.login(name, settings))


def _base(settings: BuildImage) -> str:
    return settings.base or f"python:{'.'.join(platform.python_version_tuple()[:2])}-slim"


def _base_state(settings: BuildImage) -> str:
    """Return what the base is now: its digest where it is named by it or the engine knows it."""
    from model_ci.stages.build_image.docker import engine

    named = _base(settings)
    if "@" in named or settings.builder == "buildah":
        return named
    client, _ = engine()
    images = client.images.list(name=named) if client else []
    return str(images[0].id) if images else named


def _limits(settings: BuildImage) -> dict[str, float | None]:
    return {
        "max_size_mb": settings.max_size_mb,
        "max_cold_start_s": settings.max_cold_start_s,
        "max_latency_ms": settings.max_latency_ms,
    }


def _code() -> str:
    """Return one hash over all that is shipped, and over what builds it."""
    digest = hashlib.sha256()
    for folder in _SHIPPED:
        for file in sorted((_PACKAGE / folder).glob("*.py")):
            digest.update(f"{folder}/{file.name}".encode() + file.read_bytes())
    return digest.hexdigest()
