"""The errors a user can meet, each with its exit code; the only place that knows the codes."""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """What the process tells its caller."""

    YES = 0
    BUG = 1
    CONFIG = 2
    NO = 3
    USER_CODE = 4
    SERVICE = 5
    INTERRUPTED = 130


class ModelCIError(Exception):
    """An expected failure: every problem found, each as `where: what is wrong; what to do`."""

    exit_code = Exit.BUG

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: Sequence[str] = problems


class ConfigError(ModelCIError):
    """The configuration or the command line is wrong, or what they name is not there."""

    exit_code = Exit.CONFIG


class UserCodeError(ModelCIError):
    """The user's own code failed; `traceback` is theirs, without our frames."""

    exit_code = Exit.USER_CODE

    def __init__(self, *problems: str, traceback: str = "") -> None:
        super().__init__(*problems)
        self.traceback = traceback


class ServiceError(ModelCIError):
    """An outside service refused or is away."""

    exit_code = Exit.SERVICE


def first_line(error: object) -> str:
    """Return the first line of what an error of somebody else says, or what kind it is."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
