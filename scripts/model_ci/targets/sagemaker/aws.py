"""The only caller of AWS: its clients by the default chain, and its errors as what to do about them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    from botocore.client import BaseClient


_ABSENT: Final = ("Could not find", "does not exist", "not found")


class AwsError(ServiceError):
    """AWS said no, by an error code."""

    def __init__(self, problem: str, code: str, message: str) -> None:
        super().__init__(problem)
        self.code, self.message = code, message

    @property
    def absent(self) -> bool:
        """Whether there is no such thing."""
        return "NotFound" in self.code or any(text in self.message for text in _ABSENT)


class Aws:
    """The services of a region that an endpoint takes."""

    def __init__(self, region: str | None) -> None:
        self.region = region or os.environ.get("AWS_REGION")  # boto3 itself reads AWS_DEFAULT_REGION alone

    @cached_property
    def sagemaker(self) -> "BaseClient":
        """Models, endpoint configurations and endpoints."""
        return self._client("sagemaker")

    @cached_property
    def runtime(self) -> "BaseClient":
        """Requests to endpoints."""
        return self._client("sagemaker-runtime")

    @cached_property
    def scaling(self) -> "BaseClient":
        """How many machines there are."""
        return self._client("application-autoscaling")

    @cached_property
    def parameters(self) -> "BaseClient":
        """Where the lock is."""
        return self._client("ssm")

    def _client(self, service: str) -> "BaseClient":
        import boto3
        from botocore.config import Config

        with translated(f"connecting to {service}"):
            return boto3.session.Session().client(
                service, region_name=self.region, config=Config(retries={"mode": "standard"})
            )


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let what AWS refuses end as an AwsError that says so."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except NoRegionError:
        raise ConfigError(
            "sagemaker: no region; set sagemaker.region in the environment's section, or AWS_REGION"
        ) from None
    except NoCredentialsError:
        raise ServiceError(
            "sagemaker: no credentials; in CI take a role by OpenID Connect (docs/sagemaker.md), elsewhere log in with the AWS CLI"
        ) from None
    except ClientError as error:
        detail = error.response.get("Error", {})
        code, message = detail.get("Code", ""), detail.get("Message", "")
        raise AwsError(f"sagemaker: {doing}: {message or code}; {_advice(code)}", code, message) from None
    except BotoCoreError as error:
        raise ServiceError(
            f"sagemaker: {doing}: {error}; see that this machine can reach AWS, and run this again"
        ) from None


def _advice(code: str) -> str:
    if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
        return "give the role that deploys the permissions of docs/sagemaker.md"
    if code in ("ExpiredToken", "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"):
        return "the credentials are no good or too old: get new ones and run this again"
    if code in ("ResourceLimitExceeded", "LimitExceededException"):
        return "ask AWS for a higher quota, or take fewer or other machines"
    if code in ("ThrottlingException", "InternalFailure", "ServiceUnavailable", "500", "503"):
        return "run this again later"
    return "change the setting that it names"
