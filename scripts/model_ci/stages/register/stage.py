"""Register: the judged model becomes a version in the registry, and the champion if it still deserves it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from model_ci import judgement, model, registry
from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.origin import difference, training_rows
from model_ci.run import Result, Run
from model_ci.terms import Verdict

if TYPE_CHECKING:
    from model_ci.record_types import Artifact, ExplainSection
    from model_ci.registry import Attachment, Registry, Submission, Version
    from model_ci.types import Settings


def inputs(config: Config, run: Run) -> Mapping[str, object]:
    """The model's files, its run, and where it goes."""
    train, evaluate = run.section("train"), run.section("evaluate")
    return {
        "model": train["model"]["files"] if train else None,
        "run": run.producer("register"),
        "verdict": evaluate["verdict"] if evaluate else None,
        "register section": config.values["register"],
    }


def observe(config: Config, run: Run) -> str | None:
    """Return in what the registry is not as this run left it: its aliases may be moved and its versions deleted by hand."""
    section = run.section("register")
    if section is None:
        return None
    champion, version = registry.peek(config, config.root, in_ci=run.in_ci), section["version"]
    if champion != section["store_state"]:
        now = f"version {champion.split()[0]}" if champion else "no version"
        return f"{now} is the champion in the registry, not version {section['champion']} as recorded"
    if version != section["champion"] and not registry.has_version(config, config.root, version, in_ci=run.in_ci):
        return f"the registry has no version {version} any more"
    return None


def run(config: Config, run: Run) -> Result:
    """Make one version for this run, however often it is asked, and move the aliases.

    Raises ConfigError when the run was judged by other gates than those of the configuration.
    """
    if run.require("evaluate", wanted_by="register")["settings"] != config.values["evaluate"]:
        raise ConfigError(
            f"register: the section evaluate changed since run {run.id} was judged by it; run `model-ci evaluate` again"
        )
    rejudged: list[Settings] = []
    with registry.open_registry(config, config.root, in_ci=run.in_ci) as store:

        def decide(champion: "Version | None") -> bool:
            return config.register.promote == "automatic" and _still_passes(config, run, store, champion, rejudged)

        done = store.register(_submission(config, run), decide)
    section = {
        "store": done.store,
        "name": config.model.name,
        "version": done.version,
        "created": done.created,
        "promoted": done.promoted,
        "champion": done.champion,
        "previous": done.previous,
        "rejudged": rejudged[-1] if rejudged else None,
        "store_state": registry.peek(config, config.root, in_ci=run.in_ci),
    }
    return Result(section=section)


def _still_passes(
    config: Config, run: Run, store: "Registry", champion: "Version | None", rejudged: "list[Settings]"
) -> bool:
    """Judge again when somebody else became champion since the evaluation."""
    from model_ci.data import table

    judged = run.require("evaluate", wanted_by="register")
    seen = judged["champion"]["version"] if judged["champion"] else None
    if champion is None or champion.number == seen or champion.run_id == run.id:
        return bool(judged["verdict"] == Verdict.PASSED)
    data = table.load(config.data, root=config.root)
    rejudged.append(judgement.judge(config, run, data, judgement.ask(config, run, data), store, champion))
    return bool(rejudged[-1]["verdict"] == Verdict.PASSED)


def _submission(config: Config, run: Run) -> "Submission":
    trained = run.require("train", wanted_by="register")
    judged = run.require("evaluate", wanted_by="register")
    code, data = run.record["code"], trained["data"]
    values = {name: m["challenger"] for name, m in judged["metrics"].items() if m["challenger"] is not None}
    return registry.Submission(
        name=config.model.name,
        run_id=run.id,
        folder=run.folder / model.FOLDER,
        files=trained["model"]["files"],
        parameters={**trained["hyperparameters"], **trained["parameters"]},
        metrics=values,
        tags={
            "model_ci.code": str(code["commit"]),
            "model_ci.data": data["sha256"],
            "model_ci.task": config.model.task,
            "model_ci.verdict": judged["verdict"],
            training_rows.TAG: training_rows.written(trained),
            difference.TAG: json.dumps(difference.of(run), default=str),
        },
        attached=_attached(run),
        dataset={
            "name": data["location"],
            "digest": data["sha256"][:32],
            "source": data["location"],
            "rows": data["rows"],
        },
    )


def _attached(run: Run) -> "dict[str, Attachment]":
    """Return what travels with the model besides its own files: what another stage left of it in the run."""
    explained, trained, evaluated = run.section("explain"), run.section("train"), run.section("evaluate")
    artifacts: dict[str, ExplainSection | Artifact | None] = {
        "explain": explained,
        "profile": trained.get("profile") if trained else None,
        training_rows.FOLDER: trained.get("training_rows") if trained else None,
        "quality": evaluated.get("quality") if evaluated else None,
    }
    return {
        name: registry.Attachment(folder=run.folder / artifact["folder"], files=artifact["files"])
        for name, artifact in artifacts.items()
        if artifact
    }
