"""What goes into a registry and what comes out of it."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from model_ci.frozen import dataclass

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"

RUN_TAG: Final = "model_ci.run_id"
FILES_TAG: Final = "model_ci.files"
ATTACHED_TAG: Final = "model_ci.attached"
DECISION_TAG: Final = "model_ci.decision"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of the model; `run_id` is the model-ci run that made it, empty when another tool registered it."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    created: str


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A folder that travels with a model, such as its explanation, and the sha256 of each file by relative path."""

    folder: Path
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A model to register: its folder, the sha256 of each of its files by relative path, and where it comes from.

    `attached` travels with it, by name. `dataset` is the data it learnt from: name, digest, source, and whatever else is to be seen beside them.
    """

    name: str
    run_id: str
    folder: Path
    files: Mapping[str, str]
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    attached: Mapping[str, Attachment] = field(default_factory=dict)
    dataset: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class Registered:
    """How a registration ended: the numbers of the version, of the champion now and of the one before."""

    store: str  # server, file or branch
    version: str
    champion: str | None
    previous: str | None
    promoted: bool
    created: bool
