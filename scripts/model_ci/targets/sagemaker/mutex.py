"""One deployment at a time: a parameter of Systems Manager, which can be made only once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from model_ci.errors import ServiceError
from model_ci.targets.sagemaker.aws import Aws, AwsError, translated
from model_ci.types import Document


@contextmanager
def held(aws: Aws, name: str, owner: str, longest_s: float) -> Iterator[None]:
    """Hold the endpoint's lock for at most `longest_s`; raise ServiceError with who holds it and since when."""
    parameter = f"/model-ci/{name}/lock"
    now = datetime.now(UTC)
    held_until = now + timedelta(seconds=longest_s)
    value = json.dumps({"owner": owner, "since": _text(now), "until": _text(held_until)})
    _take(aws, parameter, value, now)
    try:
        yield
    finally:
        with suppress(ServiceError):  # it runs out by itself
            if _read(aws, parameter)[0].get("owner") == owner:
                with translated(f"lock {parameter}"):
                    aws.parameters.delete_parameter(Name=parameter)


def _take(aws: Aws, parameter: str, value: str, now: datetime) -> None:
    try:
        _put(aws, parameter, value, overwrite=False)
    except AwsError as error:
        if error.code != "ParameterAlreadyExists":
            raise
    else:
        return
    existing, version = _read(aws, parameter)
    if datetime.fromisoformat(existing["until"]) > now:
        raise ServiceError(_held_by(parameter, existing))
    # Of several that find it over, one writes the next version.
    if _put(aws, parameter, value, overwrite=True) != version + 1:
        raise ServiceError(f"sagemaker: lock {parameter} was just taken; wait until that deployment is done")


def _put(aws: Aws, parameter: str, value: str, *, overwrite: bool) -> int:
    with translated(f"lock {parameter}"):
        made = aws.parameters.put_parameter(Name=parameter, Value=value, Type="String", Overwrite=overwrite)
    return int(made["Version"])


def _read(aws: Aws, parameter: str) -> tuple[Document, int]:
    with translated(f"lock {parameter}"):
        parameter_value = aws.parameters.get_parameter(Name=parameter)["Parameter"]
    return json.loads(parameter_value["Value"]), int(parameter_value["Version"])


def _held_by(parameter: str, existing: Document) -> str:
    return (
        f"sagemaker: {existing['owner']} has been deploying here since {existing['since']}; wait until that is done. When it "
        f"is certain that nobody is, remove the lock with `aws ssm delete-parameter --name {parameter}`"
    )


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
