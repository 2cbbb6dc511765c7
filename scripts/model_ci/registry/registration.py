"""A registration, step by step; each step first looks whether an interrupted one has done it already."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from model_ci.errors import ConfigError
from model_ci.registry.client import is_code
from model_ci.registry.integrity import differences
from model_ci.registry.store import Access
from model_ci.registry.version import (
    ATTACHED_TAG,
    CHALLENGER,
    CHAMPION,
    DECISION_TAG,
    FILES_TAG,
    PREVIOUS,
    RUN_TAG,
    Registered,
    Submission,
    Version,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion


ATTACHED: Final = "model_ci"  # the folder among the artifacts of MLflow's run
PROMOTED: Final = "promoted"
CHALLENGES: Final = "challenger"
_T = TypeVar("_T")
_BATCH: Final = 100


def prepare(access: Access, submission: Submission) -> None:
    """Log the run, the model and its lineage: what takes long and is nobody else's concern."""
    problems = [
        f"{submission.folder}: {text}; train again, this is not the model that was judged"
        for text in differences(submission.folder, submission.files)
    ]
    for name, attached in submission.attached.items():
        altered = differences(attached.folder, attached.files)
        problems += [f"{attached.folder}: {text}; make the run's {name} again" for text in altered]
    if problems:
        raise ConfigError(*problems)
    if find(access.client, submission) is None:
        _logged_model(access.client, _run(access, submission), submission)


def register(
    access: Access, store: str, submission: Submission, decide: Callable[[Version | None], bool]
) -> Registered:
    """Make the version unless it exists, and the champion of it when `decide` prefers it to the present one.

    What was decided once is never decided again, so an old run that is registered anew moves nothing.
    """
    client, name = access.client, submission.name
    known = find(client, submission)
    version = known or _create(access, submission)
    if DECISION_TAG not in version.tags:
        access.guard()
        client.set_registered_model_alias(name, CHALLENGER, version.number)
        promoted = _promote(access, name, version, decide)
        client.set_model_version_tag(name, version.number, DECISION_TAG, PROMOTED if promoted else CHALLENGES)
        version = as_version(client.get_model_version(name, version.number))
    champion, previous = holder(client, name, CHAMPION), holder(client, name, PREVIOUS)
    return Registered(
        store=store,
        version=version.number,
        champion=champion.number if champion else None,
        previous=previous.number if previous else None,
        promoted=version.tags[DECISION_TAG] == PROMOTED,
        created=known is None,
    )


def promote(access: Access, name: str, number: str) -> tuple[str, str | None]:
    """Make a version the champion, and the one that was it `previous`; return both.

    What an interrupted call left is completed: `previous` is set first, `champion` goes from one to the other in one step.
    """
    client = access.client
    try:
        version = as_version(client.get_model_version(name, number))
    except Exception as error:
        if is_code(error, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise ConfigError(f"registry: {name} has no version {number}; register it first") from None
        raise
    _promote(access, name, version, lambda champion: True)
    previous = holder(client, name, PREVIOUS)
    return version.number, previous.number if previous else None


def find(client: "MlflowClient", submission: Submission) -> Version | None:
    """Return the version that this run has already registered."""
    versions = client.search_model_versions(f"name = '{submission.name}' and tags.`{RUN_TAG}` = '{submission.run_id}'")
    return as_version(versions[0]) if versions else None


def holder(client: "MlflowClient", name: str, alias: str) -> Version | None:
    """Return the version that carries the alias."""
    try:
        number = client.get_registered_model(name).aliases.get(alias)
    except Exception as error:
        if is_code(error, "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise
    return as_version(client.get_model_version(name, str(number))) if number else None


def as_version(entity: "ModelVersion") -> Version:
    """Read MLflow's model version."""
    tags = {str(key): str(value) for key, value in entity.tags.items()}
    created = datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC).isoformat(timespec="milliseconds")
    return Version(number=str(entity.version), run_id=tags.get(RUN_TAG, ""), tags=tags, created=created)


def _promote(access: Access, name: str, version: Version, decide: Callable[[Version | None], bool]) -> bool:
    """Move the aliases when the version is preferred; `champion` goes from one to the other in one step."""
    client = access.client
    champion = holder(client, name, CHAMPION)
    if champion is not None and champion.number == version.number:
        return True
    if not decide(champion):
        return False
    access.guard()
    if champion is not None:
        client.set_registered_model_alias(name, PREVIOUS, champion.number)
    client.set_registered_model_alias(name, CHAMPION, version.number)
    return True


def _create(access: Access, submission: Submission) -> Version:
    """Make a version of the model that was logged."""
    client, name = access.client, submission.name
    run = _run(access, submission)
    model = _logged_model(client, run, submission)
    try:
        client.create_registered_model(name)
    except Exception as error:
        if not is_code(error, "RESOURCE_ALREADY_EXISTS"):
            raise
    access.guard()
    local = access.artifacts is not None  # a server resolves models:/ by itself; without one MLflow asks elsewhere
    made = client.create_model_version(
        name,
        model.artifact_location if local else f"models:/{model.model_id}",
        run_id=run.info.run_id,
        model_id=model.model_id,
        tags=_tags(submission) | _vouched(submission),
        await_creation_for=0,
    )
    link = json.dumps([{"name": name, "version": int(made.version)}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return as_version(client.get_model_version(name, made.version))


def _vouched(submission: Submission) -> dict[str, str]:
    """Return the tags by which files are known again when they are fetched."""
    attached = {name: dict(each.files) for name, each in submission.attached.items()}
    return {
        FILES_TAG: json.dumps(dict(submission.files), sort_keys=True),
        ATTACHED_TAG: json.dumps(attached, sort_keys=True),
    }


def _run(access: Access, submission: Submission) -> "MlflowRun":
    """Return MLflow's run of our run, complete."""
    client = access.client
    experiment = _experiment(access, submission.name)
    runs = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{submission.run_id}'", max_results=1)
    if runs and runs[0].info.status == "FINISHED":
        return runs[0]
    tags = _tags(submission)
    run = runs[0] if runs else client.create_run(experiment, tags=tags, run_name=submission.run_id)
    _log_parameters(client, run, submission.parameters)
    _log_dataset(client, run, submission)
    _log_metrics(client, run, submission)
    for name, attached in submission.attached.items():
        client.log_artifacts(run.info.run_id, str(attached.folder), f"{ATTACHED}/{name}")
    return run


def _experiment(access: Access, name: str) -> str:
    experiment = access.client.get_experiment_by_name(name)
    if experiment is None:
        place = f"{access.artifacts}/{name}" if access.artifacts else None
        try:
            return str(access.client.create_experiment(name, artifact_location=place))
        except Exception as error:
            if not is_code(error, "RESOURCE_ALREADY_EXISTS"):
                raise
            experiment = access.client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        raise ConfigError(f"experiment {name}: is deleted in MLflow; restore it with `mlflow experiments restore`")
    return str(experiment.experiment_id)


def _log_parameters(client: "MlflowClient", run: "MlflowRun", params: Mapping[str, object]) -> None:
    from mlflow.entities import Param

    known = run.data.params
    new = [Param(key, str(value)) for key, value in params.items() if key not in known]
    for batch in _batches(new):
        client.log_batch(run.info.run_id, params=batch)


def _log_dataset(client: "MlflowClient", run: "MlflowRun", submission: Submission) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if submission.dataset is None or (run.inputs and run.inputs.dataset_inputs):
        return
    data = dict(submission.dataset)
    name, digest, source = (str(data.pop(key)) for key in ("name", "digest", "source"))
    entity = Dataset(name, digest, "local", json.dumps({"uri": source}), profile=json.dumps(data, sort_keys=True))
    client.log_inputs(run.info.run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def _log_metrics(client: "MlflowClient", run: "MlflowRun", submission: Submission, model_id: str | None = None) -> None:
    from mlflow.entities import Metric

    now, data = int(time.time() * 1000), submission.dataset
    about = {"dataset_name": data["name"], "dataset_digest": data["digest"]} if data else {}
    made = [Metric(key, value, now, 0, model_id=model_id, **about) for key, value in submission.metrics.items()]
    for batch in _batches(made):
        client.log_batch(run.info.run_id, metrics=batch)


def _logged_model(client: "MlflowClient", run: "MlflowRun", submission: Submission) -> "LoggedModel":
    """Return MLflow's logged model with the files of our model, complete."""
    from mlflow.entities import LoggedModelOutput

    models = client.search_logged_models([run.info.experiment_id], f"tags.`{RUN_TAG}` = '{submission.run_id}'")
    if models and models[0].status == "READY":
        return models[0]
    params = {key: str(value) for key, value in submission.parameters.items()}
    model = (
        models[0]
        if models
        else client.create_logged_model(
            run.info.experiment_id, "model", run.info.run_id, tags=_tags(submission), params=params
        )
    )
    linked = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {output.model_id for output in linked}:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.log_model_artifacts(model.model_id, str(submission.folder))
    _log_metrics(client, run, submission, model.model_id)
    model = client.finalize_logged_model(model.model_id, "READY")
    client.set_terminated(run.info.run_id)
    return model


def _tags(submission: Submission) -> dict[str, str]:
    return {**submission.tags, RUN_TAG: submission.run_id}


def _batches(entries: Sequence[_T]) -> Iterator[list[_T]]:
    return (list(entries[i : i + _BATCH]) for i in range(0, len(entries), _BATCH))
