"""What a model predicts: the one list of the target's classes, and which of two counts as positive."""

import csv
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.config import Config
from model_ci.errors import ConfigError
from model_ci.serving import classes as naming
from model_ci.types import JSON, Label

if TYPE_CHECKING:
    import pandas as pd

_FIRST_ROWS: Final = 1000


def classes(config: Config, rows: "pd.DataFrame") -> list[Label]:
    """Return the target's classes among training rows, sorted; none for a number.

    Raises ConfigError for values that one class is written with in two ways, for more than two classes of a binary task,
    and for two of which none is known to be positive.
    """
    if config.model.task == "regression":
        return []
    values = rows[config.data.target]
    known = naming.ordered(values.unique().tolist())
    where = f"{config.file}: data.target: {config.data.target}"
    if twice := naming.alike(known):
        shown = "; ".join(" and ".join(map(repr, group)) for group in twice)
        raise ConfigError(f"{where}: {shown} are written as two classes and mean one; write each class in one way")
    if config.model.task == "binary" and len(known) > 2:
        raise ConfigError(f"{where}: has {len(known)} classes ({_shown(known)}), binary is two; set task: multiclass")
    require_positive(config, known)
    return known


def require_positive(config: Config, known: Sequence[object]) -> None:
    """Raise ConfigError where it is not known which of two classes is positive."""
    declared = config.model.positive
    if config.model.task != "binary" or len(known) != 2 or naming.positive(known, declared) is not None:
        return
    shown = " and ".join(repr(value) for value in known)
    where = f"{config.file}: model.positive"
    if declared is not None:
        raise ConfigError(f"{where}: {declared!r} is not a class of {config.data.target}; its classes are {shown}")
    raise ConfigError(
        f"{where}: is not set, and {config.data.target} has the classes {shown}; "
        f"name the one that counts as positive, for example positive: {known[0]}"
    )


def check_first_rows(config: Config) -> None:
    """Raise ConfigError where the first rows of a CSV file show two classes of which none is known to be positive.

    Reads text only, so that it needs no library; other files are checked when the model is trained.
    """
    file = next(iter(sorted(config.root.glob(config.data.path))), None) if config.model.task == "binary" else None
    if file is None or file.suffix != ".csv":
        return
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = itertools.islice(csv.DictReader(lines), _FIRST_ROWS)
            values = {row.get(config.data.target) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error):
        return  # check-data and train report a file that cannot be read
    require_positive(config, naming.ordered(value for value in values if value))


def positive(config: Config, known: Sequence[JSON]) -> JSON:
    """Return the class that counts as positive, None where there is none."""
    if config.model.task != "binary":
        return None
    place = naming.positive(known, config.model.positive)
    return None if place is None else known[place]


def _shown(known: Sequence[object]) -> str:
    return ", ".join(map(repr, known[:5])) + (", ..." if len(known) > 5 else "")
